// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/explain.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "datapath/engine/copy_admission.h"
#include "datapath/fastpath/kernel_flow.h"
#include "datapath/frame/headers.h"
#include "datapath/pipeline/pipeline.h"
#include "datapath/pipeline/trace.h"
#include "datapath/tunnel/inherit.h"
#include "datapath/tunnel/pieces.h"

namespace vswitch::bridge {

namespace {

std::vector<std::uint8_t> frame_bytes(const Frame& frame, const TagList& tags) {
  std::array<std::uint8_t, kMaxHeaderLength> header{};
  const std::size_t length = write_header(frame.dst, frame.src, tags, header);
  std::vector<std::uint8_t> bytes(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(length));
  bytes.insert(bytes.end(), frame.payload.begin(), frame.payload.end());
  return bytes;
}

/// The bytes of a copy, truncated as the session says.
std::vector<std::uint8_t> copy_bytes(const Frame& frame, const Copy& copy) {
  std::vector<std::uint8_t> bytes = frame_bytes(frame, copy.tags);
  if (bytes.size() > copy.snaplen) bytes.resize(copy.snaplen);
  return bytes;
}

std::string count(std::uint64_t number, const char* what) {
  return std::to_string(number) + ' ' + what;
}

/// The limits that make the session copy only some of such frames. The worker decides for each frame; these
/// are the present values.
std::vector<std::string> limits_of(const CompiledSession& session, TimeNs now) {
  std::vector<std::string> limits;
  if (session.sample > 1) limits.push_back("then sampled: 1 in " + std::to_string(session.sample));
  if (session.rate != nullptr) {
    const RateSpec& most = session.rate->spec();
    const RateSpec left = session.rate->left(now);
    if (most.packets != 0)
      limits.push_back("then limited to " + count(most.packets, "packets per second; at this moment ") +
                       count(left.packets, "may come"));
    if (most.bits != 0)
      limits.push_back("then limited to " + count(most.bits, "bits per second; at this moment ") +
                       count(left.bits, "may come"));
  }
  if (session.quota != nullptr) {
    const QuotaSpec& most = session.quota->spec();
    const QuotaSpec left = session.quota->left();
    if (most.packets != 0)
      limits.push_back("then ends after " + count(most.packets, "packets; ") +
                       count(left.packets, "are left"));
    if (most.bytes != 0)
      limits.push_back("then ends after " + count(most.bytes, "bytes; ") + count(left.bytes, "are left"));
  }
  return limits;
}

/// Whether a session copies the frame, and why. `refused`: the frame did not get as far as any session.
Explanation::Verdict verdict_of(const Snapshot& snapshot, SessionIndex at, const Trace& trace,
                                const Verdict& verdict, DropReason refused) {
  Explanation::Verdict answer{.session = snapshot.session(at).name,
                              .copied = false,
                              .reason = "the frame touches none of its source ports"};
  if (refused != DropReason::none)
    answer.reason = "the frame is not admitted: " + std::string(sentence(refused));
  for (const Trace::SessionTest& test : trace.tests) {
    if (test.session != at || answer.copied || !takes_place(verdict, test.walk, {})) continue;
    answer.copied = test.result == Trace::Result::copied;
    answer.reason = std::string(sentence(test.result)) + (test.skip ? " (" + test.skip->text() + ")" : "") +
                    (test.delivered ? ": to " : ": from ") + snapshot.ports[index(test.port)]->name;
  }
  const auto is_of_it = [&](const Copy& copy) {
    return copy.session == at && takes_place(verdict, verdict.made_on(copy), {});
  };
  if (answer.copied && std::none_of(verdict.copies.begin(), verdict.copies.end(), is_of_it)) {
    answer.copied = false;
    answer.reason += ", but no port carries the copy in its output VLAN";
  }
  return answer;
}

/// A packet socket sends frames as long as the MTU of the device, Ethernet header not counted, and the tag if it is
/// 802.1Q (packet_snd() in net/packet/af_packet.c). A tap takes any length.
bool is_too_big(const PortConfig& out, std::span<const std::uint8_t> frame) {
  if (frame.size() < kAddressesLength + kEtherTypeLength) return false;
  if (out.mtu == 0 || out.device == nullptr) return false;
  const KernelDevice device = out.device->kernel_device();
  if (device.ifindex == 0 || device.is_host) return false;
  const bool has_room_for_tag = u16_at(frame, kAddressesLength) == kTpid8021Q;
  return frame.size() > kAddressesLength + kEtherTypeLength + out.mtu + (has_room_for_tag ? kTagLength : 0);
}

/// What the IP header of a tunnel's packet takes from the frame inside, if its settings say so.
void explain_packet(Explanation& explanation, const std::string& to, const tunnel::TunnelEndpoint* endpoint,
                    std::span<const std::uint8_t> frame) {
  if (endpoint == nullptr || (!endpoint->settings().inherit_ttl && !endpoint->settings().inherit_dscp))
    return;
  const tunnel::OuterFields outer = tunnel::outer_fields(endpoint->settings(), frame, {});
  explanation.trace.push_back("the packet to " + to + " has TTL " + std::to_string(outer.ttl) + ", DSCP " +
                              std::to_string(outer.tos >> 2) + " and ECN " + std::to_string(outer.tos & 3));
}

/// "1514 bytes, and the path has room for 1466"
std::string too_long(std::size_t length, std::size_t longest) {
  return count(length, "bytes, and the path has room for ") + count(longest, "bytes");
}

/// The copy as it is inside the packet.
void explain_endpoint(Explanation& explanation, const CompiledSession& session, const Copy& copy,
                      std::vector<std::uint8_t> frame) {
  const MirrorDestination& to = session.destinations[copy.destination];
  if (to.capture != nullptr) {
    explanation.copies.push_back({session.name, to.label, std::move(frame)});
    return;
  }
  const std::string what = "the copy of " + session.name;
  if (const DropReason trouble = to.endpoint->trouble(); trouble != DropReason::none) {
    explanation.trace.push_back(what + " is lost on the path to " + to.label + ": " +
                                std::string(sentence(trouble)));
    return;
  }
  const std::size_t longest = to.endpoint->longest_frame();
  const tunnel::Fit fit = tunnel::fit_to_path(frame.size(), kWholeFrame, longest, session.mtu_policy);
  if (fit.is_too_long) {
    explanation.trace.push_back(what + " is lost on the path to " + to.label + ": it has " +
                                too_long(frame.size(), longest) + " (mtu policy drop)");
    return;
  }
  if (fit.fragmented)
    explanation.trace.push_back(what + " to " + to.label + " is sent in fragments: it has " +
                                too_long(frame.size(), longest));
  if (fit.cut_to_mtu)
    explanation.trace.push_back(what + " to " + to.label + " is truncated from " +
                                count(frame.size(), "bytes to the ") +
                                count(longest, "bytes that the MTU of the path has room for"));
  frame.resize(fit.bytes);
  explain_packet(explanation, to.label, to.endpoint.get(), frame);
  explanation.copies.push_back({session.name, to.label, std::move(frame)});
}

/// Whether the kernel will carry frames like this one, decided as FastPath::offer() does.
Explanation::FastPath explain_fast_path(const Snapshot& snapshot, const PortConfig& in, const Frame& frame,
                                        const Verdict& verdict, TimeNs now, const FastPathUse& use) {
  if (!use.off.empty()) return {.reason = "the fast path is off: " + use.off};
  Decider decider;
  fastpath::Unfiltered unfiltered;
  if (use.has_taps)
    unfiltered = [&]() -> const Verdict& {
      return decider.decide_unfiltered(snapshot, in.number, frame, now);
    };
  const fastpath::Eligibility eligible =
      fastpath::kernel_flow(snapshot, in.number, frame, verdict, unfiltered);
  if (!eligible.flow) return {.reason = std::string(sentence(eligible.obstacle))};
  // A flood to a single port looks the same. The source will be known: this frame teaches it.
  const fastpath::KernelFlow& flow = *eligible.flow;
  const auto is_unknown = [&](const fastpath::KernelHop& hop) {
    return !frame.dst.is_multicast() && hop.bridge->macs->lookup(hop.vlan, frame.dst, now) != hop.out;
  };
  if (std::any_of(flow.hops.begin(), flow.hops.end(), is_unknown))
    return {.reason = std::string(sentence(fastpath::Obstacle::path))};
  Explanation::FastPath answer{.is_carried = true};
  const fastpath::KernelCopies& copies = flow.copies;
  // What sessions select by header fields, user space says once about all frames with these fields.
  if (!copies.tapped || copies.by_headers()) return answer;
  for (const fastpath::KernelHop& hop : flow.hops) {
    for (const CompiledSession& session : hop.bridge->sessions) {
      const bool copies_it = std::any_of(verdict.copies.begin(), verdict.copies.end(), [&](const Copy& copy) {
        return &snapshot.session(copy.session) == &session;
      });
      if (copies_it && copies.tapped->concerns(session)) answer.user_copies.push_back(session.name);
    }
  }
  return answer;
}

}  // namespace

Explanation explain(const Snapshot& snapshot, const PortConfig& in, const std::vector<DesiredSession>& asked,
                    const std::vector<SessionStatus>& states, std::span<const std::uint8_t> bytes, TimeNs now,
                    const FastPathUse& fast_path) {
  Trace trace;
  Decider decider;
  Verdict verdict;
  const ParseResult parsed = parse({.bytes = bytes, .stripped_tag = {}, .offload = {}});
  if (parsed.drop == DropReason::none) {
    verdict = decider.decide(snapshot, in.number, parsed.frame, now, &trace);
  } else {
    verdict.drop = parsed.drop;
    trace.steps.push_back("dropped on " + in.name + ": " + std::string(sentence(parsed.drop)));
  }

  Explanation explanation{
      .trace = std::move(trace.steps), .outputs = {}, .copies = {}, .mirrors = {}, .fast_path = {}};
  if (parsed.drop == DropReason::none)
    explanation.fast_path = explain_fast_path(snapshot, in, parsed.frame, verdict, now, fast_path);
  else
    explanation.fast_path.reason = sentence(fastpath::Obstacle::path);
  // The decision ignores links, MTUs and the paths of tunnels: the port would refuse the frame, or send it in fragments.
  const auto leaves = [&](const std::string& what, const PortConfig& out, DropReason decided,
                          std::span<const std::uint8_t> frame) {
    if (decided != DropReason::none) return false;
    DropReason trouble = out.endpoint ? out.endpoint->trouble() : DropReason::none;
    if (!out.link_up) trouble = DropReason::link_down;
    if (trouble == DropReason::none && is_too_big(out, frame)) trouble = DropReason::too_big;
    if (trouble == DropReason::none && out.endpoint != nullptr) {
      const std::size_t longest = out.endpoint->longest_frame();
      const tunnel::Fit fit = tunnel::fit_to_path(frame.size(), kWholeFrame, longest,
                                                  tunnel::mtu_policy_of_port(out.endpoint->settings()));
      if (fit.fragmented)
        explanation.trace.push_back(what + " to " + out.name + " is sent in fragments: it has " +
                                    too_long(frame.size(), longest));
      if (fit.is_too_long) trouble = DropReason::too_big;
    }
    if (trouble == DropReason::none) return true;
    explanation.trace.push_back(what + " is lost at " + out.name + ": " + std::string(sentence(trouble)));
    return false;
  };
  for (const Send& send : verdict.sends) {
    const PortConfig& out = *snapshot.ports[index(send.port)];
    std::vector<std::uint8_t> frame = frame_bytes(parsed.frame, send.tags);
    if (!leaves("the frame", out, send.drop, frame)) continue;
    explanation.outputs.push_back({out.name, std::move(frame)});
    explain_packet(explanation, out.name, out.endpoint.get(), explanation.outputs.back().frame);
  }
  for (const Copy& copy : verdict.copies) {
    if (!takes_place(verdict, copy.walk, {})) continue;
    const CompiledSession& session = snapshot.session(copy.session);
    std::vector<std::uint8_t> frame = copy_bytes(parsed.frame, copy);
    if (copy.port == kNoPort) {
      explain_endpoint(explanation, session, copy, std::move(frame));
      continue;
    }
    const PortConfig& out = *snapshot.ports[index(copy.port)];
    if (!leaves("the copy of " + session.name, out, copy.drop, frame)) continue;
    explanation.copies.push_back({session.name, out.name, std::move(frame)});
    explain_packet(explanation, out.name, out.endpoint.get(), explanation.copies.back().frame);
  }

  // Other reasons to drop the frame come after the sessions of its port have seen it.
  const bool refused = parsed.drop != DropReason::none || verdict.drop == DropReason::mirror_destination ||
                       verdict.drop == DropReason::vlan_not_admitted;
  SessionIndex at = in.bridge->first_session;
  for (const CompiledSession& session : in.bridge->sessions) {
    Explanation::Verdict evaluated =
        verdict_of(snapshot, at++, trace, verdict, refused ? verdict.drop : DropReason::none);
    if (evaluated.copied) evaluated.then = limits_of(session, now);
    explanation.mirrors.push_back(std::move(evaluated));
  }
  // Sessions that are not in the datapath: their state says why.
  for (const SessionStatus& status : states) {
    const auto is_it = [&status](const auto& session) { return session.id == status.id; };
    const auto session = std::find_if(asked.begin(), asked.end(), is_it);
    if (session == asked.end()) continue;
    if (std::any_of(in.bridge->sessions.begin(), in.bridge->sessions.end(), is_it)) continue;
    const std::string reason = status.reason.empty() ? "" : ": " + status.reason;
    explanation.mirrors.push_back({session->name, false, std::string(name(status.state)) + reason});
  }
  return explanation;
}

}  // namespace vswitch::bridge
