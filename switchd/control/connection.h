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
// Messages that the OutputGate does not let pass stay queued: they may not be sent yet.
//
// Life: open, closing (the queue is sent, nothing else is done), ended. A peer that ends its side of the
// stream still gets its answers. A client that we close gets `linger` to read its last answer: closing a
// socket with unread input destroys data in transit to the client. on_close() callbacks come from the event
// loop, never from inside send() or close().
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <deque>
#include <memory>
#include <string>

#include "schemas/jsonrpc/stream_decoder.h"
#include "switchd/base/limits.h"
#include "switchd/control/client.h"
#include "switchd/control/dispatcher.h"
#include "switchd/control/output_gate.h"

namespace vswitch::control {

struct ConnectionLimits {
  jsonrpc::DecodeLimits decode;
  std::size_t pause_bytes = std::size_t{1} << 20;
  std::size_t drop_bytes = std::size_t{16} << 20;
  std::size_t batch_bytes = limits::kBatchAnswerBytes;  ///< of the answers of one batch, as text
  std::size_t unanswered = 4096;  ///< pending requests of one client; further ones wait in its socket
  std::chrono::steady_clock::duration stall = std::chrono::seconds(60);
  std::chrono::steady_clock::duration linger = std::chrono::seconds(2);
};

class Connection final : public Client {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  /// The dispatcher, and the gate unless it is null, must outlive the io_context's run.
  Connection(Socket socket, const std::string& endpoint, std::optional<PeerCredentials> peer,
             Dispatcher& dispatcher, const ConnectionLimits& limits, OutputGate* gate,
             std::shared_ptr<ClientMemory> memory);

  void start();
  /// Holds this until its socket is closed, which may be later than its end.
  void count_in(std::shared_ptr<void> sockets) { counted_ = std::move(sockets); }

  /// Ends at once: sends nothing more and calls the on_close() callbacks from here. For the end of the
  /// server.
  void abandon();

  /// Bytes queued for the client that its socket has not taken.
  std::size_t backlog() const { return backlog_; }

 private:
  struct Batch;
  using Deliver = std::function<void(std::optional<Json>)>;

  std::shared_ptr<Connection> self();
  template <typename Work>
  void guarded(Work work);

  void wait_readable();
  void read();
  void schedule_turn();
  void turn();
  bool count_input();
  bool take_next();
  bool overloaded() const;
  void resume_if_relieved();
  void end_of_input();
  void wait_for_hangup();

  void send_answer(const Json& answer);
  void begin_batch(Json items);
  void handle_batch_element();
  void answer_in_batch(Batch& batch, const Json& answer);
  void give_up_rest(const std::shared_ptr<Batch>& batch);
  void send_if_complete(Batch& batch);
  /// memory: what the value takes, until it is answered; 0 for one of a batch, which counts as a whole.
  void handle(Json value, bool in_batch, std::size_t memory, const Deliver& deliver);
  void dispatch(const jsonrpc::Request& request, std::size_t memory, const Deliver& deliver);
  void answered();
  void refuse(const jsonrpc::Error& error);

  void write(std::string text) override;
  bool held_back() const;
  void write_queue();
  void wait_for_gate();
  void wait_writable();
  void write_on();
  std::size_t write_some(boost::system::error_code& error);
  void written(std::size_t bytes);
  void watch_progress();
  void drop(const std::string& reason);

  void shut(const std::string& reason) override;
  void finish(const std::string& reason);
  void linger();
  void discard_input();
  void close_socket();

  Socket socket_;
  Dispatcher& dispatcher_;
  const ConnectionLimits limits_;
  OutputGate* const gate_;

  jsonrpc::StreamDecoder decoder_;
  std::shared_ptr<void> counted_;
  MemoryShare input_;             // what the decoder holds
  MemoryShare output_;            // backlog_
  std::shared_ptr<Batch> batch_;  // in progress, one element per turn
  std::optional<jsonrpc::Version> spoken_;
  std::size_t unanswered_ = 0;
  bool waiting_readable_ = false;
  bool turn_scheduled_ = false;
  bool paused_ = false;       // a turn was skipped because of overload
  bool input_ended_ = false;  // the peer will send no more
  bool input_done_ = false;   // and all its input was handled

  struct Message {
    std::string text;
    OutputGate::SyncNumber needs;
  };
  bool may_pass(const Message& message) const { return gate_ == nullptr || gate_->lets_pass(message.needs); }

  std::deque<Message> queue_;
  std::size_t front_offset_ = 0;
  std::size_t backlog_ = 0;
  bool waiting_to_write_ = false;  // for the gate, or until the socket accepts more
  bool closing_ = false;           // no more input, no more output than what is queued
  std::string close_reason_;
  std::uint64_t progress_ = 0;
  boost::asio::steady_timer stall_timer_;
  bool watching_ = false;
};

}  // namespace vswitch::control
