// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/captures.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "datapath/base/socket_buffer.h"
#include "schemas/capture_record.h"
#include "switchd/db/database.h"

namespace vswitch::bridge {

namespace {

constexpr std::size_t kMostName = 255;

int option_of(int socket, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

DropReason reason_of(int error) {
  if (error == EAGAIN || error == ENOBUFS || error == ENOMEM) return DropReason::reader_slow;
  if (error == EPIPE || error == ECONNRESET || error == ENOTCONN) return DropReason::reader_gone;
  return DropReason::send_error;
}

/// Appends the first `bytes` of the frame.
std::byte* put_bytes(std::byte* to, const OutgoingFrame& frame, std::size_t bytes) {
  const std::size_t header = std::min(frame.header.size(), bytes);
  std::memcpy(to, frame.header.data(), header);
  if (bytes != header) std::memcpy(to + header, frame.payload.data(), bytes - header);
  return to + bytes;
}

}  // namespace

/// Several frames share a message: a message of its own costs each a microsecond and 700 bytes of the buffer.
void CaptureSocket::send(std::span<const CapturedFrame> frames) {
  thread_local std::array<std::byte, kCaptureMessageBytes> message;
  std::size_t used = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const CapturedFrame& one = frames[i];
    const std::string_view name = one.port.substr(0, kMostName);
    const std::size_t longest = message.size() - sizeof(CaptureRecord) - name.size();
    const std::size_t captured = std::min({one.frame->length(), std::size_t{one.snaplen}, longest});
    const std::size_t size = sizeof(CaptureRecord) + name.size() + captured;
    if (used + size > message.size()) {
      write({message.data(), used}, frames.subspan(first, i - first));
      used = 0;
      first = i;
    }
    const CaptureRecord record{.unix_time_ns = one.unix_time_ns,
                               .captured = static_cast<std::uint32_t>(captured),
                               .length = static_cast<std::uint32_t>(one.frame->length()),
                               .name_length = static_cast<std::uint16_t>(name.size()),
                               .direction = one.delivered ? CaptureRecord::kToPort : CaptureRecord::kFromPort,
                               .reserved = {}};
    std::byte* to = message.data() + used;
    std::memcpy(to, &record, sizeof record);
    std::memcpy(to + sizeof record, name.data(), name.size());
    put_bytes(to + sizeof record + name.size(), *one.frame, captured);
    used += size;
  }
  if (used != 0) write({message.data(), used}, frames.subspan(first));
}

void CaptureSocket::write(std::span<const std::byte> message, std::span<const CapturedFrame> frames) {
  ssize_t sent = -1;
  do {
    sent = ::send(socket_.get(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  const DropReason outcome = sent < 0 ? reason_of(errno) : DropReason::none;
  for (const CapturedFrame& one : frames) one.frame->outcome = outcome;
}

std::string socket_trouble(const char* what, const UniqueFd& socket) {
  if (!socket)
    return std::string(what) +
           " needs a socket: pass one end of a socketpair (AF_UNIX, SOCK_SEQPACKET) with the request";
  if (option_of(socket.get(), SO_DOMAIN) != AF_UNIX || option_of(socket.get(), SO_TYPE) != SOCK_SEQPACKET)
    return "the descriptor passed with the request is not a socket of AF_UNIX, SOCK_SEQPACKET";
  return {};
}

std::string Captures::add(const ovsdb::Uuid& mirror, UniqueFd socket) {
  if (std::string trouble = socket_trouble("a capture", socket); !trouble.empty()) return trouble;
  if (sinks_.size() >= kMost)
    return "limit of " + std::to_string(kMost) + " captures at the same time reached; end one first";
  set_send_buffer(socket.get(), kBufferBytes);  // without the capability, as much as the host allows
  sinks_[mirror] = std::make_shared<CaptureSocket>(std::move(socket));
  return {};
}

std::shared_ptr<CaptureSink> Captures::find(const ovsdb::Uuid& mirror) const {
  const auto found = sinks_.find(mirror);
  return found == sinks_.end() ? nullptr : found->second;
}

void Captures::remove_unused(const ovsdb::Database& database) {
  std::erase_if(sinks_, [&](const auto& item) { return database.find("Mirror", item.first) == nullptr; });
}

}  // namespace vswitch::bridge
