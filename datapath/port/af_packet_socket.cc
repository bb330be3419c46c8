// SPDX-License-Identifier: Apache-2.0
#include "datapath/port/af_packet_socket.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>

#include <cerrno>
#include <system_error>

namespace vswitch::af_packet {

void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

UniqueFd packet_socket(const std::string& device) {
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) fail("cannot open a packet socket for " + device);
  set_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1, "cannot set PACKET_VNET_HDR for " + device);
  return fd;
}

void bind_to(const UniqueFd& fd, int ifindex, std::uint16_t protocol, const std::string& device) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = ifindex;
  // packet(7): sockaddr_ll goes through the generic sockaddr.
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("cannot attach to device " + device);
  }
}

}  // namespace vswitch::af_packet
