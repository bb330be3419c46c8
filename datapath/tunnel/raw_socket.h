// SPDX-License-Identifier: Apache-2.0
// raw(7) sockets of tunnels.
#pragma once

#include <sys/socket.h>

#include <span>

#include "datapath/base/unique_fd.h"
#include "datapath/tunnel/tunnel_endpoint.h"

struct sock_filter;

namespace vswitch::tunnel {

/// setsockopt(2); throws std::system_error with "cannot set NAME on a tunnel socket".
void set_socket_option(const UniqueFd& fd, int level, int option, const void* value, socklen_t length,
                       const char* name);
template <typename Value>
void set_socket_option(const UniqueFd& fd, int level, int option, const Value& value, const char* name) {
  set_socket_option(fd, level, option, &value, sizeof value, name);
}

/// Attaches a cBPF program that decides which packets the socket receives. Throws std::system_error.
void set_socket_filter(const UniqueFd& fd, std::span<const sock_filter> program);
/// Makes the socket receive nothing. Throws std::system_error.
void block_receive(const UniqueFd& fd);

/// Opens a socket for the packets of a tunnel (GRE, or UDP with its header), bound to the local address if
/// one is set, even if the host does not have that address yet. Throws std::system_error.
UniqueFd open_raw_socket(const TunnelEndpointSettings& settings);

}  // namespace vswitch::tunnel
