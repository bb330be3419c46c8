// SPDX-License-Identifier: Apache-2.0
// The header fields of a frame that a filter can match, as Open vSwitch sees them (ovs-fields(7); struct flow
// in its lib/flow.c): 96 bytes that are compared under a mask.
//
// Fields that Open vSwitch does not see are zero here too: ports of a later fragment, everything behind a
// header that is truncated, has an inconsistent length or is of an unknown kind, and layer 3 behind a second
// VLAN tag (its `vlan-limit` is 1 by default: the EtherType is then that of the second tag). A first fragment
// has its ports (`ovs-ofctl set-frags nx-match`).
//
// The tag is the one that the frame has inside the bridge, which select_vlan also tests: on an access port it
// has the port's VLAN, whatever was on the wire. A rule thus means the same in both directions and on every
// port, and a copy sent on a trunk shows the tag that was matched.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "datapath/frame/frame.h"

namespace vswitch {

/// Position of a field in the key, in bytes. Numbers are in network order. Fields that exclude each other
/// share a position, as in Open vSwitch: an IPv4 address is the end of the IPv6 address, ARP has its
/// addresses and operation where IP has addresses and protocol, and ICMP has type and code where TCP has
/// ports.
struct KeySlot {
  std::uint8_t at;
  std::uint8_t size;
  bool operator==(const KeySlot&) const = default;
};

namespace key_slot {
inline constexpr KeySlot kEthDst{0, 6};
inline constexpr KeySlot kEthSrc{6, 6};
inline constexpr KeySlot kEthType{12, 2};
inline constexpr KeySlot kVlanTci{14, 2};  ///< with kTagPresent; 0 without a tag
inline constexpr KeySlot kIpv6Src{16, 16};
inline constexpr KeySlot kIpv4Src{28, 4};
inline constexpr KeySlot kIpv6Dst{32, 16};
inline constexpr KeySlot kIpv4Dst{44, 4};
inline constexpr KeySlot kProtocol{48, 1};
inline constexpr KeySlot kTos{49, 1};
inline constexpr KeySlot kTtl{50, 1};
inline constexpr KeySlot kFragment{51, 1};
inline constexpr KeySlot kIpv6Label{52, 4};
inline constexpr KeySlot kSrcPort{56, 2};
inline constexpr KeySlot kDstPort{58, 2};
inline constexpr KeySlot kTcpFlags{60, 2};
inline constexpr KeySlot kNdTarget{64, 16};
inline constexpr KeySlot kArpSha{80, 6};  ///< or the source link-layer address option of neighbour discovery
inline constexpr KeySlot kArpTha{86, 6};  ///< or the target link-layer address option
}  // namespace key_slot

/// There is a tag: a bit of kVlanTci, in place of the DEI bit, as in Open vSwitch.
inline constexpr std::uint16_t kTagPresent = 0x1000;
/// Bits of kFragment: FLOW_NW_FRAG_ANY and FLOW_NW_FRAG_LATER.
inline constexpr std::uint8_t kAnyFragment = 1;
inline constexpr std::uint8_t kLaterFragment = 2;

class FlowKey {
 public:
  using Words = std::array<std::uint64_t, 12>;
  using Value = std::array<std::uint8_t, 16>;  ///< as wide as the widest field

  FlowKey() = default;
  /// The key of a frame that has `tags` inside the bridge.
  FlowKey(const Frame& frame, const BridgeTags& tags);

  const Words& words() const { return words_; }
  /// Reads a field of one, two or four bytes.
  std::uint32_t number(KeySlot slot) const;
  /// Reads a field of any size into the first bytes of the result.
  Value value(KeySlot slot) const;
  /// Writes a field; `value` must be as long as the slot.
  void set(KeySlot slot, std::span<const std::uint8_t> value);
  void set_number(KeySlot slot, std::uint32_t value);

 private:
  Words words_{};
};

}  // namespace vswitch
