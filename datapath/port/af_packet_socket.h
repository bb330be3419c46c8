// SPDX-License-Identifier: Apache-2.0
// Packet sockets (packet(7)): what receiving and sending have in common.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "datapath/base/unique_fd.h"

namespace vswitch::af_packet {

/// Batches until a port asks again for what the kernel refused: a larger ring, or the way past the queueing
/// discipline.
inline constexpr std::uint32_t kBatchesBeforeRetrying = 4096;

/// Throws std::system_error with errno.
[[noreturn]] void fail(const std::string& what);

template <typename T>
void set_option(const UniqueFd& fd, int level, int option, const T& value, const std::string& what) {
  if (::setsockopt(fd.get(), level, option, &value, sizeof value) != 0) fail(what);
}

/// A packet socket with protocol 0: it gets no frames until it is bound to a protocol. `device` is for the
/// sentences of errors, here and below.
UniqueFd packet_socket(const std::string& device);

/// `protocol` 0: sends only.
void bind_to(const UniqueFd& fd, int ifindex, std::uint16_t protocol, const std::string& device);

}  // namespace vswitch::af_packet
