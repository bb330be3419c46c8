// SPDX-License-Identifier: Apache-2.0
// Sizes of socket buffers. Only a process with CAP_NET_ADMIN in the initial user namespace may exceed
// net.core.rmem_max and wmem_max; in any other, such as a container of an ordinary user, a socket gets what
// they allow.
#pragma once

#include <cstddef>
#include <string>

namespace vswitch {

/// Sets the receive buffer to `bytes`, the kernel's overhead included, or to as much as is permitted. False
/// with errno on failure.
bool set_receive_buffer(int socket, std::size_t bytes);
/// The same for the send buffer.
bool set_send_buffer(int socket, std::size_t bytes);

/// What this process has to do with: nothing, or a sentence that names the limits and the remedy.
std::string buffer_limits();

}  // namespace vswitch
