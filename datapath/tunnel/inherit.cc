// SPDX-License-Identifier: Apache-2.0
#include "datapath/tunnel/inherit.h"

#include <algorithm>
#include <array>
#include <optional>

#include "datapath/frame/headers.h"

namespace vswitch::tunnel {
namespace {

constexpr std::uint8_t kDscpMask = 0xfc;
constexpr std::uint8_t kEcnMask = 0x03;
constexpr std::uint8_t kCongestion = 0x03;  // CE
constexpr std::uint8_t kCapable = 0x02;     // ECT(0)
constexpr std::size_t kIpv4ChecksumAt = 10;

/// The IP header of a frame.
struct InnerPacket {
  std::size_t at;  ///< offset of the header
  bool v6;
  OuterFields fields;
};

std::optional<InnerPacket> packet_in(std::span<const std::uint8_t> frame) {
  if (frame.size() < kAddressesLength + kEtherTypeLength) return std::nullopt;
  const std::size_t type_at = skip_vlan_tags(frame, kAddressesLength, 1);
  const std::uint16_t type = u16_at(frame, type_at);
  const std::size_t at = type_at + kEtherTypeLength;
  if (type == kEtherTypeIpv4) {
    const auto header = Ipv4View::of(frame.subspan(at));
    if (header) return InnerPacket{.at = at, .v6 = false, .fields = {header->ttl(), header->tos()}};
  } else if (type == kEtherTypeIpv6) {
    const auto header = Ipv6View::of(frame.subspan(at));
    if (header)
      return InnerPacket{.at = at, .v6 = true, .fields = {header->hop_limit(), header->traffic_class()}};
  }
  return std::nullopt;
}

}  // namespace

OuterFields outer_fields(const TunnelEndpointSettings& settings, std::span<const std::uint8_t> first,
                         std::span<const std::uint8_t> second) {
  OuterFields outer{.ttl = settings.ttl, .tos = static_cast<std::uint8_t>(settings.dscp << 2)};
  std::array<std::uint8_t, kAddressesLength + kTagLength + kEtherTypeLength + Ipv6View::kLength> head;
  const std::size_t of_first = std::min(first.size(), head.size());
  const std::size_t of_second = std::min(second.size(), head.size() - of_first);
  std::copy_n(first.begin(), of_first, head.begin());
  std::copy_n(second.begin(), of_second, head.begin() + static_cast<std::ptrdiff_t>(of_first));
  const auto packet = packet_in(std::span(head).first(of_first + of_second));
  if (!packet) return outer;
  const OuterFields& inner = packet->fields;
  // The host sends no packet with TTL 0.
  if (settings.inherit_ttl) outer.ttl = std::max<std::uint8_t>(inner.ttl, 1);
  if (settings.inherit_dscp) outer.tos = inner.tos & kDscpMask;
  if (settings.inherit_ecn) {
    const auto ecn = static_cast<std::uint8_t>(inner.tos & kEcnMask);
    outer.tos |= ecn == kCongestion ? kCapable : ecn;
  }
  return outer;
}

bool take_congestion_mark(std::uint8_t outer_tos, std::span<std::uint8_t> frame) {
  if ((outer_tos & kEcnMask) != kCongestion) return true;
  const auto packet = packet_in(frame);
  if (!packet) return true;
  if ((packet->fields.tos & kEcnMask) == 0) return false;
  const std::span<std::uint8_t> header = frame.subspan(packet->at);
  if (packet->v6) {
    header[1] |= kCongestion << 4;
    return true;
  }
  // The checksum follows the changed word (RFC 1624).
  const std::uint32_t before = u16_at(header, 0);
  header[1] |= kCongestion;
  std::uint32_t sum =
      (0xffffU & ~std::uint32_t{u16_at(header, kIpv4ChecksumAt)}) + (0xffffU & ~before) + u16_at(header, 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  put_u16(header, kIpv4ChecksumAt, 0xffffU & ~sum);
  return true;
}

}  // namespace vswitch::tunnel
