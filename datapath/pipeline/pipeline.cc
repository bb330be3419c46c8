// SPDX-License-Identifier: Apache-2.0
#include "datapath/pipeline/pipeline.h"

#include <algorithm>
#include <utility>

#include "datapath/switching/reserved_multicast.h"

namespace vswitch {

namespace {

TagList wire_tags(const Frame& frame) {
  TagList tags;
  if (frame.tag) tags.push_back(*frame.tag);
  return tags;
}

}  // namespace

const Verdict& Decider::decide_unfiltered(const Snapshot& snapshot, PortNo in, const Frame& frame,
                                          TimeNs now) {
  unfiltered_ = true;
  const Verdict& verdict = decide(snapshot, in, frame, now);
  unfiltered_ = false;
  return verdict;
}

const Verdict& Decider::decide(const Snapshot& snapshot, PortNo in_number, const Frame& frame, TimeNs now,
                               Trace* trace) {
  snapshot_ = &snapshot;
  frame_ = &frame;
  now_ = now;
  trace_ = trace;
  patch_depth_ = 0;
  patches_crossed_ = copies_crossed_ = 0;
  verdict_.clear();
  vlan_destination_done_.clear();
  key_known_ = false;
  carried_ = nullptr;
  serial_ = ++last_serial_;
  session_done_.resize(std::max(session_done_.size(), snapshot.sessions.size()));
  destination_done_.resize(std::max(destination_done_.size(), snapshot.ports.size()));

  const PortConfig* in = snapshot.port(in_number);
  if (in == nullptr) {
    verdict_.drop = DropReason::port_waiting;
    return verdict_;
  }
  const auto inner = frame.inner_tag();
  customer_ = inner ? inner->vid() : VlanId{0};
  const TagList wire = wire_tags(frame);

  if (in->only_copies) {
    dropped(DropReason::mirror_destination, *in);
    return verdict_;
  }
  const auto tags = arrive(in->vlan, wire);
  if (!tags) {
    dropped(DropReason::vlan_not_admitted, *in);
    return verdict_;
  }
  note("arrives on ", in->name, " of ", in->bridge->name, " in VLAN ", tags->vlan());
  if (!in->mirrors_from.empty()) mirror_tags(*in, in->mirrors_from, *tags, false);
  switch_frame(*in, *tags);
  return verdict_;
}

/// The frame as the bridge sees it: refuse, learn, choose. Also the second half of a path over a patch port.
void Decider::switch_frame(const PortConfig& in, const BridgeTags& tags) {
  const BridgeConfig& bridge = *in.bridge;
  if (bridge.secure) return dropped(DropReason::secure_mode, in);
  if (!bridge.forward_bpdu && is_reserved_multicast(frame_->dst))
    return dropped(DropReason::reserved_multicast, in);

  if (bridge.flood_vlans[tags.vlan()]) {
    note_intrusion(bridge, tags.vlan());
  } else if (!frame_->src.is_multicast()) {
    verdict_.learns.push_back({in.bridge, tags.vlan(), frame_->src, in.number, walk()});
    note("learn ", frame_->src, " in VLAN ", tags.vlan(), " on ", in.name);
  }
  const DropReason reason = choose_outputs(in, tags);
  if (reason != DropReason::none) dropped(reason, in);
}

/// Reports a frame that arrives in the VLAN of sessions' copies and is not one of them. It may be a stray
/// frame, or a copy that another switch has put into the VLAN: the frame does not show which.
void Decider::note_intrusion(const BridgeConfig& bridge, VlanId vlan) {
  auto at = std::lower_bound(bridge.output_vlans.begin(), bridge.output_vlans.end(),
                             std::pair(vlan, SessionIndex{0}));
  if (carried_ != nullptr) return;  // it is a copy
  for (; at != bridge.output_vlans.end() && at->first == vlan; ++at) {
    verdict_.intrusions.push_back({at->second});
    note("in VLAN ", vlan, ", where session ", snapshot_->session(at->second).name, " puts its copies");
  }
}

DropReason Decider::choose_outputs(const PortConfig& in, const BridgeTags& tags) {
  const BridgeConfig& bridge = *in.bridge;
  const bool known = !frame_->dst.is_multicast() && !bridge.flood_vlans[tags.vlan()];
  if (known) {
    // The verdict is carried out later, so an address that this very frame teaches counts as learned already.
    if (frame_->dst == frame_->src) return DropReason::hairpin;
    if (const auto number = bridge.macs->lookup(tags.vlan(), frame_->dst, now_)) {
      const PortConfig* out = snapshot_->port(*number);
      if (out != nullptr && out->bridge == in.bridge) {
        if (out->number == in.number) return DropReason::hairpin;
        if (out->only_copies) return DropReason::destination_is_mirror;
        if (!carries(out->vlan, tags, tags.inner ? tags.inner->vid() : customer_))
          return DropReason::vlan_not_carried;
        note("destination ", frame_->dst, " is on ", out->name);
        deliver(in, *out, tags);
        return DropReason::none;
      }
    }
  }
  note(known ? "destination unknown: flood" : "flood");
  bool delivered = false;
  for (const PortConfig* out : bridge.flood_ports) {
    const bool attached = out->device != nullptr || out->is_patch;
    if (out == &in || !attached || !carries(out->vlan, tags, tags.inner ? tags.inner->vid() : customer_))
      continue;
    deliver(in, *out, tags);
    delivered = true;
  }
  return delivered ? DropReason::none : DropReason::no_recipient;
}

void Decider::deliver(const PortConfig& in, const PortConfig& out, const BridgeTags& tags) {
  Send send{.port = out.number, .tags = depart(out.vlan, tags)};
  if (in.is_protected && out.is_protected) {
    send.drop = DropReason::protected_port;
  } else if (out.is_patch && out.patch_peer == kNoPort) {
    send.drop = DropReason::patch_unconnected;
  } else if (out.is_patch && (patch_depth_ >= kMaxPatchDepth || patches_crossed_ >= kMaxPatches)) {
    send.drop = DropReason::patch_loop;
  } else if (!out.is_patch && out.device == nullptr) {
    send.drop = DropReason::port_waiting;
  }
  // Nobody misses it. Sessions that watch the port copy it all the same, as in Open vSwitch.
  if (out.no_host && carried_ == nullptr && send.drop == DropReason::none) {
    note("not sent to ", out.name, ": the host does not use it");
    return mirror(out, out.mirrors_to, send.tags, true);
  }
  carried_ == nullptr ? verdict_.sends.push_back(send) : carry_out(out, send.tags, send.drop);
  if (send.drop != DropReason::none) return note("not sent to ", out.name, ": ", send.drop);
  note("send to ", out.name, send.tags.count == 0 ? " untagged" : " tagged");
  mirror(out, out.mirrors_to, send.tags, true);
  if (out.is_patch) cross_patch(out, send.tags);
}

/// The frame continues in the peer's bridge as if it had been received there.
void Decider::cross_patch(const PortConfig& out, const TagList& wire) {
  const PortConfig& peer = *snapshot_->ports[index(out.patch_peer)];
  ++patches_crossed_;
  ++patch_depth_;
  if (peer.only_copies) {
    dropped(DropReason::mirror_destination, peer);
  } else if (const auto tags = arrive(peer.vlan, wire, customer_)) {
    note("crosses to ", peer.name, " of ", peer.bridge->name, " in VLAN ", tags->vlan());
    if (!peer.mirrors_from.empty()) mirror_tags(peer, peer.mirrors_from, *tags, false);
    switch_frame(peer, *tags);
  } else {
    dropped(DropReason::vlan_not_admitted, peer);
  }
  --patch_depth_;
}

/// A refusal in the first bridge ends the walk; beyond a patch it ends one branch of it.
void Decider::dropped(DropReason reason, const PortConfig& port) {
  note("dropped on ", port.name, ": ", reason);
  if (patch_depth_ == 0) {
    verdict_.drop = reason;
    return;
  }
  verdict_.patch_drops.push_back({port.number, reason, walk()});
  if (carried_ != nullptr) carry_out(port, {}, reason);
}

}  // namespace vswitch
