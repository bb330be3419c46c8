// SPDX-License-Identifier: Apache-2.0
// The part of Decider::decide() that is about mirrors: which sessions copy what passes a source port, and
// the walks of copies that leave by patch ports.
#include <algorithm>
#include <utility>

#include "datapath/pipeline/pipeline.h"
#include "datapath/switching/reserved_multicast.h"

namespace vswitch {

namespace {

const VlanPolicy kTrunk;

}  // namespace

/// Mirrors the frame on the wire at `source`: its VLAN is the one that it would have had if it had been
/// received there.
void Decider::mirror_wire(const PortConfig& source, const Candidates& candidates, const TagList& wire,
                          bool delivered) {
  if (const auto tags = arrive(source.vlan, wire, customer_))
    mirror_tags(source, candidates, *tags, delivered);
}

void Decider::mirror_tags(const PortConfig& source, const Candidates& candidates, const BridgeTags& tags,
                          bool delivered) {
  const auto one = [&](SessionIndex session) { mirror_by(session, source, tags, delivered); };
  if (trace_ != nullptr || unfiltered_) {  // the trace also lists sessions that do not select the VLAN
    for (const SessionIndex session : candidates.all()) one(session);
  } else {
    if (found_.size() == visits_) found_.emplace_back();
    candidates.visit(
        tags.vlan(), [&]() -> const FlowKey& { return key_of(tags); }, found_[visits_++], one);
    --visits_;
  }
}

void Decider::mirror_by(SessionIndex at, const PortConfig& source, const BridgeTags& tags, bool delivered) {
  const CompiledSession& session = snapshot_->session(at);
  Trace::Result result = test(at, tags);
  const bool selected = result == Trace::Result::copied;
  // A copy that enters its output VLAN again would loop for ever, and link-local addresses are valid on one
  // link only.
  const auto& output_vlan = session.tags.output_vlan;
  const bool fits = !output_vlan || (*output_vlan != tags.vlan() && !is_reserved_multicast(frame_->dst));
  if (selected && !fits) result = Trace::Result::not_for_output_vlan;
  if (trace_ != nullptr) {
    const Match* skip = result == Trace::Result::skipped ? session.rules->skipping(key_of(tags)) : nullptr;
    trace_->tests.push_back({at, source.number, delivered, result, walk(), skip});
  }
  if (!selected) return;
  mark(session_done_[at]);
  fits ? copy(at, source, tags, delivered) : verdict_.selections.push_back({at, walk()});
}

/// Whether the session selects the frame as it is here. If not, it may still select it at another port, where
/// it has other tags.
Trace::Result Decider::test(SessionIndex at, const BridgeTags& tags) {
  const CompiledSession& session = snapshot_->session(at);
  if (session_done_[at] == serial_ || is_copy_of(at)) return Trace::Result::already_copied;
  if (session.select_vlans && !(*session.select_vlans)[tags.vlan()]) return Trace::Result::vlan_not_selected;
  if (session.rules == nullptr || unfiltered_) return Trace::Result::copied;
  const FlowKey& key = key_of(tags);
  if (session.rules->skipping(key) != nullptr) return Trace::Result::skipped;
  return session.rules->selects(key) ? Trace::Result::copied : Trace::Result::filtered_out;
}

const FlowKey& Decider::key_of(const BridgeTags& tags) {
  if (!key_known_ || key_tags_.outer != tags.outer || key_tags_.inner != tags.inner) {
    key_ = FlowKey(*frame_, tags);
    key_tags_ = tags;
    key_known_ = true;
  }
  return key_;
}

/// Whether the frame has not yet been copied to the port in the form that this session's copy would have
/// there.
bool Decider::first_there(PortNo port, const CompiledSession& session) {
  if (!session.tags.output_vlan) return destination_done_[index(port)] != serial_;
  return std::find(vlan_destination_done_.begin(), vlan_destination_done_.end(),
                   VlanDone{port, *session.tags.output_vlan, serial_}) == vlan_destination_done_.end();
}

/// Done for the current frame or copy.
void Decider::mark(std::uint64_t& done) {
  if (carried_ != nullptr) overwritten_.push_back({&done, done});
  done = serial_;
}

/// Whether the current frame is a copy by the session, or a copy of one: it would copy its own copies for
/// ever.
bool Decider::is_copy_of(SessionIndex session) const {
  for (WalkNo walk = this->walk(); walk != kFrameItself; walk = verdict_.walk(walk).parent) {
    if (verdict_.walk(walk).session == session) return true;
  }
  return false;
}

/// Maximum length in bytes of a copy that leaves with these tags. A copy of a copy is not longer than the
/// first copy.
std::uint32_t Decider::truncated_length(const CompiledSession& session, const TagList& wire) const {
  const auto snaplen = static_cast<std::uint32_t>(session.snaplen);
  if (carried_ == nullptr || carried_->remaining == kWholeFrame) return snaplen;
  return std::min(snaplen, header_length(wire) + carried_->remaining);
}

bool Decider::carries_copy(const VlanPolicy& policy, const CopyTags& how, const BridgeTags& tags) const {
  BridgeTags shaped = shape_copy(how, tags);
  const VlanId customer = shaped.inner ? shaped.inner->vid() : customer_;
  if (policy.mode == VlanMode::access) shaped.inner.reset();  // it keeps the customer's tag there too
  return carries(policy, shaped, customer);
}

/// One copy to each destination of the session, unless the frame has already been copied there.
void Decider::copy(SessionIndex at, const PortConfig& source, const BridgeTags& tags, bool delivered) {
  const CompiledSession& session = snapshot_->session(at);
  note("session ", session.name, " copies it");
  const bool in_vlan = tags.outer && (tags.outer->tci & 0xefff) != 0;
  const CopyOrigin origin{
      .tag = in_vlan ? tags.outer : std::nullopt, .delivered = delivered, .port = &source};
  const std::size_t selection = verdict_.selections.size();
  verdict_.selections.push_back({at, walk(), false});
  bool nowhere = true;
  for (std::uint32_t d = 0; d < session.destinations.size(); ++d) {
    const PortNo number = session.destinations[d].port;
    if (number == kNoPort) {
      verdict_.selections[selection].counts = true;
      nowhere = false;
      // With the tags that a trunk port would send.
      const TagList wire = depart_copy(kTrunk, session.tags, tags);
      verdict_.copies.push_back({.session = at,
                                 .destination = d,
                                 .port = kNoPort,
                                 .tags = wire,
                                 .origin = origin,
                                 .snaplen = truncated_length(session, wire),
                                 .walk = walk()});
      note("copy to ", session.destinations[d].label);
      continue;
    }
    const PortConfig& out = *snapshot_->ports[index(number)];
    if (session.tags.output_vlan && !carries_copy(out.vlan, session.tags, tags)) continue;
    nowhere = false;
    DropReason drop = DropReason::none;
    if (!first_there(number, session)) {
      drop = DropReason::duplicate;
    } else if (out.is_patch && out.patch_peer == kNoPort) {
      drop = DropReason::patch_unconnected;
    } else if (out.is_patch && (patch_depth_ >= kMaxPatchDepth || copies_crossed_ >= kMaxPatches)) {
      drop = DropReason::patch_loop;
    } else if (!out.is_patch && out.device == nullptr) {
      drop = DropReason::port_waiting;
    }
    if (drop != DropReason::duplicate) {
      if (drop == DropReason::none && session.tags.output_vlan) {
        vlan_destination_done_.push_back({number, *session.tags.output_vlan, serial_});
      } else if (drop == DropReason::none) {
        mark(destination_done_[index(number)]);
      }
      verdict_.selections[selection].counts = true;
    }
    const TagList wire = depart_copy(out.vlan, session.tags, tags);
    const bool goes_on = drop == DropReason::none || drop == DropReason::duplicate;
    drop == DropReason::none ? note("copy to ", out.name) : note("copy to ", out.name, ": lost, ", drop);
    if (out.is_patch && goes_on) {
      copy_over_patch(at, d, out, wire, origin);
    } else {
      verdict_.copies.push_back({.session = at,
                                 .destination = d,
                                 .port = number,
                                 .tags = wire,
                                 .origin = origin,
                                 .drop = drop,
                                 .snaplen = truncated_length(session, wire),
                                 .walk = walk()});
    }
    if (drop == DropReason::none) mirror(out, out.mirrors_of_copies, wire, true);
  }
  if (nowhere)
    verdict_.selections[selection].counts = true;  // selected, although no port carries its output VLAN
}

/// A copy that leaves by a patch port is a frame in the peer's bridge: a walk of its own, and only the worker
/// knows whether it takes place. If several sessions copy the frame over the same patch, each has its walk,
/// and the first session that does not omit the frame supplies it.
void Decider::copy_over_patch(SessionIndex at, std::uint32_t destination, const PortConfig& out,
                              const TagList& wire, const CopyOrigin& origin) {
  const CompiledSession& session = snapshot_->session(at);
  const WalkNo number = static_cast<WalkNo>(verdict_.walks.size()) + 1;
  const auto same = std::find_if(verdict_.walks.begin(), verdict_.walks.end(), [&](const CopyWalk& walk) {
    const CompiledSession& other = snapshot_->session(walk.session);
    return walk.parent == this->walk() && other.destinations[walk.destination].port == out.number &&
           other.tags.output_vlan == session.tags.output_vlan;
  });
  const WalkNo first = same == verdict_.walks.end() ? number : same->first;
  const std::uint32_t length = truncated_length(session, wire);
  verdict_.walks.push_back({this->walk(), at, destination, first});
  verdict_.crossings.push_back({out.number, number});
  Carried carried{
      .walk = number, .session = at, .destination = destination, .origin = origin, .remaining = length};
  if (length != kWholeFrame) carried.remaining = length - std::min(length, header_length(wire));

  const int frame_crossed = std::exchange(patches_crossed_, copies_crossed_);
  const Carried* before = std::exchange(carried_, &carried);
  const std::uint64_t serial_before = std::exchange(serial_, ++last_serial_);
  const std::size_t overwritten_before = overwritten_.size();
  walk_as_copy(out, wire);
  for (; overwritten_.size() > overwritten_before; overwritten_.pop_back())
    *overwritten_.back().where = overwritten_.back().what;
  serial_ = serial_before;
  carried_ = before;
  copies_crossed_ = patches_crossed_;
  patches_crossed_ = before == nullptr ? frame_crossed : copies_crossed_;
}

void Decider::walk_as_copy(const PortConfig& out, const TagList& wire) {
  if (carried_->remaining >= frame_->payload.size()) return cross_patch(out, wire);
  if (carried_->remaining < sizeof(std::uint16_t)) {  // its EtherType has been truncated
    note("the copy is lost at ", out.name, ": ", DropReason::malformed);
    verdict_.patch_drops.push_back({out.patch_peer, DropReason::malformed, walk()});
    return carry_out(out, wire, DropReason::malformed);
  }
  Frame truncated = *frame_;
  truncated.payload = truncated.payload.first(carried_->remaining);
  const Frame* whole = std::exchange(frame_, &truncated);
  key_known_ = false;
  cross_patch(out, wire);
  frame_ = whole;
  key_known_ = false;
}

/// deliver() for a copy that has become a frame beyond a patch: the copy that leaves is its session's.
void Decider::carry_out(const PortConfig& out, const TagList& wire, DropReason drop) {
  if (out.is_patch && drop == DropReason::none) {
    verdict_.crossings.push_back({out.number, walk()});
    return;
  }
  std::uint32_t snaplen = kWholeFrame;
  if (carried_->remaining != kWholeFrame) snaplen = header_length(wire) + carried_->remaining;
  verdict_.copies.push_back({.session = carried_->session,
                             .destination = carried_->destination,
                             .port = out.number,
                             .tags = wire,
                             .origin = carried_->origin,
                             .drop = drop,
                             .snaplen = snaplen,
                             .walk = walk()});
}

}  // namespace vswitch
