// SPDX-License-Identifier: Apache-2.0
#include "datapath/frame/left_undone.h"

#include <netinet/in.h>

#include <algorithm>
#include <optional>

#include "datapath/frame/checksum.h"

namespace vswitch {

namespace {

std::uint16_t u16_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

/// A whole packet of TCP or UDP that is no fragment.
struct Packet {
  bool v6;
  std::uint8_t protocol;
  std::span<const std::uint8_t> addresses;
  std::size_t transport_at;
  std::size_t end;
};

std::optional<Packet> find_packet(std::span<const std::uint8_t> frame) {
  std::size_t at = kAddressesLength;
  while (frame.size() >= at + 2 + kTagLength && is_vlan_tpid(u16_at(frame, at))) at += kTagLength;
  if (frame.size() < at + 2 + 40) return std::nullopt;  // shorter ones have no TCP, nor IPv6
  const auto ip = frame.subspan(at + 2);
  Packet packet{};
  if (u16_at(frame, at) == 0x0800) {
    const std::size_t header = std::size_t{4} * (ip[0] & 0x0f);
    if ((u16_at(ip, 6) & 0x3fff) != 0) return std::nullopt;
    packet = {false, ip[9], ip.subspan(12, 8), at + 2 + header, at + 2 + u16_at(ip, 2)};
  } else if (u16_at(frame, at) == 0x86dd) {
    packet = {true, ip[6], ip.subspan(8, 32), at + 2 + 40, at + 2 + 40 + u16_at(ip, 4)};
  } else {
    return std::nullopt;
  }
  const std::size_t header = packet.protocol == IPPROTO_TCP ? 20 : packet.protocol == IPPROTO_UDP ? 8 : 0;
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
  const bool tcp = packet->protocol == IPPROTO_TCP;
  Offload offload;
  offload.checksum_start = static_cast<std::uint16_t>(packet->transport_at);
  offload.checksum_offset = tcp ? 16 : 6;
  if (u16_at(frame, packet->transport_at + offload.checksum_offset) != pseudo_header_sum(*packet)) return {};
  offload.needs_checksum = true;
  const std::size_t headers =
      packet->transport_at + (tcp ? std::size_t{4} * (frame[packet->transport_at + 12] >> 4) : 8);
  if (!tcp || frame.size() <= longest || headers >= longest) return offload;
  offload.gso_type = packet->v6 ? kGsoTcp6 : kGsoTcp4;
  offload.gso_size = static_cast<std::uint16_t>(longest - headers);
  offload.header_length = static_cast<std::uint16_t>(headers);
  return offload;
}

}  // namespace vswitch
