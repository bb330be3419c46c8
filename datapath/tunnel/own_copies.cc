// SPDX-License-Identifier: Apache-2.0
#include "datapath/tunnel/own_copies.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <algorithm>
#include <optional>

namespace vswitch::tunnel {

namespace {

constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kIpv6Header = 40;
constexpr std::size_t kFragmentHeader = 8;  // IPv6, RFC 8200, section 4.5
constexpr std::size_t kIcmpHeader = 8;

std::uint16_t u16_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

/// An IP packet as far as it is needed here.
struct Packet {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;
  bool later_fragment = false;  ///< what follows is no transport header
  std::span<const std::uint8_t> transport;
};

std::optional<Packet> read_ipv4(std::span<const std::uint8_t> ip) {
  const std::size_t header = std::size_t{4} * (ip[0] & 0x0f);
  if (ip.size() < kIpv4Header || ip.size() < header) return std::nullopt;
  return Packet{.source = IpAddress::from_bytes(ip.subspan(12, 4)),
                .destination = IpAddress::from_bytes(ip.subspan(16, 4)),
                .protocol = ip[9],
                .later_fragment = (u16_at(ip, 6) & 0x1fff) != 0,
                .transport = ip.subspan(header)};
}

/// Our packets have no extension header but that of fragments.
std::optional<Packet> read_ipv6(std::span<const std::uint8_t> ip) {
  if (ip.size() < kIpv6Header) return std::nullopt;
  Packet packet{.source = IpAddress::from_bytes(ip.subspan(8, 16)),
                .destination = IpAddress::from_bytes(ip.subspan(24, 16)),
                .protocol = ip[6],
                .later_fragment = false,
                .transport = ip.subspan(kIpv6Header)};
  if (packet.protocol == IPPROTO_FRAGMENT && packet.transport.size() >= kFragmentHeader) {
    packet.protocol = packet.transport[0];
    packet.later_fragment = (u16_at(packet.transport, 2) & 0xfff8) != 0;
    packet.transport = packet.transport.subspan(kFragmentHeader);
  }
  return packet;
}

std::optional<Packet> read_ip(std::span<const std::uint8_t> ip) {
  if (ip.empty()) return std::nullopt;
  return ip[0] >> 4 == 6 ? read_ipv6(ip) : ip[0] >> 4 == 4 ? read_ipv4(ip) : std::nullopt;
}

/// The packet that an ICMP error is about: who cannot take our copies quotes them.
std::optional<Packet> quoted_in(const Packet& packet) {
  if (packet.later_fragment || packet.transport.size() < kIcmpHeader) return std::nullopt;
  const std::uint8_t type = packet.transport[0];
  const bool error =
      packet.protocol == IPPROTO_ICMP
          ? type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB
          : packet.protocol == IPPROTO_ICMPV6 && (type & ICMP6_INFOMSG_MASK) == 0;
  return error ? read_ip(packet.transport.subspan(kIcmpHeader)) : std::nullopt;
}

}  // namespace

void OwnCopies::add(const TunnelEndpointSettings& endpoint, const std::optional<IpAddress>& source) {
  const Encapsulation& how = endpoint.encapsulation;
  IpAddress remote = endpoint.remote;
  remote.scope = 0;
  tunnels_.push_back({remote, how.encap == Encap::vxlan ? how.dst_port : std::uint16_t{0}, source});
}

void OwnCopies::finish() {
  std::sort(tunnels_.begin(), tunnels_.end());
  tunnels_.erase(std::unique(tunnels_.begin(), tunnels_.end()), tunnels_.end());
}

bool OwnCopies::contains(std::span<const std::uint8_t> payload) const {
  if (tunnels_.empty()) return false;
  while (payload.size() >= 2 + kTagLength && is_vlan_tpid(u16_at(payload, 0)))
    payload = payload.subspan(kTagLength);
  if (payload.size() < 2) return false;
  const std::uint16_t ether_type = u16_at(payload, 0);
  if (ether_type != 0x0800 && ether_type != 0x86dd) return false;
  const auto goes_through = [this](const Packet& packet) {
    const auto same = [&packet](const Tunnel& tunnel) {
      const bool udp = tunnel.udp_port != 0;
      if (tunnel.source && packet.source != *tunnel.source) return false;
      if (packet.protocol != (udp ? IPPROTO_UDP : IPPROTO_GRE)) return false;
      // A later fragment does not say its port: UDP to an endpoint of VXLAN is taken for one.
      return !udp || packet.later_fragment ||
             (packet.transport.size() >= 4 && u16_at(packet.transport, 2) == tunnel.udp_port);
    };
    const auto [first, last] =
        std::equal_range(tunnels_.begin(), tunnels_.end(), Tunnel{packet.destination, 0, {}},
                         [](const Tunnel& a, const Tunnel& b) { return a.remote < b.remote; });
    return std::any_of(first, last, same);
  };
  const auto packet = read_ip(payload.subspan(2));
  if (!packet) return false;
  if (goes_through(*packet)) return true;
  const auto quoted = quoted_in(*packet);
  return quoted && goes_through(*quoted);
}

}  // namespace vswitch::tunnel
