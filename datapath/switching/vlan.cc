// SPDX-License-Identifier: Apache-2.0
#include "datapath/switching/vlan.h"

namespace vswitch {

namespace {

const VlanPolicy kTrunk;

bool admits(const VlanPolicy& policy, VlanId vid) {
  switch (policy.mode) {
    case VlanMode::access:
      return vid == 0;
    case VlanMode::trunk:
      return policy.trunks[vid];
    case VlanMode::native_tagged:
    case VlanMode::native_untagged:
      return vid == 0 || vid == policy.tag || policy.trunks[vid];
    case VlanMode::dot1q_tunnel:
      return policy.cvlans[vid];
  }
  return false;
}

/// Moves the frame's tag into a VLAN: TPID and priority stay, and an untagged frame gets a new tag.
VlanTag into_vlan(const std::optional<VlanTag>& tag, VlanId vlan) {
  return tag.value_or(VlanTag{}).with_vid(vlan);
}

}  // namespace

VlanSet to_set(const std::vector<VlanId>& vlans) {
  VlanSet set;
  for (const VlanId vlan : vlans) set.set(vlan);
  return set;
}

std::optional<BridgeTags> arrive(const VlanPolicy& policy, const TagList& wire, VlanId customer) {
  std::optional<BridgeTags> arrived(std::in_place);  // made where it is returned
  BridgeTags& tags = *arrived;
  if (wire.count > 0) {
    tags.outer = wire.tags[0];
    tags.arrived_pcp = tags.outer->pcp();
  }
  if (wire.count > 1) tags.inner = wire.tags[1];
  if (wire.count > 2) return std::nullopt;  // a copy that kept two tags: nothing looks at it again
  const VlanId vid = tags.vlan();
  const bool customer_is_inside = policy.mode == VlanMode::dot1q_tunnel && wire.count == 0;
  if (!admits(policy, customer_is_inside ? customer : vid)) return std::nullopt;
  switch (policy.mode) {
    case VlanMode::trunk:
      break;
    case VlanMode::access:
      tags.outer = into_vlan(tags.outer, policy.tag);
      break;
    case VlanMode::native_tagged:
    case VlanMode::native_untagged:
      if (vid == 0) tags.outer = into_vlan(tags.outer, policy.tag);
      break;
    case VlanMode::dot1q_tunnel:
      // From one dot1q-tunnel port through a patch port to another: there is no room for a third tag, and no
      // tag may be lost.
      if (tags.inner) return std::nullopt;
      tags.inner = tags.outer;
      tags.outer = VlanTag{.tpid = policy.qinq_ethtype, .tci = policy.tag};
      break;
  }
  return arrived;
}

bool carries(const VlanPolicy& policy, const BridgeTags& tags, VlanId customer) {
  const VlanId vlan = tags.vlan();
  switch (policy.mode) {
    case VlanMode::access:
      return vlan == policy.tag && (!tags.inner || tags.inner->vid() == 0);
    case VlanMode::trunk:
      return policy.trunks[vlan];
    case VlanMode::native_tagged:
    case VlanMode::native_untagged:
      // The native VLAN stands for VID 0 on this port, so VLAN 0 itself never passes unless it is the native
      // one.
      return vlan == policy.tag || (vlan != 0 && policy.trunks[vlan]);
    case VlanMode::dot1q_tunnel:
      return vlan == policy.tag && policy.cvlans[customer];
  }
  return false;
}

bool may_carry(const VlanPolicy& policy, VlanId vlan) {
  if (policy.mode == VlanMode::dot1q_tunnel) return policy.tag == vlan;
  return carries(policy, {.outer = VlanTag{}.with_vid(vlan), .inner = {}}, 0);
}

namespace {

/// A copy keeps what a customer of a dot1q-tunnel sent even on an access port, which a frame reaches without it.
enum class Kind : std::uint8_t { frame, copy };

TagList depart(const VlanPolicy& policy, const BridgeTags& tags, Kind kind) {
  std::optional<VlanTag> outer = tags.outer;
  std::optional<VlanTag> inner = tags.inner;
  bool is_customers = false;  // then it is the customer's business: kept, even if it is empty
  switch (policy.mode) {
    case VlanMode::access:
    case VlanMode::dot1q_tunnel:
      outer = policy.mode == VlanMode::dot1q_tunnel || kind == Kind::copy ? inner : std::nullopt;
      inner.reset();
      is_customers = outer.has_value();
      break;
    case VlanMode::native_untagged:
      if (tags.vlan() == policy.tag) {
        outer = inner;
        inner.reset();
      }
      break;
    case VlanMode::trunk:
    case VlanMode::native_tagged:
      break;
  }
  if (policy.priority_tags != PriorityTags::never && (outer || tags.arrived_pcp != 0)) {
    outer = outer.value_or(VlanTag{}).with_pcp(tags.arrived_pcp);
  }
  TagList wire;
  const bool keep_empty = is_customers || policy.priority_tags == PriorityTags::always;
  if (outer && (outer->vid() != 0 || outer->pcp() != 0 || keep_empty)) wire.push_back(*outer);
  if (inner) wire.push_back(*inner);
  return wire;
}

}  // namespace

TagList depart(const VlanPolicy& policy, const BridgeTags& tags) {
  return depart(policy, tags, Kind::frame);
}

BridgeTags shape_copy(const CopyTags& how, const BridgeTags& tags) {
  BridgeTags shaped = tags;
  if (how.strip_vlan) {
    shaped.outer = tags.inner;
    shaped.inner.reset();
  }
  if (!how.output_vlan) return shaped;
  if (how.keep_vlan) {
    const std::uint8_t pcp = shaped.outer ? shaped.outer->pcp() : std::uint8_t{0};
    return {.outer = VlanTag{}.with_vid(*how.output_vlan).with_pcp(pcp), .inner = {}, .arrived_pcp = pcp};
  }
  shaped.outer = into_vlan(shaped.outer, *how.output_vlan);
  return shaped;
}

TagList depart_copy(const VlanPolicy& policy, const CopyTags& how, const BridgeTags& tags) {
  if (how.leave_alone()) return depart(policy, tags, Kind::copy);
  TagList wire = depart(policy, shape_copy(how, tags), Kind::copy);
  if (!how.output_vlan || !how.keep_vlan) return wire;
  const BridgeTags inside = shape_copy({.output_vlan = {}, .strip_vlan = how.strip_vlan}, tags);
  const TagList kept = depart(kTrunk, inside);
  for (std::uint8_t i = 0; i < kept.count; ++i) wire.push_back(kept.tags[i]);
  return wire;
}

}  // namespace vswitch
