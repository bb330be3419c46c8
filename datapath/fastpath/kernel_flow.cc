// SPDX-License-Identifier: Apache-2.0
#include "datapath/fastpath/kernel_flow.h"

#include <algorithm>

#include "datapath/fastpath/maps.h"

namespace vswitch::fastpath {

namespace {

/// Nothing if there is more than one tag.
std::optional<std::uint32_t> single_tag(const TagList& tags) {
  if (tags.count > 1) return std::nullopt;
  return tags.count == 0 ? 0U : tag_word(tags.tags[0]);
}

/// False if one of these sessions might treat another frame of the flow otherwise.
bool select_by_flow(const Snapshot& snapshot, const Candidates& candidates) {
  return std::all_of(candidates.all().begin(), candidates.all().end(),
                     [&](SessionIndex at) { return snapshot.session(at).rules == nullptr; });
}

bool copies_every_frame(const CompiledSession& session) {
  return session.sample == 1 && session.rate == nullptr && session.quota == nullptr;
}

/// The port finishes checksums and segments GSO packets (PortConfig::only_copies; FastPath sees to it), which is what
/// the session asks for.
bool is_shaped_by_port(const CompiledSession& session, const PortConfig& port) {
  return port.only_copies && session.gso_packets != GsoPackets::keep && session.snaplen == kWholeFrame;
}

Eligibility obstacle(Obstacle what) {
  return {.obstacle = what, .flow = {}};
}

Obstacle add_copies(const Snapshot& snapshot, const Verdict& verdict, KernelFlow& flow) {
  for (const Selection& selection : verdict.selections) {
    const CompiledSession& session = snapshot.session(selection.session);
    if (!copies_every_frame(session)) return Obstacle::session_needs;
    if (selection.counts) flow.copies.sessions.push_back(session.counters);
  }
  for (const Copy& copy : verdict.copies) {
    const CompiledSession& session = snapshot.session(copy.session);
    const bool duplicate = copy.drop == DropReason::duplicate;
    if (copy.port == kNoPort) return Obstacle::session_needs;
    if (copy.drop != DropReason::none && !duplicate) return Obstacle::copy_shape;
    const PortConfig& port = *snapshot.port(copy.port);
    const auto tag = single_tag(copy.tags);
    if (!tag) return Obstacle::tags;
    if (port.device == nullptr || !port.device->kernel_device().takes_copies) return Obstacle::device;
    if (!is_shaped_by_port(session, port)) return Obstacle::copy_shape;
    if (!select_by_flow(snapshot, port.mirrors_of_copies)) return Obstacle::session_needs;
    flow.copies.copies.push_back({.account = session.destinations[copy.destination].counters,
                                  .port = copy.port,
                                  .tag = *tag,
                                  .duplicate = duplicate});
  }
  const std::size_t most = std::max(flow.copies.copies.size(), flow.copies.sessions.size());
  return most > FASTPATH_COPIES ? Obstacle::many_copies : Obstacle::none;
}

}  // namespace

Eligibility kernel_flow(const Snapshot& snapshot, PortNo in_number, const Frame& frame,
                        const Verdict& verdict) {
  if (frame.dst.is_multicast() || verdict.drop != DropReason::none || verdict.sends.size() != 1 ||
      verdict.learns.size() != 1 || !verdict.walks.empty() || !verdict.patch_drops.empty() ||
      !verdict.intrusions.empty() || !verdict.crossings.empty())
    return obstacle(Obstacle::not_unicast);
  const Send& send = verdict.sends.front();
  const PortConfig& in = *snapshot.port(in_number);
  const PortConfig& out = *snapshot.port(send.port);
  if (send.drop != DropReason::none || out.is_patch || out.bridge != in.bridge)
    return obstacle(Obstacle::not_unicast);
  if (in.device == nullptr || out.device == nullptr || in.device->kernel_device().ifindex == 0 ||
      !in.device->kernel_device().is_filtered || !out.device->kernel_device().takes_frames)
    return obstacle(Obstacle::device);
  const auto out_tag = single_tag(send.tags);
  if (!out_tag || frame.inner_tag()) return obstacle(Obstacle::tags);
  if (!select_by_flow(snapshot, in.mirrors_from) || !select_by_flow(snapshot, out.mirrors_to))
    return obstacle(Obstacle::session_needs);
  KernelFlow flow{.in = &in,
                  .out = &out,
                  .in_tag = frame.tag ? tag_word(*frame.tag) : 0,
                  .out_tag = *out_tag,
                  .vlan = verdict.learns.front().vlan,
                  .copies = {}};
  const Obstacle trouble = add_copies(snapshot, verdict, flow);
  if (trouble != Obstacle::none) return obstacle(trouble);
  return {.obstacle = Obstacle::none, .flow = std::move(flow)};
}

}  // namespace vswitch::fastpath
