// SPDX-License-Identifier: Apache-2.0
// A connected stream socket: reads requests, one per turn, and writes the answers.
//
// Fairness. A connection handles one message (or one element of a batch) and then goes to the end of the
// event loop's queue, so a client that sends a thousand requests at once does not delay one that sends a
// single request.
//
// Backlog. Output that a client does not read is queued up to a bound. Beyond `pause_bytes` nothing more is
// read from the client, so its own requests cannot add to the queue; if it then accepts nothing for `stall`,
// or notifications bring the backlog to `drop_bytes`, it is disconnected with a line in the log. One answer
// may be larger than all of this: only what is already queued when a message is added counts.
//
// Memory. Everything that the connection holds for its client counts (client_memory.h): input, requests until
// they are answered, the answers of a batch as text, the queue. What would exceed a bound is refused: one
// request, the rest of a batch, or, if there is no request to answer, the connection. An exception that
// nobody foresaw, std::bad_alloc among them, ends the connection too.
//
// Messages that the OutputGate does not let pass stay queued: they may not be sent yet. The answer to `echo`
// says nothing about a commit, so it passes at once, unless an answer to an earlier request is held.
//
// TLS. With a filter (wire/tls.h) between the socket and the messages, ciphertext is read and decrypted whole, so
// that nothing but an unfinished record waits in the filter; and of the queue, no more is encrypted than the socket
// is likely to take at once. Until the handshake is done, there is a time limit, nothing is sent, and the echo
// thread leaves the connection alone.
//
// Threads. Everything happens on the control thread. While that is late, the echo thread (echo_thread.h) stands
// in: it goes on writing what is queued, reads, and answers `echo` if nothing before it is left to do;
// everything else waits for the control thread, which gets a turn. Each takes in_use_ meanwhile. The control
// thread may hold it for as long as a request of this client takes, so the echo thread only tries.
//
// Life: open, closing (the queue is sent, nothing else is done), ended. A peer that ends its side of the
// stream still gets its answers. A client that we close gets `linger` to read its last answer: closing a
// socket with unread input destroys data in transit to the client. on_close() callbacks come from the event
// loop, never from inside send() or close().
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/types.h>

#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "datapath/base/thread_annotations.h"
#include "schemas/jsonrpc/stream_decoder.h"
#include "switchd/base/limits.h"
#include "switchd/control/client.h"
#include "switchd/control/dispatcher.h"
#include "switchd/control/echo_thread.h"
#include "switchd/control/output_gate.h"
#include "wire/tls.h"

namespace vswitch::control {

struct ConnectionLimits {
  jsonrpc::DecodeLimits decode;
  std::size_t pause_bytes = std::size_t{1} << 20;
  std::size_t drop_bytes = std::size_t{16} << 20;
  std::size_t batch_bytes = limits::kBatchAnswerBytes;  ///< of the answers of one batch, as text
  std::size_t unanswered = 4096;  ///< pending requests of one client; further ones wait in its socket
  std::chrono::steady_clock::duration stall = std::chrono::seconds(60);
  std::chrono::steady_clock::duration linger = std::chrono::seconds(2);
  std::chrono::steady_clock::duration handshake = std::chrono::milliseconds(limits::kHandshakeMs);
};

class Connection final : public Client {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  /// The dispatcher, and the gate unless it is null, must outlive the io_context's run, and the echo thread if
  /// there is one. Control thread or echo thread.
  Connection(Socket socket, const std::string& endpoint, std::optional<PeerCredentials> peer,
             Dispatcher& dispatcher, const ConnectionLimits& limits, OutputGate* gate,
             std::shared_ptr<ClientMemory> memory);

  /// Before watch() and start(): what passes the socket is TLS. Holds `handshake` until its handshake is done.
  /// Control thread or echo thread.
  /// `learn` gets the CA certificate of a peer, if the filter learns it.
  void encrypt(std::unique_ptr<wire::TlsFilter> filter, std::shared_ptr<void> handshake,
               std::function<void(const std::string& pem)> learn);
  /// From now on the echo thread may stand in. Control thread or echo thread.
  void watch(const std::shared_ptr<EchoThread>& thread);
  void start();
  /// Holds this until its socket is closed, which may be later than its end.
  void count_in(std::shared_ptr<void> sockets) { counted_ = std::move(sockets); }

  /// Ends at once: sends nothing more and calls the on_close() callbacks from here. For the end of the
  /// server.
  void abandon();

  /// Bytes queued for the client that its socket has not taken.
  std::size_t backlog() const;
  /// Control thread.
  bool established() const override { return established_; }
  std::string tls_failure() const override;

 private:
  struct Batch;
  struct Message {
    std::string text;
    OutputGate::SyncNumber needs;
    bool is_answer;
  };
  using Deliver = std::function<void(std::optional<Json>)>;

  std::shared_ptr<Connection> self();
  template <typename Work>
  void guarded(Work work);
  void attend(void (Connection::*work)()) REQUIRES(in_use_);
  void failed(const std::exception& error);

  void wait_readable() REQUIRES(in_use_);
  void readable(const boost::system::error_code& error);
  void read() REQUIRES(in_use_);
  /// recv() without waiting, which also takes a descriptor that the client passes.
  ssize_t receive(std::span<char> into) REQUIRES(in_use_);
  void schedule_turn() REQUIRES(in_use_);
  void begin_turn();
  void turn() REQUIRES(in_use_);
  bool count_input() REQUIRES(in_use_);
  bool take_next() REQUIRES(in_use_);
  bool take_echo() REQUIRES(in_use_);
  bool overloaded() const REQUIRES(in_use_);
  void resume_if_relieved() REQUIRES(in_use_);
  void end_of_input() REQUIRES(in_use_);
  void wait_for_hangup() REQUIRES(in_use_);

  void begin_handshake() REQUIRES(in_use_);
  void handshake_done() REQUIRES(in_use_);
  void handshake_expired();
  /// Passes what the socket gave to the decoder. Control thread or echo thread.
  void take_input(std::string_view bytes) REQUIRES(in_use_);
  void decrypt(std::string_view bytes) REQUIRES(in_use_);
  void give_up_tls() REQUIRES(in_use_);
  bool has_ciphertext() const REQUIRES(in_use_) { return tls_ && !tls_->output().empty(); }
  bool has_output() const REQUIRES(in_use_) { return !queue_.empty() || has_ciphertext(); }
  /// Whether the queue is waiting for the handshake.
  bool too_early() const REQUIRES(in_use_) { return tls_ && !tls_->established() && !has_ciphertext(); }
  /// False, and errno, if the socket has not taken all.
  bool send_ciphertext() REQUIRES(in_use_);
  ssize_t write_encrypted(std::size_t most) REQUIRES(in_use_);

  bool stand_in() REQUIRES(roles::echo);
  bool write_in_place() REQUIRES(roles::echo, in_use_);
  bool read_in_place() REQUIRES(roles::echo, in_use_);
  bool answer_echoes() REQUIRES(roles::echo, in_use_);
  bool may_read_in_place() const REQUIRES(roles::echo, in_use_);
  void update_watch() REQUIRES(in_use_);

  void send_answer(const Json& answer);
  void begin_batch(Json items) REQUIRES(in_use_);
  void handle_batch_element() REQUIRES(in_use_);
  void answer_in_batch(Batch& batch, const Json& answer);
  void give_up_rest(const std::shared_ptr<Batch>& batch) REQUIRES(in_use_);
  void send_if_complete(Batch& batch);
  /// memory: what the value takes, until it is answered; 0 for one of a batch, which counts as a whole.
  void handle(Json value, bool in_batch, std::size_t memory, const Deliver& deliver) REQUIRES(in_use_);
  void dispatch(const jsonrpc::Request& request, std::size_t memory, const Deliver& deliver)
      REQUIRES(in_use_);
  void answered();
  void refuse(const jsonrpc::Error& error) REQUIRES(in_use_);

  void write(std::string text) override;
  void send_as_answer(std::string text);
  void enqueue(Message message);
  void queue_echo(std::string answer) REQUIRES(in_use_);
  bool may_pass(const Message& message) const;
  bool held_back() const REQUIRES(in_use_);
  void write_queue() REQUIRES(in_use_);
  void wait_for_gate() REQUIRES(in_use_);
  void gate_opened();
  void wait_writable() REQUIRES(in_use_);
  void writable();
  void write_on() REQUIRES(in_use_);
  /// Bytes that the socket took; -1 and errno if none.
  ssize_t write_some(std::size_t most) REQUIRES(in_use_);
  void written(std::size_t bytes) REQUIRES(in_use_);
  void watch_progress() REQUIRES(in_use_);
  void check_progress(std::uint64_t seen);
  void drop(const std::string& reason);

  void shut(const std::string& reason) override;
  void finish(const std::string& reason);
  void linger() REQUIRES(in_use_);
  void discard_input();
  void close_socket();

  Socket socket_;
  const int fd_;  // of socket_, until it is closed
  Dispatcher& dispatcher_;
  const ConnectionLimits limits_;
  OutputGate* const gate_;
  std::shared_ptr<void> counted_;
  std::shared_ptr<void> handshake_;  // counts sockets whose peer has not proved who it is

  mutable NestingMutex in_use_;
  jsonrpc::StreamDecoder decoder_ GUARDED_BY(in_use_);
  MemoryShare input_ GUARDED_BY(in_use_);             // what the decoder holds
  MemoryShare output_ GUARDED_BY(in_use_);            // backlog_
  std::shared_ptr<Batch> batch_ GUARDED_BY(in_use_);  // in progress, one element per turn
  std::optional<jsonrpc::Version> spoken_ GUARDED_BY(in_use_);
  std::size_t unanswered_ GUARDED_BY(in_use_) = 0;
  bool waiting_readable_ GUARDED_BY(in_use_) = false;
  bool turn_scheduled_ GUARDED_BY(in_use_) = false;
  bool paused_ GUARDED_BY(in_use_) = false;       // a turn was skipped because of overload
  bool input_ended_ GUARDED_BY(in_use_) = false;  // the peer will send no more
  bool input_done_ GUARDED_BY(in_use_) = false;   // and all its input was handled
  bool end_seen_ GUARDED_BY(in_use_) = false;     // by the echo thread, which leaves it to the control thread

  std::unique_ptr<wire::TlsFilter> tls_ GUARDED_BY(in_use_);
  std::function<void(const std::string& pem)> learn_ca_ GUARDED_BY(in_use_);
  MemoryShare tls_memory_ GUARDED_BY(in_use_);
  std::string tls_failure_ GUARDED_BY(in_use_);
  bool established_ = true;  // the control thread's: otherwise as tls_ says

  std::deque<Message> queue_ GUARDED_BY(in_use_);
  std::size_t front_offset_ GUARDED_BY(in_use_) = 0;
  std::size_t backlog_ GUARDED_BY(in_use_) = 0;
  bool waiting_for_gate_ GUARDED_BY(in_use_) = false;
  bool waiting_writable_ GUARDED_BY(in_use_) = false;
  bool closing_ GUARDED_BY(in_use_) = false;  // no more input, no more output than what is queued
  std::string close_reason_ GUARDED_BY(in_use_);
  std::uint64_t progress_ GUARDED_BY(in_use_) = 0;
  boost::asio::steady_timer stall_timer_;
  bool watching_ GUARDED_BY(in_use_) = false;

  std::optional<EchoThread::Watch> watch_
      GUARDED_BY(in_use_);  // the last: nobody stands in for half a connection
};

}  // namespace vswitch::control
