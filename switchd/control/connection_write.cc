// SPDX-License-Identifier: Apache-2.0
// The half of Connection that writes, and its end.
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

#include "switchd/base/memory_reserve.h"
#include "switchd/control/connection.h"
#include "switchd/control/log.h"

namespace vswitch::control {
namespace {

constexpr std::size_t kDiscardBytes = 64 * 1024;
constexpr std::size_t kGather = 16;  // queued messages passed to the socket at once

}  // namespace

// ---- writing

void Connection::write(std::string text) {
  enqueue({std::move(text), gate_ == nullptr ? 0 : gate_->needed(), false});
}

void Connection::send_as_answer(std::string text) {
  if (is_open()) enqueue({std::move(text), gate_ == nullptr ? 0 : gate_->needed(), true});
}

void Connection::enqueue(Message message) {
  const NestingLock lock(in_use_);
  if (closing_) return;
  if (backlog_ >= limits_.drop_bytes) {
    log::warn(kLog, "{} disconnected: it does not read its input; {} bytes are queued for it", name(),
              backlog_);
    return drop("does not read");
  }
  if (const auto why = memory()->refusal(message.text.size())) {
    log::warn(kLog, "{} disconnected: {} bytes are queued for it, and {}", name(), backlog_, *why);
    return drop("does not read");
  }
  backlog_ += message.text.size();
  output_.resize_anyway(backlog_);
  queue_.push_back(std::move(message));
  write_queue();
  if (overloaded()) watch_progress();
  update_watch();
}

// Before notifications that wait for the disk, whose commit nobody knows of yet, but not before answers.
void Connection::queue_echo(std::string answer) {
  const std::size_t bytes = answer.size();
  auto at = queue_.end();
  if (!queue_.empty() && !may_pass(queue_.back())) {
    at = std::find_if(queue_.begin(), queue_.end(),
                      [this](const Message& message) { return !may_pass(message); });
    if (std::any_of(at, queue_.end(), [](const Message& message) { return message.is_answer; }))
      at = queue_.end();
  }
  queue_.insert(at, {std::move(answer), 0, true});
  backlog_ += bytes;
  output_.resize_anyway(backlog_);
}

bool Connection::may_pass(const Message& message) const {
  return gate_ == nullptr || gate_->lets_pass(message.needs);
}

// Whether the queue waits for us, not for the client.
bool Connection::held_back() const {
  return !queue_.empty() && !may_pass(queue_.front());
}

std::size_t Connection::backlog() const {
  const NestingLock lock(in_use_);
  return backlog_;
}

// Writes what the socket accepts at once, which is nearly always everything. This saves an event loop handler
// per answer.
void Connection::write_queue() {
  while (has_output() && !waiting_writable_) {
    if (too_early()) return;  // a turn after the handshake goes on
    if (held_back() && !has_ciphertext()) return wait_for_gate();
    const ssize_t bytes = write_some(std::numeric_limits<std::size_t>::max());
    if (bytes >= 0) {
      written(static_cast<std::size_t>(bytes));
    } else if (errno == EAGAIN) {
      wait_writable();
    } else if (errno != EINTR) {
      return drop("connection lost: " + std::system_category().message(errno));
    }
  }
  if (!has_output() && closing_) finish(close_reason_);
}

void Connection::wait_for_gate() {
  if (waiting_for_gate_) return;
  gate_->when_open([self = self()] { self->gate_opened(); });
  waiting_for_gate_ = true;
}

void Connection::gate_opened() {
  const NestingLock lock(in_use_);
  waiting_for_gate_ = false;
  attend(&Connection::write_on);
}

void Connection::wait_writable() {
  socket_.async_wait(Socket::wait_write, [self = self()](boost::system::error_code) { self->writable(); });
  waiting_writable_ = true;
}

void Connection::writable() {
  const NestingLock lock(in_use_);
  waiting_writable_ = false;
  attend(&Connection::write_on);
}

void Connection::write_on() {
  if (!is_open()) return;
  write_queue();
  resume_if_relieved();
}

ssize_t Connection::write_some(std::size_t most) {
  if (tls_) return write_encrypted(most);
  std::array<iovec, kGather> pieces;
  std::size_t count = 0;
  std::size_t skip = front_offset_;
  for (; count < std::min(queue_.size(), kGather) && most > 0 && may_pass(queue_[count]); ++count) {
    std::string& text = queue_[count].text;
    const std::size_t bytes = std::min(text.size() - skip, most);
    pieces[count] = {text.data() + skip, bytes};
    most -= bytes;
    skip = 0;
  }
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  return ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool Connection::send_ciphertext() {
  while (has_ciphertext()) {
    const std::string_view bytes = tls_->output();
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return false;
    ++progress_;
    tls_->sent(static_cast<std::size_t>(sent));
  }
  return true;
}

// What is encrypted counts as written: the socket takes it before anything else.
ssize_t Connection::write_encrypted(std::size_t most) {
  if (!send_ciphertext()) return -1;
  most = std::min(most, limits::kTlsWriteBytes);
  std::size_t taken = 0;
  std::size_t skip = front_offset_;
  try {
    for (std::size_t i = 0; i < queue_.size() && taken < most && may_pass(queue_[i]); ++i) {
      const std::string_view piece = std::string_view(queue_[i].text).substr(skip, most - taken);
      tls_->write(piece);
      taken += piece.size();
      skip = 0;
    }
  } catch (const wire::TlsError&) {
    errno = EPROTO;
    return -1;
  }
  send_ciphertext();
  return static_cast<ssize_t>(taken);
}

void Connection::written(std::size_t bytes) {
  ++progress_;
  backlog_ -= bytes;
  output_.resize_anyway(backlog_);
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
  stall_timer_.async_wait([self = self(), seen = progress_](boost::system::error_code error) {
    if (!error) self->check_progress(seen);
  });
}

void Connection::check_progress(std::uint64_t seen) {
  const NestingLock lock(in_use_);
  if (!is_open()) return;
  watching_ = false;
  if (backlog_ <= limits_.pause_bytes && !closing_) return;
  if (progress_ != seen || held_back()) return watch_progress();
  log::warn(kLog, "{} disconnected: it stopped reading with {} bytes queued for it", name(), backlog_);
  finish("does not read");
}

// ---- the end

// Ends without sending what is queued; from the event loop, since callers may be iterating over clients.
void Connection::drop(const std::string& reason) {
  const NestingLock lock(in_use_);
  if (!is_open()) return;
  closing_ = true;
  input_ended_ = true;
  boost::asio::post(socket_.get_executor(), [self = self(), reason] { self->finish(reason); });
}

void Connection::shut(const std::string& reason) {
  const NestingLock lock(in_use_);
  if (closing_) return;
  closing_ = true;
  close_reason_ = reason;
  if (!has_output()) {
    boost::asio::post(socket_.get_executor(), [self = self(), reason] { self->finish(reason); });
    return;
  }
  watching_ = false;
  watch_progress();
  update_watch();
}

void Connection::finish(const std::string& reason) {
  const NestingLock lock(in_use_);
  if (!is_open()) return;
  log::dbg(kLog, "{} ended: {}", name(), reason);
  if (tls_ && tls_failure_.empty()) {
    tls_->end_output();
    send_ciphertext();  // if there is no room for this, the peer sees the end of the stream only
  }
  const bool all_sent = queue_.empty();
  closing_ = true;
  watch_.reset();
  stall_timer_.cancel();
  ended();
  batch_.reset();
  queue_.clear();
  decoder_ = jsonrpc::StreamDecoder(limits_.decode);
  input_.resize_anyway(0);
  output_.resize_anyway(0);
  memory::refill_reserve();  // there is room again if this client had used it up
  if (all_sent && !input_ended_) {
    linger();
  } else {
    close_socket();
  }
}

void Connection::abandon() {
  const NestingLock lock(in_use_);
  input_ended_ = true;
  finish("abandoned");
}

void Connection::linger() {
  boost::system::error_code ignored;
  socket_.cancel(ignored);
  socket_.shutdown(Socket::shutdown_send, ignored);
  stall_timer_.expires_after(limits_.linger);
  stall_timer_.async_wait([self = self()](boost::system::error_code error) {
    if (!error) self->close_socket();
  });
  discard_input();
}

void Connection::discard_input() {
  socket_.async_wait(Socket::wait_read, [self = self()](boost::system::error_code error) {
    if (error) return;
    static std::array<char, kDiscardBytes> nowhere;
    self->socket_.read_some(boost::asio::buffer(nowhere), error);
    if (!error || error == boost::asio::error::would_block) return self->discard_input();
    self->stall_timer_.cancel();
    self->close_socket();
  });
}

void Connection::close_socket() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  counted_.reset();
  handshake_.reset();
}

}  // namespace vswitch::control
