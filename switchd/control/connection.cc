// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <poll.h>

#include <array>
#include <span>
#include <utility>

#include "switchd/control/log.h"

namespace vswitch::control {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t kReadBytes = 64 * 1024;  // from one client, before the next one's turn
constexpr std::size_t kGather = 16;            // queued messages passed to the socket at once

}  // namespace

// A JSON-RPC 2.0 batch: one answer, an array, when all its requests are answered (specification, section 6).
struct Connection::Batch {
  Json items;
  std::size_t next = 0;
  std::size_t waiting = 0;
  Json answers = Json::array();

  bool complete() const { return next == items.size() && waiting == 0; }
};

Connection::Connection(Socket socket, const std::string& endpoint, std::optional<PeerCredentials> peer,
                       Dispatcher& dispatcher, const ConnectionLimits& limits, OutputGate* gate)
    : Client(endpoint, peer),
      socket_(std::move(socket)),
      dispatcher_(dispatcher),
      limits_(limits),
      gate_(gate),
      decoder_(limits.decode),
      stall_timer_(socket_.get_executor()) {}

std::shared_ptr<Connection> Connection::self() {
  return std::static_pointer_cast<Connection>(shared_from_this());
}

void Connection::start() {
  socket_.non_blocking(true);
  log::dbg(kLog, "{} connected", name());
  wait_readable();
}

// ---- reading

void Connection::wait_readable() {
  if (waiting_readable_ || input_ended_ || closing_ || !is_open()) return;
  waiting_readable_ = true;
  socket_.async_wait(Socket::wait_read, [self = self()](error_code error) {
    self->waiting_readable_ = false;
    if (!error && self->is_open() && !self->closing_) self->read();
  });
}

void Connection::read() {
  static std::array<char, kReadBytes> buffer;  // one control thread; the decoder copies
  error_code error;
  const std::size_t bytes = socket_.read_some(asio::buffer(buffer), error);
  if (error == asio::error::would_block || error == asio::error::interrupted) return wait_readable();
  if (error && error != asio::error::eof) return drop("connection lost: " + error.message());
  if (error) input_ended_ = true;
  decoder_.feed({buffer.data(), bytes});
  turn();
}

void Connection::schedule_turn() {
  if (turn_scheduled_ || !is_open() || closing_) return;
  turn_scheduled_ = true;
  asio::post(socket_.get_executor(), [self = self()] {
    self->turn_scheduled_ = false;
    self->turn();
  });
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
  if (overloaded()) {
    paused_ = true;
    return;
  }
  bool more = false;
  try {
    more = take_next();
  } catch (const jsonrpc::DecodeError& error) {
    return refuse({jsonrpc::kParseError, error.what()});
  }
  if (!is_open() || closing_) return;
  if (more && (batch_ || !decoder_.is_empty())) {
    schedule_turn();
  } else if (input_ended_) {
    end_of_input();
  } else {
    wait_readable();
  }
}

// One unit of work; false if more bytes are needed first.
bool Connection::take_next() {
  if (batch_) {
    handle_batch_element();
    return true;
  }
  std::optional<Json> value = decoder_.next();
  if (!value) return false;
  if (!value->is_array()) {
    handle(std::move(*value), false, [this](const std::optional<Json>& answer) {
      if (answer) send(*answer);
    });
  } else if (spoken_ == jsonrpc::Version::v1) {
    refuse({jsonrpc::kInvalidRequest, "a message must be a JSON object"});
  } else if (value->empty()) {
    send(jsonrpc::make_error(jsonrpc::Version::v2, nullptr,
                             {jsonrpc::kInvalidRequest, "a batch must not be empty"}));
  } else {
    batch_ = std::make_shared<Batch>();
    batch_->items = std::move(*value);
  }
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

// ---- handling

void Connection::handle(Json value, bool in_batch, const Deliver& deliver) {
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
    dispatch(*request, deliver);
  } catch (const jsonrpc::InvalidMessage& error) {
    if (error.version == jsonrpc::Version::v1 && !in_batch) return refuse(error);
    deliver(jsonrpc::make_error(jsonrpc::Version::v2, error.id, error));
  }
}

void Connection::dispatch(const jsonrpc::Request& request, const Deliver& deliver) {
  if (!request.wants_reply) {
    dispatcher_.dispatch(*this, request, Reply(request, nullptr));
    return deliver(std::nullopt);
  }
  ++unanswered_;
  const auto sink = [weak = weak_from_this(), this, deliver](std::optional<Json> answer) {
    const std::shared_ptr<Client> alive = weak.lock();
    if (!alive) return;
    deliver(std::move(answer));
    answered();
  };
  dispatcher_.dispatch(*this, request, Reply(request, sink));
}

void Connection::handle_batch_element() {
  const std::shared_ptr<Batch> batch = batch_;
  Json value = std::move(batch->items[batch->next++]);
  if (batch->next == batch->items.size()) batch_.reset();
  ++batch->waiting;
  handle(std::move(value), true, [this, batch](std::optional<Json> answer) {
    --batch->waiting;
    if (answer) batch->answers.push_back(std::move(*answer));
    if (batch->complete() && !batch->answers.empty()) send(batch->answers);
  });
}

void Connection::answered() {
  --unanswered_;
  resume_if_relieved();
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

// ---- writing

void Connection::write(std::string text) {
  if (closing_) return;
  if (backlog_ >= limits_.drop_bytes) {
    log::warn(kLog, "{} disconnected: it does not read its input; {} bytes are queued for it", name(),
              backlog_);
    return drop("does not read");
  }
  backlog_ += text.size();
  queue_.push_back({std::move(text), gate_ == nullptr ? 0 : gate_->needed()});
  if (!waiting_to_write_) write_queue();
  if (overloaded()) watch_progress();
}

// Whether the queue waits for us, not for the client.
bool Connection::held_back() const {
  return !queue_.empty() && !may_pass(queue_.front());
}

// Writes what the socket accepts at once, which is nearly always everything. This saves an event loop handler
// per answer.
void Connection::write_queue() {
  while (!queue_.empty()) {
    if (held_back()) return wait_for_gate();
    error_code error;
    const std::size_t bytes = write_some(error);
    if (error == asio::error::would_block) return wait_writable();
    if (error && error != asio::error::interrupted) return drop("connection lost: " + error.message());
    written(bytes);
  }
  if (closing_) finish(close_reason_);
}

void Connection::wait_for_gate() {
  waiting_to_write_ = true;
  gate_->when_open([self = self()] { self->write_on(); });
}

void Connection::wait_writable() {
  waiting_to_write_ = true;
  socket_.async_wait(Socket::wait_write, [self = self()](error_code) { self->write_on(); });
}

void Connection::write_on() {
  waiting_to_write_ = false;
  if (!is_open()) return;
  write_queue();
  resume_if_relieved();
}

std::size_t Connection::write_some(error_code& error) {
  std::array<asio::const_buffer, kGather> buffers;
  std::size_t count = 0;
  for (; count < std::min(queue_.size(), kGather) && may_pass(queue_[count]); ++count)
    buffers[count] = asio::buffer(queue_[count].text);
  buffers[0] += front_offset_;
  return socket_.write_some(std::span(buffers).first(count), error);
}

void Connection::written(std::size_t bytes) {
  ++progress_;
  backlog_ -= bytes;
  front_offset_ += bytes;
  while (!queue_.empty() && front_offset_ >= queue_.front().text.size()) {
    front_offset_ -= queue_.front().text.size();
    queue_.pop_front();
  }
}

// While more than pause_bytes are queued, or the last bytes before the end, the client must accept some from
// time to time.
void Connection::watch_progress() {
  if (watching_) return;
  watching_ = true;
  stall_timer_.expires_after(closing_ ? limits_.linger : limits_.stall);
  stall_timer_.async_wait([self = self(), seen = progress_](error_code error) {
    if (error || !self->is_open()) return;
    self->watching_ = false;
    if (self->backlog_ <= self->limits_.pause_bytes && !self->closing_) return;
    if (self->progress_ != seen || self->held_back()) return self->watch_progress();
    log::warn(kLog, "{} disconnected: it stopped reading with {} bytes queued for it", self->name(),
              self->backlog_);
    self->finish("does not read");
  });
}

// ---- the end

// Ends without sending what is queued; from the event loop, since callers may be iterating over clients.
void Connection::drop(const std::string& reason) {
  if (!is_open()) return;
  closing_ = true;
  input_ended_ = true;
  asio::post(socket_.get_executor(), [self = self(), reason] { self->finish(reason); });
}

void Connection::shut(const std::string& reason) {
  if (closing_) return;
  closing_ = true;
  close_reason_ = reason;
  if (queue_.empty()) {
    asio::post(socket_.get_executor(), [self = self(), reason] { self->finish(reason); });
    return;
  }
  watching_ = false;
  watch_progress();
}

void Connection::finish(const std::string& reason) {
  if (!is_open()) return;
  log::dbg(kLog, "{} ended: {}", name(), reason);
  const bool all_sent = queue_.empty();
  closing_ = true;
  stall_timer_.cancel();
  ended();
  batch_.reset();
  queue_.clear();
  if (all_sent && !input_ended_) {
    linger();
  } else {
    close_socket();
  }
}

void Connection::abandon() {
  input_ended_ = true;
  finish("abandoned");
}

void Connection::linger() {
  error_code ignored;
  socket_.cancel(ignored);
  socket_.shutdown(Socket::shutdown_send, ignored);
  stall_timer_.expires_after(limits_.linger);
  stall_timer_.async_wait([self = self()](error_code error) {
    if (!error) self->close_socket();
  });
  discard_input();
}

void Connection::discard_input() {
  socket_.async_wait(Socket::wait_read, [self = self()](error_code error) {
    if (error) return;
    static std::array<char, kReadBytes> nowhere;
    self->socket_.read_some(asio::buffer(nowhere), error);
    if (!error || error == asio::error::would_block) return self->discard_input();
    self->stall_timer_.cancel();
    self->close_socket();
  });
}

void Connection::close_socket() {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace vswitch::control
