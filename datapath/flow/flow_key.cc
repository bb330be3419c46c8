// SPDX-License-Identifier: Apache-2.0
// Follows miniflow_extract() of Open vSwitch 3.1 (lib/flow.c) check by check: the differential test
// (tests/system/test_filter.py) compares both with random frames, malformed ones included.
#include "datapath/flow/flow_key.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "datapath/frame/headers.h"

namespace vswitch {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint16_t kNoEtherType = 0x5ff;  // FLOW_DL_TYPE_NONE

/// Consumes the EtherType at the cursor, or that of an LLC/SNAP header behind a length.
std::uint16_t take_ether_type(HeaderCursor& cursor) {
  constexpr std::uint8_t kSnap[] = {0xaa, 0xaa, 0x03, 0, 0, 0};
  constexpr std::size_t kSnapHeader = sizeof kSnap + kEtherTypeLength;
  const std::uint16_t type = u16_at(cursor.rest(), 0);
  cursor.skip(kEtherTypeLength);
  if (type >= kMinEtherType) return type;
  if (!cursor.has(kSnapHeader) || std::memcmp(cursor.rest().data(), kSnap, sizeof kSnap) != 0)
    return kNoEtherType;
  const std::uint16_t snap_type = u16_at(cursor.rest(), sizeof kSnap);
  cursor.skip(kSnapHeader);
  return snap_type >= kMinEtherType ? snap_type : kNoEtherType;
}

void read_arp(FlowKey& key, Bytes rest) {
  // Ethernet and IPv4 (RFC 826): hardware type, protocol, lengths, operation, then the four addresses.
  constexpr std::uint8_t kEthernetIpv4[] = {0, 1, 0x08, 0x00, 6, 4};
  if (rest.size() < kArpEthernetIpv4 || std::memcmp(rest.data(), kEthernetIpv4, sizeof kEthernetIpv4) != 0)
    return;
  const std::uint16_t operation = u16_at(rest, 6);
  if (operation <= 0xff) key.set_number(key_slot::kProtocol, operation);
  key.set(key_slot::kArpSha, rest.subspan(8, 6));
  key.set(key_slot::kIpv4Src, rest.subspan(14, 4));
  key.set(key_slot::kArpTha, rest.subspan(18, 6));
  key.set(key_slot::kIpv4Dst, rest.subspan(24, 4));
}

void read_ports(FlowKey& key, Bytes header) {
  key.set(key_slot::kSrcPort, header.subspan(0, 2));
  key.set(key_slot::kDstPort, header.subspan(2, 2));
}

void read_icmp_type(FlowKey& key, Bytes header) {
  key.set_number(key_slot::kSrcPort, header[0]);
  key.set_number(key_slot::kDstPort, header[1]);
}

/// Target and link-layer address options of neighbour discovery (RFC 4861); `rest` starts at the target.
void read_neighbour(FlowKey& key, Bytes rest) {
  constexpr std::uint8_t kSourceAddress = 1;
  constexpr std::uint8_t kTargetAddress = 2;
  constexpr std::size_t kUnit = 8;
  constexpr std::array<std::uint8_t, 6> kNone{};
  if (rest.size() < key_slot::kNdTarget.size) return;
  const Bytes target = rest.first(key_slot::kNdTarget.size);
  HeaderCursor options(rest.subspan(target.size()));
  std::array<std::uint8_t, 6> source{};
  std::array<std::uint8_t, 6> own{};
  while (options.has(kUnit)) {
    const Bytes option = options.rest();
    const std::size_t length = option[1] * kUnit;
    if (length == 0 || !options.skip(length)) break;
    if (length == kUnit && (option[0] == kSourceAddress || option[0] == kTargetAddress)) {
      auto& address = option[0] == kSourceAddress ? source : own;
      if (address != kNone) return;  // a repeated option invalidates all options and the target
      std::copy_n(option.begin() + 2, address.size(), address.begin());
    }
  }
  key.set(key_slot::kNdTarget, target);
  key.set(key_slot::kArpSha, source);
  key.set(key_slot::kArpTha, own);
}

void read_tcp(FlowKey& key, Bytes rest) {
  if (rest.size() < kTcpHeader) return;
  const std::size_t length = tcp_header_length(rest);
  if (length < kTcpHeader || rest.size() < length) return;
  read_ports(key, rest);
  key.set_number(key_slot::kTcpFlags, u16_at(rest, kTcpFlagsAt - 1) & 0x0fff);
}

void read_icmpv6(FlowKey& key, Bytes rest) {
  constexpr std::uint8_t kSolicit = 135;
  constexpr std::uint8_t kAdvert = 136;
  if (rest.size() < kIcmpHeader) return;
  read_icmp_type(key, rest);
  if ((rest[0] == kSolicit || rest[0] == kAdvert) && rest[1] == 0)
    read_neighbour(key, rest.subspan(kIcmpHeader));
}

void read_transport(FlowKey& key, std::uint8_t protocol, Bytes rest) {
  if (protocol == kIpProtoTcp) read_tcp(key, rest);
  if (protocol == kIpProtoUdp && rest.size() >= kUdpHeader) read_ports(key, rest);
  if (protocol == kIpProtoSctp && rest.size() >= kSctpHeader) read_ports(key, rest);
  if (protocol == kIpProtoIcmp && rest.size() >= kIcmpHeader) read_icmp_type(key, rest);
  if (protocol == kIpProtoIcmpv6) read_icmpv6(key, rest);
}

void read_ipv4(FlowKey& key, Bytes rest) {
  const auto ip = Ipv4View::of(rest);
  if (!ip) return;
  const std::size_t header = ip->header_length();
  const std::size_t total = ip->total_length();
  if (header < Ipv4View::kLength || total < header || total > rest.size()) return;
  const bool later = ip->is_later_fragment();
  key.set(key_slot::kIpv4Src, ip->source());
  key.set(key_slot::kIpv4Dst, ip->destination());
  key.set_number(key_slot::kTos, ip->tos());
  key.set_number(key_slot::kTtl, ip->ttl());
  key.set_number(key_slot::kProtocol, ip->protocol());
  if (ip->is_fragment()) key.set_number(key_slot::kFragment, kAnyFragment | (later ? kLaterFragment : 0));
  if (!later) read_transport(key, ip->protocol(), rest.subspan(header, total - header));  // without padding
}

/// The protocol behind the extension headers.
struct UpperLayer {
  std::uint8_t protocol;
  std::uint8_t fragment = 0;
};

/// Walks the extension headers and moves `cursor` to the upper layer; nullopt if one of them is truncated.
std::optional<UpperLayer> walk_extensions(std::uint8_t protocol, HeaderCursor& cursor) {
  constexpr std::size_t kShortest = 8;
  UpperLayer upper{.protocol = protocol};
  for (;;) {
    const bool option = is_ipv6_option_header(upper.protocol);
    if (!option && upper.protocol != kIpProtoAh && upper.protocol != kIpProtoFragment) return upper;
    if (!cursor.has(kShortest)) return std::nullopt;
    const Bytes header = cursor.rest();
    std::size_t length = 0;
    if (option) {
      length = ipv6_option_header_length(header);
    } else if (upper.protocol == kIpProtoAh) {
      length = (header[1] + std::size_t{2}) * 4;  // in units of 4 bytes (RFC 4302)
    } else {
      length = Ipv6FragmentView::kLength;
      const Ipv6FragmentView fragment = *Ipv6FragmentView::of(header);
      if (fragment.is_fragment()) upper.fragment = kAnyFragment;
      if (fragment.is_later_fragment()) return UpperLayer{kIpProtoFragment, kAnyFragment | kLaterFragment};
    }
    upper.protocol = header[0];
    if (!cursor.skip(length)) return std::nullopt;
  }
}

void read_ipv6(FlowKey& key, Bytes rest) {
  const auto ip = Ipv6View::of(rest);
  if (!ip || Ipv6View::kLength + ip->payload_length() > rest.size()) return;
  key.set(key_slot::kIpv6Src, ip->source());
  key.set(key_slot::kIpv6Dst, ip->destination());
  HeaderCursor cursor(rest.subspan(Ipv6View::kLength, ip->payload_length()));
  const auto upper = walk_extensions(ip->next_header(), cursor);
  if (!upper) return;
  key.set_number(key_slot::kTos, ip->traffic_class());
  key.set_number(key_slot::kTtl, ip->hop_limit());
  key.set_number(key_slot::kIpv6Label, ip->flow_label());
  key.set_number(key_slot::kProtocol, upper->protocol);
  key.set_number(key_slot::kFragment, upper->fragment);
  if ((upper->fragment & kLaterFragment) == 0) read_transport(key, upper->protocol, cursor.rest());
}

}  // namespace

FlowKey::FlowKey(const Frame& frame, const BridgeTags& tags) {
  set(key_slot::kEthDst, frame.dst.octets);
  set(key_slot::kEthSrc, frame.src.octets);
  HeaderCursor cursor(frame.payload);
  std::optional<VlanTag> tag = tags.outer;
  if (!tag && (tag = frame.inner_tag())) cursor.skip(kTagLength);  // the outer tag was removed
  if (tag) set_number(key_slot::kVlanTci, tag->tci | kTagPresent);
  if (tags.inner) {
    set_number(key_slot::kEthType, tags.inner->tpid);
    return;
  }
  const std::uint16_t type = take_ether_type(cursor);
  set_number(key_slot::kEthType, type);
  if (type == kEtherTypeIpv4) read_ipv4(*this, cursor.rest());
  if (type == kEtherTypeIpv6) read_ipv6(*this, cursor.rest());
  if (type == kEtherTypeArp || type == kEtherTypeRarp) read_arp(*this, cursor.rest());
}

std::uint32_t FlowKey::number(KeySlot slot) const {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(words_.data()) + slot.at;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < slot.size; ++i) value = value << 8 | bytes[i];
  return value;
}

FlowKey::Value FlowKey::value(KeySlot slot) const {
  Value value{};
  std::memcpy(value.data(), reinterpret_cast<const std::uint8_t*>(words_.data()) + slot.at, slot.size);
  return value;
}

void FlowKey::set(KeySlot slot, std::span<const std::uint8_t> value) {
  std::memcpy(reinterpret_cast<std::uint8_t*>(words_.data()) + slot.at, value.data(), slot.size);
}

void FlowKey::set_number(KeySlot slot, std::uint32_t value) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(words_.data()) + slot.at;
  for (std::size_t i = slot.size; i-- > 0; value >>= 8) bytes[i] = static_cast<std::uint8_t>(value);
}

}  // namespace vswitch
