// SPDX-License-Identifier: Apache-2.0
// VLAN modes of a port: what it accepts, which VLAN that is, and what is written in front of a frame it
// sends.
//
// The rules are those of Open vSwitch (ovs-vswitchd.conf.db(5), table Port, columns vlan_mode, tag, trunks,
// cvlans, other_config:qinq-ethtype and priority-tags), in three steps that every frame takes:
//
// clang-format off
//     arrive()    tags on the wire at port p  ->  BridgeTags: what the frame is inside the bridge, or not admitted
//     carries()   may a frame with these BridgeTags leave through port q?
//     depart()    BridgeTags  ->  tags on the wire at port q
// clang-format on
//
// Inside the bridge the outer tag alone says the VLAN; VID 0 means "no VLAN". Only a dot1q-tunnel port looks
// one tag deeper.
#pragma once

#include <bitset>
#include <optional>
#include <vector>

#include "datapath/frame/frame.h"

namespace vswitch {

using VlanSet = std::bitset<kVlanCount>;

VlanSet to_set(const std::vector<VlanId>& vlans);

enum class VlanMode : std::uint8_t { trunk, access, native_tagged, native_untagged, dot1q_tunnel };
enum class PriorityTags : std::uint8_t { never, if_nonzero, always };

struct VlanPolicy {
  VlanMode mode = VlanMode::trunk;
  VlanId tag = 0;                    ///< access, native and tunnel VLAN
  VlanSet trunks = VlanSet().set();  ///< trunk and native modes; all set when the column is empty
  VlanSet cvlans = VlanSet().set();  ///< customer VLANs of a dot1q-tunnel; all set when the column is empty
  std::uint16_t qinq_ethtype = kTpid8021ad;
  PriorityTags priority_tags = PriorityTags::never;

  bool operator==(const VlanPolicy&) const = default;
};

/// What the frame with `wire` tags is inside the bridge after arriving on a port; nullopt if its VLAN is not
/// admitted.
/// `customer` is the VID at the start of the payload, where a frame that leaves a dot1q-tunnel port has its
/// customer's tag.
std::optional<BridgeTags> arrive(const VlanPolicy& policy, const TagList& wire, VlanId customer = 0);

/// May a frame leave through the port? `customer` is the VID behind the outer tag (0 if there is none).
bool carries(const VlanPolicy& policy, const BridgeTags& tags, VlanId customer);

/// Whether the port may carry copies in an output VLAN, as far as its policy says without a frame.
bool may_carry(const VlanPolicy& policy, VlanId vlan);

/// The tags on the wire when the frame leaves through the port.
TagList depart(const VlanPolicy& policy, const BridgeTags& tags);

/// How a session changes the tags of its copies.
struct CopyTags {
  std::optional<VlanId> output_vlan;  ///< RSPAN: the VLAN the copies are put into
  bool keep_vlan = false;             ///< with output_vlan: behind its tag the frame has those it had
  bool strip_vlan = false;            ///< the outer tag is taken off: that of an RSPAN VLAN, at its end

  bool leave_alone() const { return !output_vlan && !strip_vlan; }
  bool operator==(const CopyTags&) const = default;
};

/// Inside the bridge, what a copy of a frame with `tags` is. With keep_vlan the frame's own tags are not in
/// it: depart_copy() puts them behind.
BridgeTags shape_copy(const CopyTags& how, const BridgeTags& tags);
/// The tags on the wire when the copy leaves through the port.
TagList depart_copy(const VlanPolicy& policy, const CopyTags& how, const BridgeTags& tags);

}  // namespace vswitch
