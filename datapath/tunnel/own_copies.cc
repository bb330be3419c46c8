// SPDX-License-Identifier: Apache-2.0
#include "datapath/tunnel/own_copies.h"

#include <netinet/in.h>

#include <algorithm>

namespace vswitch {

namespace {

constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kIpv6Header = 40;

std::uint16_t u16_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

}  // namespace

void OwnCopies::add(const EndpointSettings& endpoint) {
  const Encapsulation& how = endpoint.encapsulation;
  IpAddress remote = endpoint.remote;
  remote.scope = 0;
  tunnels_.push_back({remote, how.encap == Encap::vxlan ? how.dst_port : std::uint16_t{0}});
}

void OwnCopies::finish() {
  std::sort(tunnels_.begin(), tunnels_.end());
  tunnels_.erase(std::unique(tunnels_.begin(), tunnels_.end()), tunnels_.end());
}

bool OwnCopies::contains(std::span<const std::uint8_t> payload) const {
  while (payload.size() >= 2 + kTagLength && is_vlan_tpid(u16_at(payload, 0)))
    payload = payload.subspan(kTagLength);
  if (payload.size() < 2 + kIpv4Header) return false;
  const std::uint16_t ether_type = u16_at(payload, 0);
  const auto ip = payload.subspan(2);
  std::uint8_t protocol = 0;
  std::size_t header = 0;
  IpAddress destination;
  if (ether_type == 0x0800) {
    protocol = ip[9];
    header = std::size_t{4} * (ip[0] & 0x0f);
    destination = IpAddress::from_bytes(ip.subspan(16, 4));
  } else if (ether_type == 0x86dd && ip.size() >= kIpv6Header) {
    protocol = ip[6];
    header = kIpv6Header;
    destination = IpAddress::from_bytes(ip.subspan(24, 16));
  }
  Tunnel tunnel{destination, 0};
  if (protocol == IPPROTO_UDP && ip.size() >= header + 4) {
    tunnel.udp_port = u16_at(ip, header + 2);
  } else if (protocol != IPPROTO_GRE) {
    return false;
  }
  return std::binary_search(tunnels_.begin(), tunnels_.end(), tunnel);
}

}  // namespace vswitch
