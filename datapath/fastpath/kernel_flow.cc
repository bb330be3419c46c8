// SPDX-License-Identifier: Apache-2.0
#include "datapath/fastpath/kernel_flow.h"

#include <algorithm>
#include <functional>

#include "datapath/fastpath/maps.h"

namespace vswitch::fastpath {

namespace {

Eligibility obstacle(Obstacle what) {
  return {.obstacle = what, .flow = {}};
}

/// The bridges that the frame passes. False if it passes one twice, or one that does not learn its source.
bool add_hops(const Snapshot& snapshot, const Verdict& verdict, KernelFlow& flow) {
  const auto crossings = std::count_if(verdict.sends.begin(), verdict.sends.end(),
                                       [&](const Send& send) { return snapshot.port(send.port)->is_patch; });
  if (verdict.learns.size() != static_cast<std::size_t>(crossings) + 1) return false;
  for (const Learn& learn : verdict.learns) {
    if (std::any_of(flow.hops.begin(), flow.hops.end(),
                    [&](const KernelHop& hop) { return hop.bridge == learn.bridge; }))
      return false;
    flow.hops.push_back({.bridge = learn.bridge, .vlan = learn.vlan, .in = learn.port});
  }
  return flow.hops.front().bridge == flow.in->bridge;
}

/// All ports where the frame leaves; the last is one where it is sent.
Obstacle add_sends(const Snapshot& snapshot, const Verdict& verdict, KernelFlow& flow) {
  using Kind = KernelSend::Kind;
  for (const Send& send : verdict.sends) {
    const PortConfig& out = *snapshot.port(send.port);
    const auto hop = std::find_if(flow.hops.begin(), flow.hops.end(),
                                  [&](const KernelHop& one) { return one.bridge == out.bridge; });
    const bool is_refused = send.drop == DropReason::protected_port;
    if ((send.drop != DropReason::none && !is_refused) || hop == flow.hops.end()) return Obstacle::path;
    hop->out = out.number;
    if (out.is_patch && !is_refused) {
      flow.sends.push_back({.port = out.number, .kind = Kind::crosses, .peer = out.patch_peer});
      continue;
    }
    if (!is_refused && (out.device == nullptr || !out.device->kernel_device().takes_frames))
      return Obstacle::device;
    const auto tag = single_tag(send.tags);
    if (!tag) return Obstacle::tags;
    flow.sends.push_back({.port = send.port, .tag = *tag, .kind = is_refused ? Kind::refused : Kind::sent});
  }
  const auto is_sent = [](const KernelSend& send) { return send.kind == Kind::sent; };
  std::stable_partition(flow.sends.begin(), flow.sends.end(), std::not_fn(is_sent));
  return is_sent(flow.sends.back()) ? Obstacle::none : Obstacle::path;
}

bool is_to_one(const KernelFlow& flow) {
  return std::all_of(flow.sends.begin(), flow.sends.end() - 1,
                     [](const KernelSend& send) { return send.kind == KernelSend::Kind::crosses; });
}

}  // namespace

std::string_view sentence(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::none:
      break;
    case Obstacle::device:
      return "it arrives on or leaves by a port that the kernel cannot forward from or to: one without a "
             "network device, or one with something of the host on its way out (show-port)";
    case Obstacle::path:
      return "it is dropped, passes one bridge twice, or is flooded because nobody knows its destination";
    case Obstacle::many_ports:
      return "its group has more ports than the kernel sends to";
    case Obstacle::tags:
      return "it has more than one VLAN tag, on arrival or when it leaves";
    case Obstacle::session_needs:
      return "a session filters, samples, limits, truncates or encapsulates its copies, and there are no "
             "copy taps for that";
    case Obstacle::many_copies:
      return "it has more copies than the kernel makes, and there are no copy taps for them";
  }
  return "";
}

Eligibility kernel_flow(const Snapshot& snapshot, PortNo in_number, const Frame& frame,
                        const Verdict& verdict, const Unfiltered& unfiltered) {
  if (verdict.drop != DropReason::none || verdict.sends.empty() || !verdict.walks.empty() ||
      !verdict.patch_drops.empty() || !verdict.intrusions.empty() || !verdict.crossings.empty())
    return obstacle(Obstacle::path);
  if (verdict.sends.size() > FASTPATH_SENDS + 1) return obstacle(Obstacle::many_ports);
  const PortConfig& in = *snapshot.port(in_number);
  if (in.device == nullptr || in.device->kernel_device().ifindex == 0 ||
      !in.device->kernel_device().is_filtered)
    return obstacle(Obstacle::device);
  if (frame.inner_tag()) return obstacle(Obstacle::tags);
  KernelFlow flow{
      .in = &in, .hops = {}, .sends = {}, .in_tag = frame.tag ? tag_word(*frame.tag) : 0, .copies = {}};
  if (!add_hops(snapshot, verdict, flow)) return obstacle(Obstacle::path);
  if (const Obstacle trouble = add_sends(snapshot, verdict, flow); trouble != Obstacle::none)
    return obstacle(trouble);
  if (!frame.dst.is_multicast() && !is_to_one(flow)) return obstacle(Obstacle::path);
  const Obstacle trouble = add_copies(snapshot, verdict, frame.dst.is_multicast(), unfiltered, flow);
  if (trouble != Obstacle::none) return obstacle(trouble);
  return {.obstacle = Obstacle::none, .flow = std::move(flow)};
}

}  // namespace vswitch::fastpath
