// SPDX-License-Identifier: Apache-2.0
#include "datapath/tunnel/raw_socket.h"

#include <linux/filter.h>
#include <linux/in6.h>
#include <netinet/in.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace vswitch::tunnel {

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

void set_socket_option(const UniqueFd& fd, int level, int option, const void* value, socklen_t length,
                       const char* name) {
  if (::setsockopt(fd.get(), level, option, value, length) != 0)
    fail(std::string("cannot set ") + name + " on a tunnel socket");
}

void set_socket_filter(const UniqueFd& fd, std::span<const sock_filter> program) {
  const sock_fprog whole{static_cast<unsigned short>(program.size()),
                         const_cast<sock_filter*>(program.data())};
  set_socket_option(fd, SOL_SOCKET, SO_ATTACH_FILTER, whole, "SO_ATTACH_FILTER");
}

void block_receive(const UniqueFd& fd) {
  const sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  set_socket_filter(fd, {&drop, 1});
}

UniqueFd open_raw_socket(const TunnelEndpointSettings& settings) {
  const int protocol = is_udp(settings.encapsulation.encap) ? IPPROTO_UDP : IPPROTO_GRE;
  UniqueFd fd(::socket(settings.remote.family(), SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!fd) fail("cannot open a raw socket for a tunnel");
  if (!settings.local) return fd;
  if (settings.remote.v6) {
    set_socket_option(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND");
  } else {
    set_socket_option(fd, IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND");
  }
  sockaddr_storage address;
  const socklen_t length = settings.local->to_sockaddr(address);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0)
    fail("cannot send from " + settings.local->to_string());
  return fd;
}

}  // namespace vswitch::tunnel
