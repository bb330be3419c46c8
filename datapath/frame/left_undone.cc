// SPDX-License-Identifier: Apache-2.0
#include "datapath/frame/left_undone.h"

#include <algorithm>
#include <optional>

#include "datapath/frame/checksum.h"
#include "datapath/frame/headers.h"

namespace vswitch {

namespace {

/// A complete TCP or UDP packet, not a fragment.
struct Packet {
  bool v6;
  std::uint8_t protocol;
  std::span<const std::uint8_t> addresses;
  std::size_t transport_at;
  std::size_t end;
};

std::optional<Packet> find_packet(std::span<const std::uint8_t> frame) {
  const std::size_t type_at = skip_vlan_tags(frame, kAddressesLength);
  const std::size_t ip_at = type_at + kEtherTypeLength;
  if (frame.size() < ip_at + Ipv6View::kLength) return std::nullopt;  // too short for IPv6, or TCP over IPv4
  const auto bytes = frame.subspan(ip_at);
  Packet packet{};
  if (u16_at(frame, type_at) == kEtherTypeIpv4) {
    const Ipv4View ip = *Ipv4View::of(bytes);
    if (ip.is_fragment()) return std::nullopt;
    packet = {false, ip.protocol(), ip.addresses(), ip_at + ip.header_length(), ip_at + ip.total_length()};
  } else if (u16_at(frame, type_at) == kEtherTypeIpv6) {
    const Ipv6View ip = *Ipv6View::of(bytes);
    const std::size_t transport_at = ip_at + Ipv6View::kLength;
    packet = {true, ip.next_header(), ip.addresses(), transport_at, transport_at + ip.payload_length()};
  } else {
    return std::nullopt;
  }
  const std::size_t header = packet.protocol == kIpProtoTcp   ? kTcpHeader
                             : packet.protocol == kIpProtoUdp ? kUdpHeader
                                                              : 0;
  if (header == 0 || packet.end > frame.size() || packet.transport_at + header > packet.end)
    return std::nullopt;
  return packet;
}

std::uint16_t pseudo_header_sum(const Packet& packet) {
  std::uint32_t sum = internet_sum(packet.addresses);
  sum += packet.protocol;
  sum += static_cast<std::uint32_t>(packet.end - packet.transport_at);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

}  // namespace

Offload left_undone(std::span<const std::uint8_t> frame, std::size_t longest) {
  const auto packet = find_packet(frame);
  if (!packet) return {};
  const bool tcp = packet->protocol == kIpProtoTcp;
  Offload offload;
  offload.checksum_start = static_cast<std::uint16_t>(packet->transport_at);
  offload.checksum_offset = tcp ? kTcpChecksumAt : kUdpChecksumAt;
  if (u16_at(frame, packet->transport_at + offload.checksum_offset) != pseudo_header_sum(*packet)) return {};
  offload.needs_checksum = true;
  const std::size_t headers =
      packet->transport_at + (tcp ? tcp_header_length(frame.subspan(packet->transport_at)) : kUdpHeader);
  if (!tcp || frame.size() <= longest || headers >= longest) return offload;
  offload.gso_type = packet->v6 ? kGsoTcp6 : kGsoTcp4;
  offload.gso_size = static_cast<std::uint16_t>(longest - headers);
  offload.header_length = static_cast<std::uint16_t>(headers);
  return offload;
}

}  // namespace vswitch
