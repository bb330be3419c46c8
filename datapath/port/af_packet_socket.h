// SPDX-License-Identifier: Apache-2.0
// Packet sockets (packet(7)), for receiving and sending.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "datapath/base/unique_fd.h"

namespace vswitch::af_packet {

/// Batches until a port retries what the kernel refused: a larger ring, or bypassing the queueing discipline.
inline constexpr std::uint32_t kBatchesBeforeRetrying = 4096;

/// Throws std::system_error with errno and the message `what`.
[[noreturn]] void fail(const std::string& what);

/// setsockopt(2). Throws std::system_error with the message `what`.
template <typename T>
void set_option(const UniqueFd& fd, int level, int option, const T& value, const std::string& what) {
  if (::setsockopt(fd.get(), level, option, &value, sizeof value) != 0) fail(what);
}

/// Opens a packet socket with protocol 0: it receives no frames until it is bound to a protocol. `device` is
/// for error messages, here and below. Both functions throw std::system_error.
UniqueFd packet_socket(const std::string& device);

/// Binds the socket to a device. `protocol` 0: sends only.
void bind_to(const UniqueFd& fd, int ifindex, std::uint16_t protocol, const std::string& device);

}  // namespace vswitch::af_packet
