// SPDX-License-Identifier: Apache-2.0
// The programs that capture: each has a session, and a socket that it has passed with the request for it.
//
// The socket is written without waiting. What its reader does not take stays in the socket's buffer, which is bounded;
// beyond it copies are lost, as reader_slow, and nobody else notices.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "datapath/base/thread_annotations.h"
#include "datapath/base/unique_fd.h"
#include "datapath/mirror/capture_sink.h"
#include "schemas/ovsdb/uuid.h"

namespace vswitch::ovsdb {
class Database;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

/// schemas/capture_record.h
class CaptureSocket final : public CaptureSink {
 public:
  explicit CaptureSocket(UniqueFd socket) : socket_(std::move(socket)) {}
  void send(std::span<const CapturedFrame> frames) override;
  const char* kind() const override { return kCapture; }

 private:
  void write(std::span<const std::byte> message, std::span<const CapturedFrame> frames);

  const UniqueFd socket_;
};

/// What is wrong with a descriptor that came with a request, as a sentence that begins with `what` ("a capture"); empty:
/// it is one end of a pair of sockets as capture_record.h wants it.
std::string socket_trouble(const char* what, const UniqueFd& socket);

class Captures {
 public:
  static constexpr std::size_t kMost = 16;                           ///< at the same time
  static constexpr std::size_t kBufferBytes = std::size_t{8} << 20;  ///< of each socket, in the kernel

  /// The copies of this session go to `socket` from its next change on. Returns what is wrong with the socket, or that
  /// there are too many captures, as a sentence; empty: nothing, and it has the socket.
  std::string add(const ovsdb::Uuid& mirror, UniqueFd socket) REQUIRES(roles::control);
  /// Null if its program has ended.
  std::shared_ptr<CaptureSink> find(const ovsdb::Uuid& mirror) const;
  /// Closes the sockets of sessions that do not exist any more.
  void remove_unused(const ovsdb::Database& database) REQUIRES(roles::control);

 private:
  std::map<ovsdb::Uuid, std::shared_ptr<CaptureSink>> sinks_;
};

}  // namespace vswitch::bridge
