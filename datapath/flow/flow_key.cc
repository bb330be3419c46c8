// SPDX-License-Identifier: Apache-2.0
// Follows miniflow_extract() of Open vSwitch 3.1 (lib/flow.c) check by check: the differential test
// (tests/system/test_filter.py) compares both over random frames, broken ones included.
#include "datapath/flow/flow_key.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace vswitch {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint16_t kLeastEtherType = 0x600;  // what is less is a length (IEEE 802.3)
constexpr std::uint16_t kNoEtherType = 0x5ff;     // FLOW_DL_TYPE_NONE
constexpr std::uint16_t kIpv4 = 0x0800;
constexpr std::uint16_t kIpv6 = 0x86dd;
constexpr std::uint16_t kArp = 0x0806;
constexpr std::uint16_t kRarp = 0x8035;

std::uint16_t u16(Bytes bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

/// Takes the first `count` bytes off; false if there are fewer.
bool skip(Bytes& rest, std::size_t count) {
  if (rest.size() < count) return false;
  rest = rest.subspan(count);
  return true;
}

/// The EtherType at the start of `rest`, or that of an LLC/SNAP header behind a length.
std::uint16_t take_ether_type(Bytes& rest) {
  constexpr std::uint8_t kSnap[] = {0xaa, 0xaa, 0x03, 0, 0, 0};
  constexpr std::size_t kSnapHeader = sizeof kSnap + 2;
  const std::uint16_t type = u16(rest, 0);
  skip(rest, 2);
  if (type >= kLeastEtherType) return type;
  if (rest.size() < kSnapHeader || std::memcmp(rest.data(), kSnap, sizeof kSnap) != 0) return kNoEtherType;
  const std::uint16_t snap_type = u16(rest, sizeof kSnap);
  skip(rest, kSnapHeader);
  return snap_type >= kLeastEtherType ? snap_type : kNoEtherType;
}

void read_arp(FlowKey& key, Bytes rest) {
  // Ethernet and IPv4 (RFC 826): hardware type, protocol, lengths, operation, then the four addresses.
  constexpr std::uint8_t kEthernetIpv4[] = {0, 1, 0x08, 0x00, 6, 4};
  constexpr std::size_t kLength = 28;
  if (rest.size() < kLength || std::memcmp(rest.data(), kEthernetIpv4, sizeof kEthernetIpv4) != 0) return;
  const std::uint16_t operation = u16(rest, 6);
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
  skip(rest, target.size());
  std::array<std::uint8_t, 6> source{};
  std::array<std::uint8_t, 6> own{};
  while (rest.size() >= kUnit) {
    const std::size_t length = rest[1] * kUnit;
    if (length == 0 || length > rest.size()) break;
    if (length == kUnit && (rest[0] == kSourceAddress || rest[0] == kTargetAddress)) {
      auto& address = rest[0] == kSourceAddress ? source : own;
      if (address != kNone) return;  // the same option twice: none of it counts, nor does the target
      std::copy_n(rest.begin() + 2, address.size(), address.begin());
    }
    skip(rest, length);
  }
  key.set(key_slot::kNdTarget, target);
  key.set(key_slot::kArpSha, source);
  key.set(key_slot::kArpTha, own);
}

void read_tcp(FlowKey& key, Bytes rest) {
  constexpr std::size_t kLeast = 20;
  if (rest.size() < kLeast) return;
  const std::size_t length = std::size_t{4} * (rest[12] >> 4);
  if (length < kLeast || rest.size() < length) return;
  read_ports(key, rest);
  key.set_number(key_slot::kTcpFlags, u16(rest, 12) & 0x0fff);
}

void read_icmpv6(FlowKey& key, Bytes rest) {
  constexpr std::uint8_t kSolicit = 135;
  constexpr std::uint8_t kAdvert = 136;
  constexpr std::size_t kHeader = 8;
  if (rest.size() < kHeader) return;
  read_icmp_type(key, rest);
  if ((rest[0] == kSolicit || rest[0] == kAdvert) && rest[1] == 0) read_neighbour(key, rest.subspan(kHeader));
}

void read_transport(FlowKey& key, std::uint8_t protocol, Bytes rest) {
  constexpr std::size_t kUdpHeader = 8;
  constexpr std::size_t kSctpHeader = 12;
  constexpr std::size_t kIcmpHeader = 8;
  if (protocol == IPPROTO_TCP) read_tcp(key, rest);
  if (protocol == IPPROTO_UDP && rest.size() >= kUdpHeader) read_ports(key, rest);
  if (protocol == IPPROTO_SCTP && rest.size() >= kSctpHeader) read_ports(key, rest);
  if (protocol == IPPROTO_ICMP && rest.size() >= kIcmpHeader) read_icmp_type(key, rest);
  if (protocol == IPPROTO_ICMPV6) read_icmpv6(key, rest);
}

void read_ipv4(FlowKey& key, Bytes rest) {
  constexpr std::size_t kLeast = 20;
  if (rest.size() < kLeast) return;
  const std::size_t header = std::size_t{4} * (rest[0] & 0x0f);
  const std::size_t total = u16(rest, 2);
  if (header < kLeast || total < header || total > rest.size()) return;
  const std::uint16_t fragment = u16(rest, 6);
  const bool later = (fragment & 0x1fff) != 0;
  const bool more = (fragment & 0x2000) != 0;
  key.set(key_slot::kIpv4Src, rest.subspan(12, 4));
  key.set(key_slot::kIpv4Dst, rest.subspan(16, 4));
  key.set_number(key_slot::kTos, rest[1]);
  key.set_number(key_slot::kTtl, rest[8]);
  key.set_number(key_slot::kProtocol, rest[9]);
  if (later || more) key.set_number(key_slot::kFragment, kAnyFragment | (later ? kLaterFragment : 0));
  if (!later) read_transport(key, rest[9], rest.subspan(header, total - header));  // without padding
}

/// What stands behind the extension headers.
struct UpperLayer {
  std::uint8_t protocol;
  std::uint8_t fragment = 0;
};

/// Walks the extension headers, `rest` up to the upper layer; nullopt if one of them is cut short.
std::optional<UpperLayer> walk_extensions(std::uint8_t protocol, Bytes& rest) {
  UpperLayer upper{.protocol = protocol};
  for (;;) {
    std::size_t length = 0;
    const bool generic = upper.protocol == IPPROTO_HOPOPTS || upper.protocol == IPPROTO_ROUTING ||
                         upper.protocol == IPPROTO_DSTOPTS;
    if (!generic && upper.protocol != IPPROTO_AH && upper.protocol != IPPROTO_FRAGMENT) return upper;
    if (rest.size() < 8) return std::nullopt;
    if (generic) {
      length = (rest[1] + std::size_t{1}) * 8;
    } else if (upper.protocol == IPPROTO_AH) {
      length = (rest[1] + std::size_t{2}) * 4;  // counts in another unit (RFC 4302)
    } else {
      length = 8;
      const std::uint16_t offset = u16(rest, 2);
      if (offset != 0) upper.fragment = kAnyFragment;
      if ((offset & 0xfff8) != 0) return UpperLayer{IPPROTO_FRAGMENT, kAnyFragment | kLaterFragment};
    }
    upper.protocol = rest[0];
    if (!skip(rest, length)) return std::nullopt;
  }
}

void read_ipv6(FlowKey& key, Bytes rest) {
  constexpr std::size_t kHeader = 40;
  if (rest.size() < kHeader) return;
  const Bytes header = rest.first(kHeader);
  const std::size_t length = u16(header, 4);
  if (kHeader + length > rest.size()) return;
  key.set(key_slot::kIpv6Src, header.subspan(8, 16));
  key.set(key_slot::kIpv6Dst, header.subspan(24, 16));
  rest = rest.subspan(kHeader, length);
  const auto upper = walk_extensions(header[6], rest);
  if (!upper) return;
  key.set_number(key_slot::kTos, (u16(header, 0) >> 4) & 0xff);
  key.set_number(key_slot::kTtl, header[7]);
  key.set_number(key_slot::kIpv6Label, (header[1] & 0x0fU) << 16 | u16(header, 2));
  key.set_number(key_slot::kProtocol, upper->protocol);
  key.set_number(key_slot::kFragment, upper->fragment);
  if ((upper->fragment & kLaterFragment) == 0) read_transport(key, upper->protocol, rest);
}

}  // namespace

FlowKey::FlowKey(const Frame& frame, const BridgeTags& tags) {
  set(key_slot::kEthDst, frame.dst.octets);
  set(key_slot::kEthSrc, frame.src.octets);
  Bytes rest = frame.payload;
  std::optional<VlanTag> tag = tags.outer;
  if (!tag && (tag = frame.inner_tag())) skip(rest, kTagLength);  // the tag before it was taken off
  if (tag) set_number(key_slot::kVlanTci, tag->tci | kTagPresent);
  if (tags.inner) {
    set_number(key_slot::kEthType, tags.inner->tpid);
    return;
  }
  const std::uint16_t type = take_ether_type(rest);
  set_number(key_slot::kEthType, type);
  if (type == kIpv4) read_ipv4(*this, rest);
  if (type == kIpv6) read_ipv6(*this, rest);
  if (type == kArp || type == kRarp) read_arp(*this, rest);
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
