// SPDX-License-Identifier: Apache-2.0
#include "datapath/tunnel/own_copies.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include <algorithm>
#include <optional>

#include "datapath/frame/headers.h"

namespace vswitch::tunnel {

namespace {

/// The parts of an IP packet that are needed here.
struct Packet {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;
  bool later_fragment = false;  ///< no transport header follows
  std::span<const std::uint8_t> transport;
};

std::optional<Packet> read_ipv4(std::span<const std::uint8_t> bytes) {
  const auto ip = Ipv4View::of(bytes);
  if (!ip || bytes.size() < ip->header_length()) return std::nullopt;
  return Packet{.source = IpAddress::from_bytes(ip->source()),
                .destination = IpAddress::from_bytes(ip->destination()),
                .protocol = ip->protocol(),
                .later_fragment = ip->is_later_fragment(),
                .transport = bytes.subspan(ip->header_length())};
}

/// Our packets have no extension header other than the fragment header.
std::optional<Packet> read_ipv6(std::span<const std::uint8_t> bytes) {
  const auto ip = Ipv6View::of(bytes);
  if (!ip) return std::nullopt;
  Packet packet{.source = IpAddress::from_bytes(ip->source()),
                .destination = IpAddress::from_bytes(ip->destination()),
                .protocol = ip->next_header(),
                .later_fragment = false,
                .transport = bytes.subspan(Ipv6View::kLength)};
  const auto fragment = Ipv6FragmentView::of(packet.transport);
  if (packet.protocol == kIpProtoFragment && fragment) {
    packet.protocol = fragment->next_header();
    packet.later_fragment = fragment->is_later_fragment();
    packet.transport = packet.transport.subspan(Ipv6FragmentView::kLength);
  }
  return packet;
}

std::optional<Packet> read_ip(std::span<const std::uint8_t> ip) {
  if (ip.empty()) return std::nullopt;
  return ip[0] >> 4 == 6 ? read_ipv6(ip) : ip[0] >> 4 == 4 ? read_ipv4(ip) : std::nullopt;
}

/// The packet that an ICMP error quotes: routers and hosts that reject our copies quote them.
std::optional<Packet> quoted_in(const Packet& packet) {
  if (packet.later_fragment || packet.transport.size() < kIcmpHeader) return std::nullopt;
  const std::uint8_t type = packet.transport[0];
  const bool error =
      packet.protocol == kIpProtoIcmp
          ? type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB
          : packet.protocol == kIpProtoIcmpv6 && (type & ICMP6_INFOMSG_MASK) == 0;
  return error ? read_ip(packet.transport.subspan(kIcmpHeader)) : std::nullopt;
}

}  // namespace

void OwnCopies::add(const TunnelEndpointSettings& endpoint, const std::optional<IpAddress>& source) {
  const Encapsulation& how = endpoint.encapsulation;
  IpAddress remote = endpoint.remote;
  remote.scope = 0;
  tunnels_.push_back({remote, is_udp(how.encap) ? how.dst_port : std::uint16_t{0}, source});
}

void OwnCopies::add(const OwnCopies& others) {
  tunnels_.insert(tunnels_.end(), others.tunnels_.begin(), others.tunnels_.end());
}

void OwnCopies::finish() {
  std::sort(tunnels_.begin(), tunnels_.end());
  tunnels_.erase(std::unique(tunnels_.begin(), tunnels_.end()), tunnels_.end());
}

bool OwnCopies::contains(std::span<const std::uint8_t> payload) const {
  if (tunnels_.empty()) return false;
  payload = payload.subspan(skip_vlan_tags(payload, 0));
  if (payload.size() < kEtherTypeLength) return false;
  const std::uint16_t ether_type = u16_at(payload, 0);
  if (ether_type != kEtherTypeIpv4 && ether_type != kEtherTypeIpv6) return false;
  const auto goes_through = [this](const Packet& packet) {
    const auto same = [&packet](const Tunnel& tunnel) {
      const bool udp = tunnel.udp_port != 0;
      if (tunnel.source && packet.source != *tunnel.source) return false;
      if (packet.protocol != (udp ? kIpProtoUdp : kIpProtoGre)) return false;
      // A later fragment does not have the port: any later UDP fragment to such an endpoint counts as a copy.
      return !udp || packet.later_fragment ||
             (packet.transport.size() >= 4 && u16_at(packet.transport, 2) == tunnel.udp_port);
    };
    const auto [first, last] =
        std::equal_range(tunnels_.begin(), tunnels_.end(), Tunnel{packet.destination, 0, {}},
                         [](const Tunnel& a, const Tunnel& b) { return a.remote < b.remote; });
    return std::any_of(first, last, same);
  };
  const auto packet = read_ip(payload.subspan(kEtherTypeLength));
  if (!packet) return false;
  if (goes_through(*packet)) return true;
  const auto quoted = quoted_in(*packet);
  return quoted && goes_through(*quoted);
}

}  // namespace vswitch::tunnel
