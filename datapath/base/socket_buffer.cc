// SPDX-License-Identifier: Apache-2.0
#include "datapath/base/socket_buffer.h"

#include <sys/socket.h>

#include <cerrno>
#include <fstream>

#include "datapath/base/unique_fd.h"

namespace vswitch {

namespace {

/// The kernel doubles what is asked for.
bool set(int socket, int force, int within_limits, std::size_t bytes) {
  const int half = static_cast<int>(bytes / 2);
  if (::setsockopt(socket, SOL_SOCKET, force, &half, sizeof half) == 0) return true;
  return errno == EPERM && ::setsockopt(socket, SOL_SOCKET, within_limits, &half, sizeof half) == 0;
}

constexpr long kEnough = 2 << 20;  // what the kernel doubles for the receive buffers of ports

long read_limit(const char* name) {
  std::ifstream file(std::string("/proc/sys/net/core/") + name);
  long bytes = 0;
  file >> bytes;
  return bytes;
}

}  // namespace

bool set_receive_buffer(int socket, std::size_t bytes) {
  return set(socket, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
}

bool set_send_buffer(int socket, std::size_t bytes) {
  return set(socket, SO_SNDBUFFORCE, SO_SNDBUF, bytes);
}

std::string buffer_limits() {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int bytes = 65536;
  if (::setsockopt(probe.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0 || errno != EPERM)
    return {};
  const long receive = read_limit("rmem_max");
  const long send = read_limit("wmem_max");
  if (receive >= kEnough && send >= kEnough) return {};
  return "socket buffers are limited by net.core.rmem_max (" + std::to_string(receive) +
         " bytes) and net.core.wmem_max (" + std::to_string(send) +
         " bytes), because the daemon has no CAP_NET_ADMIN in the initial user namespace: busy ports lose "
         "long frames earlier; raise them to " +
         std::to_string(kEnough) + " if you can";
}

}  // namespace vswitch
