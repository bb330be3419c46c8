// SPDX-License-Identifier: Apache-2.0
// VLAN modes of a port: which frames it accepts, which VLAN they belong to, and which tags it sends.
//
// The rules are those of Open vSwitch (ovs-vswitchd.conf.db(5), table Port, columns vlan_mode, tag, trunks,
// cvlans, other_config:qinq-ethtype and priority-tags), in three steps for every frame:
//
// clang-format off
//     arrive()    tags on the wire at port p  ->  BridgeTags: what the frame is inside the bridge, or not admitted
//     carries()   may a frame with these BridgeTags leave through port q?
//     depart()    BridgeTags  ->  tags on the wire at port q
// clang-format on
//
// Inside the bridge the outer tag alone determines the VLAN; VID 0 means "no VLAN". Only a dot1q-tunnel port
// looks one tag deeper.
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

/// The tags inside the bridge of a frame that arrives with the tags `wire`; nullopt if the port does not
/// admit its VLAN. `customer` is the VID at the start of the payload, which is where a frame that leaves a
/// dot1q-tunnel port has its customer's tag.
std::optional<BridgeTags> arrive(const VlanPolicy& policy, const TagList& wire, VlanId customer = 0);

/// Whether a frame may leave through the port. `customer` is the VID behind the outer tag (0 if there is
/// none).
bool carries(const VlanPolicy& policy, const BridgeTags& tags, VlanId customer);

/// Whether the port may carry copies in an output VLAN, as far as its policy says without a frame.
bool may_carry(const VlanPolicy& policy, VlanId vlan);

/// The tags on the wire when the frame leaves through the port.
TagList depart(const VlanPolicy& policy, const BridgeTags& tags);

/// How a session changes the tags of its copies.
struct CopyTags {
  std::optional<VlanId> output_vlan;  ///< RSPAN: the VLAN the copies are put into
  bool keep_vlan = false;             ///< with output_vlan: the frame's own tags follow that tag
  bool strip_vlan = false;            ///< remove the outer tag, at the end of an RSPAN VLAN

  bool leave_alone() const { return !output_vlan && !strip_vlan; }
  bool operator==(const CopyTags&) const = default;
};

/// The tags inside the bridge of a copy of a frame with `tags`. With keep_vlan they do not include the
/// frame's own tags, which depart_copy() appends.
BridgeTags shape_copy(const CopyTags& how, const BridgeTags& tags);
/// The tags on the wire when the copy leaves through the port.
TagList depart_copy(const VlanPolicy& policy, const CopyTags& how, const BridgeTags& tags);

}  // namespace vswitch
