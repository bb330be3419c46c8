// SPDX-License-Identifier: Apache-2.0
#include "datapath/flow/compose.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string_view>
#include <utility>

#include "datapath/flow/flow_key.h"
#include "datapath/flow/match_fields.h"
#include "datapath/frame/checksum.h"
#include "datapath/frame/frame.h"
#include "datapath/frame/headers.h"

namespace vswitch {

namespace {

using Buffer = std::vector<std::uint8_t>;

constexpr std::size_t kMinPayload = 46;  // of an Ethernet frame, behind the EtherType
constexpr std::uint16_t kNoEtherType = 0x5ff;
constexpr std::uint8_t kUsualTtl = 64;
constexpr std::uint8_t kArpRequest = 1;
constexpr std::size_t kFragmentUnit = 8;
constexpr std::uint32_t kSolicit = 135;
constexpr std::uint32_t kAdvert = 136;

bool is_same(KeySlot a, KeySlot b) {
  return a.at == b.at && a.size == b.size;
}

/// Gives values to the fields that the match leaves open, and writes the frame.
class Composer {
 public:
  explicit Composer(const Match& match) : match_(match), key_(match.value()) {}

  ComposedFrame compose();

 private:
  bool choose_ports();
  void choose_protocol();
  bool is_open(KeySlot slot) const { return match_.mask().number(slot) == 0; }
  bool is_later_fragment() const { return (key_.number(key_slot::kFragment) & kLaterFragment) != 0; }
  bool is_first_fragment() const { return key_.number(key_slot::kFragment) == kAnyFragment; }

  void append(Buffer& out, KeySlot slot) const;
  Buffer ethernet(std::size_t payload_length) const;
  Buffer network();
  Buffer arp() const;
  Buffer ipv4() const;
  Buffer ipv6() const;
  Buffer transport(std::span<const std::uint8_t> addresses, std::uint8_t protocol) const;
  void append_neighbour(Buffer& out) const;

  std::string contradiction(const FlowKey& composed) const;
  std::string explanation(KeySlot slot, std::string_view name) const;
  std::string_view name_of(KeySlot slot) const;

  const Match& match_;
  FlowKey key_;
};

/// Chooses the smallest port numbers that lie in every range and have the bits that the match requires. False
/// if there are none.
bool Composer::choose_ports() {
  const auto ranges = match_.ranges();
  for (const KeySlot slot : {key_slot::kSrcPort, key_slot::kDstPort}) {
    const auto fits = [&](std::uint32_t number) {
      return ((number ^ match_.value().number(slot)) & match_.mask().number(slot)) == 0 &&
             std::all_of(ranges.begin(), ranges.end(), [&](const Match::Range& range) {
               return !is_same(range.slot, slot) || (range.low <= number && number <= range.high);
             });
    };
    std::uint32_t number = 0;
    while (number <= 0xffff && !fits(number)) ++number;
    if (number > 0xffff) return false;
    key_.set_number(slot, number);
  }
  return true;
}

/// A later fragment of IPv6 shows only that it is one: the protocol is visible in the first fragment only.
void Composer::choose_protocol() {
  const std::uint32_t type = key_.number(key_slot::kEthType);
  if (type == kEtherTypeIpv6) {
    if (key_.number(key_slot::kProtocol) == kIpProtoFragment &&
        (match_.mask().number(key_slot::kFragment) & kLaterFragment) == 0)
      key_.set_number(key_slot::kFragment, kAnyFragment | kLaterFragment);
    if (is_open(key_slot::kProtocol)) key_.set_number(key_slot::kProtocol, kIpProtoNone);
  }
  if ((type == kEtherTypeArp || type == kEtherTypeRarp) && is_open(key_slot::kProtocol))
    key_.set_number(key_slot::kProtocol, kArpRequest);
  if (is_open(key_slot::kTtl)) key_.set_number(key_slot::kTtl, kUsualTtl);
}

void Composer::append(Buffer& out, KeySlot slot) const {
  const FlowKey::Value value = key_.value(slot);
  out.insert(out.end(), value.begin(), value.begin() + slot.size);
}

/// The Ethernet header, EtherType included.
Buffer Composer::ethernet(std::size_t payload_length) const {
  std::uint32_t type = key_.number(key_slot::kEthType);
  std::uint32_t tci = key_.number(key_slot::kVlanTci);
  // An EtherType that is a TPID belongs to a second tag, so there is a first tag in front of it.
  if (is_vlan_tpid(static_cast<std::uint16_t>(type)) &&
      (match_.mask().number(key_slot::kVlanTci) & kTagPresent) == 0)
    tci |= kTagPresent;
  Buffer out;
  append(out, key_slot::kEthDst);
  append(out, key_slot::kEthSrc);
  out.resize(kAddressesLength + (tci != 0 ? kTagLength : 0) + kEtherTypeLength);
  if (tci != 0) {
    put_u16(out, kAddressesLength, kTpid8021Q);
    put_u16(out, kAddressesLength + 2, tci & ~std::uint32_t{kTagPresent});
  }
  if (type == kNoEtherType) type = static_cast<std::uint32_t>(payload_length);  // LLC without SNAP
  put_u16(out, out.size() - kEtherTypeLength, type);
  return out;
}

Buffer Composer::network() {
  const std::uint32_t type = key_.number(key_slot::kEthType);
  if (type == kEtherTypeIpv4) return ipv4();
  if (type == kEtherTypeIpv6) return ipv6();
  if (type == kEtherTypeArp || type == kEtherTypeRarp) return arp();
  return {};
}

Buffer Composer::arp() const {
  Buffer out = {0, 1, 0x08, 0x00, 6, 4, 0, static_cast<std::uint8_t>(key_.number(key_slot::kProtocol))};
  append(out, key_slot::kArpSha);
  append(out, key_slot::kIpv4Src);
  append(out, key_slot::kArpTha);
  append(out, key_slot::kIpv4Dst);
  return out;
}

Buffer Composer::ipv4() const {
  Buffer out(Ipv4View::kLength);
  out[0] = 0x45;
  out[1] = static_cast<std::uint8_t>(key_.number(key_slot::kTos));
  put_u16(out, 6, is_later_fragment() ? 1 : is_first_fragment() ? 0x2000 : 0);
  out[8] = static_cast<std::uint8_t>(key_.number(key_slot::kTtl));
  out[9] = static_cast<std::uint8_t>(key_.number(key_slot::kProtocol));
  put_u32(out, 12, key_.number(key_slot::kIpv4Src));
  put_u32(out, 16, key_.number(key_slot::kIpv4Dst));
  const Buffer payload = transport(Ipv4View::of(out)->addresses(), out[9]);
  put_u16(out, 2, out.size() + payload.size());
  put_u16(out, 10, static_cast<std::uint16_t>(~internet_sum(out)));
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

Buffer Composer::ipv6() const {
  Buffer out(8);
  put_u32(out, 0, 6U << 28 | key_.number(key_slot::kTos) << 20 | key_.number(key_slot::kIpv6Label));
  out[7] = static_cast<std::uint8_t>(key_.number(key_slot::kTtl));
  append(out, key_slot::kIpv6Src);
  append(out, key_slot::kIpv6Dst);
  const auto protocol = static_cast<std::uint8_t>(key_.number(key_slot::kProtocol));
  const Buffer payload = transport(Ipv6View::of(out)->addresses(), protocol);
  const bool fragment = is_later_fragment() || is_first_fragment();
  out[6] = fragment ? kIpProtoFragment : protocol;
  if (fragment) {
    out.resize(out.size() + Ipv6FragmentView::kLength);
    out[Ipv6View::kLength] = is_later_fragment() ? kIpProtoNone : protocol;
    put_u16(out, Ipv6View::kLength + 2, is_later_fragment() ? kFragmentUnit : 1);  // offset, or "more follow"
  }
  out.insert(out.end(), payload.begin(), payload.end());
  put_u16(out, 4, out.size() - Ipv6View::kLength);
  return out;
}

/// Length of a transport header, and the offset of its checksum.
struct TransportLayout {
  std::uint8_t protocol;
  std::size_t length;
  std::size_t checksum_at;
  bool has_pseudo_header;
};
constexpr TransportLayout kTransports[] = {
    {kIpProtoTcp, kTcpHeader, kTcpChecksumAt, true},      {kIpProtoUdp, kUdpHeader, kUdpChecksumAt, true},
    {kIpProtoSctp, kSctpHeader, kSctpChecksumAt, false},  {kIpProtoIcmp, kIcmpHeader, kIcmpChecksumAt, false},
    {kIpProtoIcmpv6, kIcmpHeader, kIcmpChecksumAt, true},
};

/// Sum of the addresses, the protocol and the length, for the checksum field before it is finished.
std::uint16_t pseudo_header_sum(std::span<const std::uint8_t> addresses, std::uint8_t protocol,
                                std::size_t length) {
  const auto sum = static_cast<std::uint32_t>(internet_sum(addresses) + protocol + length);
  return static_cast<std::uint16_t>((sum & 0xffff) + (sum >> 16));
}

Buffer Composer::transport(std::span<const std::uint8_t> addresses, std::uint8_t protocol) const {
  if (is_later_fragment()) return Buffer(kFragmentUnit);
  const auto* const layout =
      std::find_if(std::begin(kTransports), std::end(kTransports),
                   [&](const TransportLayout& one) { return one.protocol == protocol; });
  if (layout == std::end(kTransports)) return Buffer(is_first_fragment() ? kFragmentUnit : 0);
  Buffer out(layout->length);
  if (protocol == kIpProtoIcmp || protocol == kIpProtoIcmpv6) {
    out[0] = static_cast<std::uint8_t>(key_.number(key_slot::kSrcPort));
    out[1] = static_cast<std::uint8_t>(key_.number(key_slot::kDstPort));
  } else {
    put_u16(out, 0, key_.number(key_slot::kSrcPort));
    put_u16(out, 2, key_.number(key_slot::kDstPort));
  }
  if (protocol == kIpProtoTcp)
    put_u16(out, kTcpFlagsAt - 1, kTcpHeader / 4 << 12 | key_.number(key_slot::kTcpFlags));
  if (protocol == kIpProtoIcmpv6) append_neighbour(out);
  if (is_first_fragment()) out.resize((out.size() + kFragmentUnit - 1) / kFragmentUnit * kFragmentUnit);
  if (protocol == kIpProtoUdp) put_u16(out, kUdpLengthAt, out.size());
  if (layout->has_pseudo_header)
    put_u16(out, layout->checksum_at, pseudo_header_sum(addresses, protocol, out.size()));
  Offload unfinished{.needs_checksum = true,
                     .checksum_start = 0,
                     .checksum_offset = static_cast<std::uint16_t>(layout->checksum_at)};
  complete_checksum(out, unfinished);
  return out;
}

/// Target and option of neighbour discovery (RFC 4861).
void Composer::append_neighbour(Buffer& out) const {
  const std::uint32_t type = key_.number(key_slot::kSrcPort);
  if ((type != kSolicit && type != kAdvert) || key_.number(key_slot::kDstPort) != 0) return;
  append(out, key_slot::kNdTarget);
  const KeySlot address = type == kSolicit ? key_slot::kArpSha : key_slot::kArpTha;
  const FlowKey::Value value = key_.value(address);
  if (value == FlowKey::Value{}) return;
  out.push_back(type == kSolicit ? 1 : 2);
  out.push_back(1);  // eight bytes
  append(out, address);
}

ComposedFrame Composer::compose() {
  if (!choose_ports())
    return {.bytes = {}, .trouble = "no port number satisfies all ranges and masks of the match"};
  choose_protocol();
  Buffer payload = network();
  payload.resize(std::max(payload.size(), kMinPayload));
  Buffer bytes = ethernet(payload.size());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  // Perhaps no frame can match. The composed frame is parsed again to find out.
  const ParseResult read = parse({.bytes = bytes, .stripped_tag = {}, .offload = {}});
  const FlowKey composed(read.frame, {.outer = read.frame.tag, .inner = {}});
  if (!match_.matches(composed)) return {.bytes = {}, .trouble = contradiction(composed)};
  return {.bytes = std::move(bytes), .trouble = {}};
}

std::string Composer::contradiction(const FlowKey& composed) const {
  for (const auto& field : match_fields::all_fields()) {
    const FlowKey::Value wanted = match_.value().value(field.slot);
    const FlowKey::Value mask = match_.mask().value(field.slot);
    const FlowKey::Value has = composed.value(field.slot);
    for (std::size_t i = 0; i < field.slot.size; ++i) {
      if (((wanted[i] ^ has[i]) & mask[i]) != 0) return explanation(field.slot, name_of(field.slot));
    }
  }
  return explanation(match_.ranges().front().slot, name_of(match_.ranges().front().slot));
}

std::string Composer::explanation(KeySlot slot, std::string_view name) const {
  const std::uint32_t type = match_.value().number(key_slot::kEthType);
  if (is_same(slot, key_slot::kEthType) && type < kMinEtherType) {
    char text[128];
    std::snprintf(
        text, sizeof text,
        "no frame has the EtherType 0x%04x: values below 0x0600 are lengths; use dl_type=0x05ff for them",
        type);
    return text;
  }
  if (type == kEtherTypeIpv6 && !is_open(key_slot::kProtocol)) {
    const auto protocol = static_cast<std::uint8_t>(match_.value().number(key_slot::kProtocol));
    if (is_later_fragment() && protocol != kIpProtoFragment)
      return "a later fragment of IPv6 does not show protocol " + std::to_string(protocol) +
             ": use nw_proto=44";
    if (is_ipv6_option_header(protocol) || protocol == kIpProtoAh || protocol == kIpProtoFragment)
      return "protocol " + std::to_string(protocol) +
             " is an extension header of IPv6: give the protocol behind it as nw_proto";
  }
  return "no frame has this " + std::string(name) + " together with the rest of the match";
}

/// The name that the match uses: several fields may share a slot.
std::string_view Composer::name_of(KeySlot slot) const {
  std::string_view name;
  for (const auto& field : match_fields::all_fields()) {
    if (!is_same(field.slot, slot)) continue;
    if (match_.text().find(field.name) != std::string::npos) return field.name;
    if (name.empty()) name = field.name;
  }
  return name;
}

}  // namespace

ComposedFrame compose(const Match& match) {
  return Composer(match).compose();
}

}  // namespace vswitch
