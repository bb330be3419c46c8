// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "schemas/plain_text.h"
#include "switchd/base/memory_reserve.h"
#include "switchd/control/echo.h"
#include "switchd/control/log.h"

namespace vswitch::control {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t kTlsRecordBytes = 16 * 1024;  // of plaintext
constexpr std::size_t kReadBytes = 64 * 1024;       // from one client, before the next one's turn

}  // namespace

// A JSON-RPC 2.0 batch: one answer, an array, when all its requests are answered (specification, section 6).
// The answers are kept as text, which takes a tenth of the memory of the trees.
struct Connection::Batch {
  Json items;
  std::size_t next = 0;
  std::size_t waiting = 0;
  std::string answers;
  std::optional<std::string> stopped;  // why: an answer was left out, and nothing more is executed
  MemoryShare requests;                // until the last one is answered
  MemoryShare answered;

  bool complete() const { return next == items.size() && waiting == 0; }

  void append(const std::string& answer) {
    answers += answers.empty() ? '[' : ',';
    answers += answer;
    answered.resize_anyway(answers.capacity());
  }
};

Connection::Connection(Socket socket, const std::string& endpoint, std::optional<PeerCredentials> peer,
                       Dispatcher& dispatcher, const ConnectionLimits& limits, OutputGate* gate,
                       std::shared_ptr<ClientMemory> memory)
    : Client(endpoint, peer, std::move(memory)),
      socket_(std::move(socket)),
      fd_(socket_.native_handle()),
      dispatcher_(dispatcher),
      limits_(limits),
      gate_(gate),
      decoder_(limits.decode),
      input_(keep(0)),
      output_(keep(0)),
      stall_timer_(socket_.get_executor()) {}

std::shared_ptr<Connection> Connection::self() {
  return std::static_pointer_cast<Connection>(shared_from_this());
}

// Runs what may need memory or meet something that nobody foresaw: that ends this connection, not the daemon.
template <typename Work>
void Connection::guarded(Work work) {
  try {
    work();
  } catch (const std::exception& error) {
    failed(error);
  }
}

void Connection::failed(const std::exception& error) {
  drop(error.what());  // first: a log line takes memory, too
  log::err(kLog, "{} disconnected: {}", name(), error.what());
  memory::refill_reserve();
}

// What the event loop calls.
void Connection::attend(void (Connection::*work)()) {
  if (watch_) watch_->looked();
  try {
    (this->*work)();
  } catch (const std::exception& error) {
    failed(error);
  }
  update_watch();
}

void Connection::watch(const std::shared_ptr<EchoThread>& thread) {
  if (!in_use_.try_lock()) return;  // it succeeds: nobody else knows this connection yet
  const NestingLock lock(in_use_, std::adopt_lock);
  watch_.emplace(thread, fd_, [this] {
    roles::echo.assert_held();
    return stand_in();
  });
}

void Connection::encrypt(std::unique_ptr<wire::TlsFilter> filter, std::shared_ptr<void> handshake,
                         std::function<void(const std::string& pem)> learn) {
  if (!in_use_.try_lock()) return;  // it succeeds: nobody else knows this connection yet
  const NestingLock lock(in_use_, std::adopt_lock);
  tls_ = std::move(filter);
  handshake_ = std::move(handshake);
  learn_ca_ = std::move(learn);
  tls_memory_ = keep(0);
  tls_memory_.resize_anyway(limits::kTlsBytes);
  established_ = false;
}

void Connection::start() {
  const NestingLock lock(in_use_);
  socket_.non_blocking(true);
  log::dbg(kLog, "{} connected", name());
  if (tls_) begin_handshake();
  wait_readable();
}

// ---- TLS

void Connection::begin_handshake() {
  watching_ = true;  // stall_timer_ is taken
  stall_timer_.expires_after(limits_.handshake);
  stall_timer_.async_wait([self = self()](boost::system::error_code error) {
    if (!error) self->handshake_expired();
  });
  write_queue();  // the greeting of a client
}

void Connection::handshake_expired() {
  const NestingLock lock(in_use_);
  if (!is_open() || established_) return;
  watching_ = false;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limits_.handshake);
  tls_failure_ = "the TLS handshake was not done within " + std::to_string(seconds.count()) + " s";
  give_up_tls();
}

void Connection::handshake_done() {
  established_ = true;
  handshake_.reset();
  watching_ = false;
  stall_timer_.cancel();
  const std::string peer = plain_text(tls_->peer_name(), '?');
  const std::string address = name().substr(0, name().find('#'));
  introduce(peer.empty() ? address : peer + " (" + address + ')');
  log::dbg(kLog, "{} is {}: {}", name(), peer, tls_->protocol());
}

void Connection::take_input(std::string_view bytes) {
  if (!tls_) return decoder_.feed(bytes);
  try {
    decrypt(bytes);
  } catch (const wire::TlsError& error) {
    tls_failure_ = error.what();
  }
}

void Connection::decrypt(std::string_view bytes) {
  std::array<char, kTlsRecordBytes> plaintext;
  tls_->feed(bytes);
  while (const std::size_t got = tls_->read(plaintext.data(), plaintext.size()))
    decoder_.feed({plaintext.data(), got});
  if (tls_->input_ended()) input_ended_ = true;
  if (tls_->output().size() > limits::kTlsUnsentBytes)
    throw wire::TlsError("it asks for answers and reads none");
}

// Control thread, from the event loop. The peer gets OpenSSL's alert, if it reads.
void Connection::give_up_tls() {
  log::warn(kLog, "{} disconnected: TLS: {}", name(), tls_failure_);
  if (learn_ca_ && !tls_->learned_ca().empty()) learn_ca_(tls_->learned_ca());
  send_ciphertext();
  queue_.clear();
  tls_->sent(tls_->output().size());
  finish(tls_failure_);
}

std::string Connection::tls_failure() const {
  const NestingLock lock(in_use_);
  return tls_failure_;
}

// ---- reading

void Connection::wait_readable() {
  if (waiting_readable_ || input_ended_ || closing_ || !is_open()) return;
  waiting_readable_ = true;
  socket_.async_wait(Socket::wait_read, [self = self()](error_code error) { self->readable(error); });
}

void Connection::readable(const error_code& error) {
  const NestingLock lock(in_use_);
  waiting_readable_ = false;
  if (!error && is_open() && !closing_) attend(&Connection::read);
}

void Connection::read() {
  static std::array<char, kReadBytes> buffer;  // one control thread; the decoder copies
  const ssize_t bytes = receive(buffer);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return wait_readable();
  if (bytes < 0)
    return drop("connection lost: " + error_code(errno, boost::system::system_category()).message());
  if (bytes == 0) input_ended_ = true;
  take_input({buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(bytes, 0))});
  turn();
}

ssize_t Connection::receive(std::span<char> into) {
  iovec bytes{into.data(), into.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))>
      control;  // room for one: the kernel closes others
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(fd_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return got;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len; at += sizeof(int)) {
      int descriptor = -1;
      std::memcpy(&descriptor, reinterpret_cast<const char*>(part) + at, sizeof descriptor);
      receive_descriptor(UniqueFd(descriptor));
    }
  }
  return got;
}

void Connection::schedule_turn() {
  if (turn_scheduled_ || !is_open() || closing_) return;
  asio::post(socket_.get_executor(), [self = self()] { self->begin_turn(); });
  turn_scheduled_ = true;
  if (watch_) watch_->owe(true);
}

void Connection::begin_turn() {
  const NestingLock lock(in_use_);
  turn_scheduled_ = false;
  if (watch_) watch_->owe(false);
  attend(&Connection::turn);
}

bool Connection::overloaded() const {
  return backlog_ > limits_.pause_bytes || unanswered_ >= limits_.unanswered;
}

void Connection::resume_if_relieved() {
  if (!paused_ || overloaded()) return;
  paused_ = false;
  schedule_turn();
}

void Connection::turn() {
  if (!is_open() || closing_) return;
  // Nothing is begun without memory for its way out.
  if (!memory::refill_reserve()) {
    drop("no memory");
    return log::err(kLog, "{} disconnected: there is no memory for its requests", name());
  }
  decoder_.limit_memory(std::min(limits_.decode.memory_bytes, limits::tree_bytes(memory::reserve_held())));
  if (!tls_failure_.empty()) return give_up_tls();
  if (tls_ && !established_) {
    if (tls_->established()) {
      handshake_done();
    } else if (input_ended_) {
      tls_failure_ = "the peer ended the connection during the TLS handshake";
      return give_up_tls();
    }
  }
  if (has_output()) write_queue();  // what the echo thread has added
  paused_ = overloaded();
  if (paused_) return watch_progress();
  bool more = false;
  try {
    more = take_next();
  } catch (const jsonrpc::DecodeError& error) {
    return refuse({jsonrpc::kParseError, error.what()});
  }
  if (!is_open() || closing_ || !count_input()) return;
  if (more && (batch_ || !decoder_.is_empty())) {
    schedule_turn();
  } else if (input_ended_) {
    end_of_input();
  } else {
    wait_readable();
  }
}

// An unfinished message is bounded by itself, but not those of all clients together.
bool Connection::count_input() {
  const std::size_t bytes = decoder_.buffered();
  if (bytes > input_.bytes()) {
    if (const auto why = memory()->refusal_because_of_all(bytes - input_.bytes())) {
      refuse(over_limit(*why));
      return false;
    }
  }
  input_.resize_anyway(bytes);
  return true;
}

// One unit of work; false if more bytes are needed first.
bool Connection::take_next() {
  if (batch_) {
    handle_batch_element();
    return true;
  }
  if (take_echo()) {
    write_queue();
    if (overloaded()) watch_progress();
    return true;
  }
  std::optional<Json> value = decoder_.next();
  if (!value) return false;
  input_.resize_anyway(std::min(input_.bytes(), decoder_.buffered()));  // the text has become the value
  if (!value->is_array()) {
    handle(std::move(*value), false, decoder_.message_memory(), [this](const std::optional<Json>& answer) {
      if (answer) send_answer(*answer);
    });
  } else if (spoken_ == jsonrpc::Version::v1) {
    refuse({jsonrpc::kInvalidRequest, "a message must be a JSON object"});
  } else if (value->empty()) {
    send_as_answer(jsonrpc::to_text(jsonrpc::make_error(
        jsonrpc::Version::v2, nullptr, {jsonrpc::kInvalidRequest, "a batch must not be empty"})));
  } else {
    begin_batch(std::move(*value));
  }
  return true;
}

// A small `echo` at the front of the input, answered without the ways of other requests: it needs no sync, and
// the echo thread can answer it, too.
bool Connection::take_echo() {
  if (!dispatcher_.echoes()) return false;
  const std::optional<std::string_view> text = decoder_.peek();
  if (!text || text->size() > limits::kEchoBytes || decoder_.peeked_memory() > limits::kEchoTreeBytes)
    return false;
  std::optional<Echo> echo = echo_of(*text);
  if (!echo || memory()->refusal(decoder_.peeked_memory() + text->size() + echo->answer.size())) return false;
  spoken_ = echo->version;
  queue_echo(std::move(echo->answer));
  decoder_.skip();
  input_.resize_anyway(std::min(input_.bytes(), decoder_.buffered()));
  dispatcher_.count_request();
  return true;
}

void Connection::end_of_input() {
  if (!decoder_.at_border()) log::info(kLog, "{} ended its input in the middle of a message", name());
  input_done_ = true;
  if (unanswered_ == 0) {
    close("peer ended the connection");
  } else {
    wait_for_hangup();
  }
}

// A peer that only ended its own side waits for answers; one that closed the socket does not, and then epoll
// reports a hangup. This tells them apart without writing.
void Connection::wait_for_hangup() {
  socket_.async_wait(Socket::wait_error, [self = self()](error_code error) {
    if (!error) self->drop("peer disconnected");
  });
}

// ---- in place of the control thread

// If the control thread is at work on this connection, then on a request that comes first.
bool Connection::stand_in() {
  if (!in_use_.try_lock()) return false;
  const NestingLock lock(in_use_, std::adopt_lock);
  if (!is_open() || closing_ || (tls_ && !tls_->established())) return false;
  const bool wrote = write_in_place();
  const bool read = read_in_place();
  update_watch();
  return wrote || read;
}

bool Connection::write_in_place() {
  if (!has_output() || (held_back() && !has_ciphertext())) return false;
  const ssize_t bytes = write_some(limits::kEchoWriteBytes);
  if (bytes <= 0) return false;  // if the connection is lost, the control thread finds out
  written(static_cast<std::size_t>(bytes));
  return true;
}

bool Connection::may_read_in_place() const {
  return !input_ended_ && !end_seen_ && !batch_ && !overloaded() && tls_failure_.empty() &&
         memory::reserve_held() >= limits::kEchoReserveBytes &&
         !memory()->refusal_because_of_all(limits::kEchoBytes);
}

bool Connection::read_in_place() {
  if (!may_read_in_place()) return false;
  schedule_turn();  // first: what is read here and is no echo must not be forgotten
  const bool answered = answer_echoes();
  if (!may_read_in_place() || decoder_.unread() > limits::kEchoBytes || decoder_.peek()) return answered;
  std::array<char, limits::kEchoBytes> buffer;
  const ssize_t bytes = receive(buffer);
  if (bytes <= 0) {  // the end of the input is the control thread's
    end_seen_ = bytes == 0 || (errno != EAGAIN && errno != EINTR);
    return answered;
  }
  take_input({buffer.data(), static_cast<std::size_t>(bytes)});
  input_.resize_anyway(decoder_.buffered());
  answer_echoes();
  return true;
}

bool Connection::answer_echoes() {
  bool answered = false;
  while (!overloaded() && take_echo()) {
    write_in_place();
    answered = true;
  }
  return answered;
}

void Connection::update_watch() {
  if (!watch_) return;
  const bool serves = is_open() && !closing_;
  watch_->expect(serves && !input_ended_ && !end_seen_ && !paused_,
                 serves && !too_early() && (has_ciphertext() || (!queue_.empty() && !held_back())));
}

// ---- handling

void Connection::handle(Json value, bool in_batch, std::size_t memory, const Deliver& deliver) {
  try {
    const jsonrpc::Message message = jsonrpc::parse_message(std::move(value));
    const auto* request = std::get_if<jsonrpc::Request>(&message);
    if (!request)
      return deliver(std::nullopt);  // a reply to a request we never sent, or to a keepalive: ignored
    if (in_batch && request->version == jsonrpc::Version::v1) {
      throw jsonrpc::InvalidMessage(jsonrpc::Version::v2, request->id,
                                    "each request of a batch must be JSON-RPC 2.0",
                                    {{"field", "jsonrpc"}, {"value", nullptr}});
    }
    spoken_ = request->version;
    dispatch(*request, memory, deliver);
    memory::check();  // the end of the message takes memory, too
  } catch (const jsonrpc::InvalidMessage& error) {
    if (error.version == jsonrpc::Version::v1 && !in_batch) return refuse(error);
    deliver(jsonrpc::make_error(jsonrpc::Version::v2, error.id, error));
  }
}

void Connection::dispatch(const jsonrpc::Request& request, std::size_t memory, const Deliver& deliver) {
  if (!request.wants_reply) {
    dispatcher_.dispatch(*this, request, Reply(request, nullptr));
    return deliver(std::nullopt);
  }
  std::shared_ptr<MemoryShare> share;  // shared, because a std::function can be copied
  try {
    share = std::make_shared<MemoryShare>(keep(memory));
  } catch (const jsonrpc::Error& error) {
    return deliver(jsonrpc::make_error(request.version, request.id, error));
  }
  ++unanswered_;
  const auto sink = [weak = weak_from_this(), this, deliver, share](std::optional<Json> answer) {
    const std::shared_ptr<Client> alive = weak.lock();
    if (!alive) return;
    guarded([&] {
      deliver(std::move(answer));
      answered();
    });
  };
  dispatcher_.dispatch(*this, request, Reply(request, sink));
}

// An answer for which there is no room becomes a refusal.
void Connection::send_answer(const Json& answer) {
  memory::check();
  std::string text = jsonrpc::to_text(answer);
  if (const auto why = memory()->refusal(text.size())) {
    const auto version = answer.contains("jsonrpc") ? jsonrpc::Version::v2 : jsonrpc::Version::v1;
    text = jsonrpc::to_text(jsonrpc::make_error(version, answer.at("id"), over_limit(*why)));
  }
  send_as_answer(std::move(text));
}

void Connection::begin_batch(Json items) {
  auto batch = std::make_shared<Batch>();
  batch->items = std::move(items);
  try {
    batch->requests = keep(decoder_.message_memory());
    batch->answered = keep(0);
  } catch (const jsonrpc::Error& error) {
    return send_as_answer(jsonrpc::to_text(jsonrpc::make_error(jsonrpc::Version::v2, nullptr, error)));
  }
  batch_ = std::move(batch);
}

void Connection::handle_batch_element() {
  const std::shared_ptr<Batch> batch = batch_;
  if (batch->stopped) return give_up_rest(batch);
  Json value = std::move(batch->items[batch->next++]);
  if (batch->next == batch->items.size()) batch_.reset();
  ++batch->waiting;
  handle(std::move(value), true, 0, [this, batch](const std::optional<Json>& answer) {
    --batch->waiting;
    if (answer) answer_in_batch(*batch, *answer);
    send_if_complete(*batch);
  });
  memory::check();  // the end of the batch takes memory, too
}

// An answer that exceeds the bound is replaced by a refusal, which is as large as its id: all ids together have
// come in one message.
void Connection::answer_in_batch(Batch& batch, const Json& answer) {
  memory::check();
  std::string text = jsonrpc::to_text(answer);
  if (batch.answers.size() + text.size() > limits_.batch_bytes) {
    batch.stopped =
        "the answers of this batch exceed " + limits::mebibytes(limits_.batch_bytes) + "; split it";
  } else if (!batch.stopped) {
    batch.stopped = memory()->refusal(text.size());
  }
  if (batch.stopped) {
    text = jsonrpc::to_text(
        jsonrpc::make_error(jsonrpc::Version::v2, answer.at("id"), over_limit(*batch.stopped)));
  }
  batch.append(text);
}

// One refusal for all of them: there may be millions.
void Connection::give_up_rest(const std::shared_ptr<Batch>& batch) {
  const std::size_t left = batch->items.size() - std::exchange(batch->next, batch->items.size());
  batch_.reset();
  const std::string why =
      *batch->stopped + " (its last " + std::to_string(left) + " requests were not executed)";
  batch->append(jsonrpc::to_text(jsonrpc::make_error(jsonrpc::Version::v2, nullptr, over_limit(why))));
  send_if_complete(*batch);
}

void Connection::send_if_complete(Batch& batch) {
  if (!batch.complete() || batch.answers.empty()) return;
  batch.answers += ']';
  batch.answered.resize_anyway(0);  // it counts as backlog from here on
  send_as_answer(std::move(batch.answers));
}

void Connection::answered() {
  const NestingLock lock(in_use_);
  --unanswered_;
  resume_if_relieved();
  update_watch();
  if (input_done_ && unanswered_ == 0) close("peer ended the connection");
}

// Ends the connection: nothing after bad JSON can be trusted, and Open vSwitch closes a connection whose
// message is not JSON-RPC 1.0. Its clients expect silence; any other peer, such as a person with netcat, gets
// the reason.
void Connection::refuse(const jsonrpc::Error& error) {
  log::warn(kLog, "{} disconnected: {}", name(), error.message);
  if (spoken_ != jsonrpc::Version::v1) send(jsonrpc::make_error(jsonrpc::Version::v2, nullptr, error));
  close(error.message);
}

}  // namespace vswitch::control
