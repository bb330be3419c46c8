// SPDX-License-Identifier: Apache-2.0
#include "datapath/fastpath/kernel_copies.h"

#include <algorithm>
#include <iterator>

#include "datapath/fastpath/kernel_flow.h"
#include "datapath/fastpath/maps.h"

namespace vswitch::fastpath {

namespace {

constexpr std::size_t kMostListed =
    64;  // sessions of which user space makes the copies; beyond: it makes all

/// Does not compile if there is another setting: the functions below must know which of them the kernel can honour.
[[maybe_unused]] void know_all_settings(const CopySettings& settings) {
  [[maybe_unused]] const auto& [rules, tags, snaplen, gso_packets, mtu_policy, sample] = settings;
}

/// It selects every frame of the flow, and makes a copy of each.
bool copies_every_frame(const CompiledSession& session) {
  return session.rules == nullptr && session.sample == 1 && session.rate == nullptr &&
         session.quota == nullptr;
}

/// Which frames it copies is decided by what user space keeps: what it has copied before, or random numbers that can be
/// repeated.
bool is_limited(const Snapshot& snapshot, const CompiledSession& session) {
  return session.quota != nullptr || (session.sample > 1 && snapshot.work.sample_seed != 0);
}

/// What leaves there is what the session asks for. Copies at a port with production look as production frames do.
bool is_shaped_by_port(const CompiledSession& session, const PortConfig& port) {
  if (session.snaplen != kWholeFrame) return false;
  switch (session.gso_packets) {
    case GsoPackets::by_destination:
      return finishes_copies(port) == port.only_copies;
    case GsoPackets::keep:
      return !finishes_copies(port);
    case GsoPackets::segment:
      return finishes_copies(port);
  }
  return false;
}

bool kernel_can(const Snapshot& snapshot, const Copy& copy) {
  const CompiledSession& session = snapshot.session(copy.session);
  if (copy.port == kNoPort || (copy.drop != DropReason::none && copy.drop != DropReason::duplicate))
    return false;
  const PortConfig& port = *snapshot.port(copy.port);
  return port.device != nullptr && port.device->kernel_device().takes_copies && single_tag(copy.tags) &&
         is_shaped_by_port(session, port);
}

/// The filter looks at nothing that fastpath_headers does not have. (Fragments are not known by it.)
bool reads_known_headers(const Match& match) {
  const FlowKey& mask = match.mask();
  const auto reads = [&mask](KeySlot slot) {
    const FlowKey::Value value = mask.value(slot);
    return std::any_of(value.begin(), value.begin() + slot.size, [](std::uint8_t byte) { return byte != 0; });
  };
  const auto others = {key_slot::kTtl,      key_slot::kIpv6Label, key_slot::kTcpFlags,
                       key_slot::kNdTarget, key_slot::kArpSha,    key_slot::kArpTha};
  const auto ranges = match.ranges();
  return std::none_of(others.begin(), others.end(), reads) &&
         std::all_of(ranges.begin(), ranges.end(), [](const Match::Range& range) {
           return range.slot == key_slot::kSrcPort || range.slot == key_slot::kDstPort;
         });
}

bool reads_known_headers(const FilterRules& rules) {
  const auto is_known = [](const Match& match) { return reads_known_headers(match); };
  return std::all_of(rules.filter.begin(), rules.filter.end(), is_known) &&
         std::all_of(rules.skip.begin(), rules.skip.end(), is_known);
}

/// It treats all frames with the same header fields alike.
bool selects_by_headers(const Snapshot& snapshot, const CompiledSession& session) {
  return session.rules != nullptr && reads_known_headers(*session.rules) && !is_limited(snapshot, session);
}

/// Divides the sessions of a flow into those whose copies the kernel makes and the others.
class Division {
 public:
  Division(const Snapshot& snapshot, const Verdict& verdict, const std::vector<KernelHop>& hops)
      : snapshot_(snapshot), verdict_(verdict), hops_(hops) {}

  /// Sessions that may select frames that pass the port in this direction.
  void look_at(PortNo number, Candidates PortConfig::*direction) {
    const PortConfig& port = *snapshot_.port(number);
    const Candidates& candidates = port.*direction;
    const auto hop = std::find_if(hops_.begin(), hops_.end(),
                                  [&](const KernelHop& one) { return one.bridge == port.bridge; });
    for (const SessionIndex at : candidates.all()) {
      const CompiledSession& session = snapshot_.session(at);
      if (session.rules == nullptr || (session.select_vlans && !(*session.select_vlans)[hop->vlan])) continue;
      by_headers_ &= selects_by_headers(snapshot_, session);
      if (!give_to_user(at)) return;
    }
  }
  /// Sessions that select the frame.
  void look_at_selected() {
    const auto needs_user = [this](SessionIndex at) {
      by_headers_ = false;
      give_to_user(at);
    };
    for (const Selection& selection : verdict_.selections) {
      const CompiledSession& session = snapshot_.session(selection.session);
      if (session.rules == nullptr && is_limited(snapshot_, session)) needs_user(selection.session);
    }
    for (const Copy& copy : verdict_.copies) {
      if (!kernel_can(snapshot_, copy)) needs_user(copy.session);
    }
    if (nobody()) return;
    // A copy of a copy, and the choice of the session that supplies a port, need all copies of the frame at hand.
    for (const Copy& copy : verdict_.copies) {
      const PortConfig* port = snapshot_.port(copy.port);
      all_ |= port != nullptr && !port->mirrors_of_copies.empty();
      all_ |= !is_users(copy.session) && serves_users(copy.port);
    }
  }
  void take_all() { all_ = true; }

  bool nobody() const { return !all_ && users_.empty(); }
  /// All that needs user space is that it says which sessions select which header fields.
  bool is_by_headers() const { return !nobody() && !all_ && by_headers_ && users_.size() < FASTPATH_COPIES; }
  /// The position of a session that is user space's: a bit.
  std::uint32_t rule_of(SessionIndex at) const {
    const auto found = std::find(users_.begin(), users_.end(), at);
    return found == users_.end() ? 0 : 1U << (found - users_.begin());
  }
  std::vector<std::shared_ptr<const FilterRules>> rules() const {
    std::vector<std::shared_ptr<const FilterRules>> rules;
    for (const SessionIndex at : users_) rules.push_back(snapshot_.session(at).rules);
    return rules;
  }
  bool is_users(SessionIndex at) const {
    return all_ || std::find(users_.begin(), users_.end(), at) != users_.end();
  }

  bool serves_users(PortNo port) const {
    return std::any_of(users_.begin(), users_.end(), [&](SessionIndex at) {
      const auto& destinations = snapshot_.session(at).destinations;
      return std::any_of(destinations.begin(), destinations.end(),
                         [&](const MirrorDestination& one) { return one.port == port; });
    });
  }

  TappedCopies tapped(const PortConfig& in, std::uint32_t tag) const {
    TappedCopies tapped{.in = in.number,
                        .worker = in.worker,
                        .tag = tag,
                        .all = all_,
                        .sessions = {},
                        .certain = {},
                        .certain_sessions = {},
                        .budgets = {}};
    for (const SessionIndex at : users_) {
      if (!all_) tapped.sessions.push_back(snapshot_.session(at).counters);
    }
    const auto is_certain = [&](SessionIndex at) {
      return is_users(at) && copies_every_frame(snapshot_.session(at));
    };
    for (const Selection& selection : verdict_.selections) {
      if (is_certain(selection.session) && selection.counts)
        tapped.certain_sessions.push_back(snapshot_.session(selection.session).counters);
    }
    for (const Copy& copy : verdict_.copies) {
      if (!is_certain(copy.session) || copy.drop != DropReason::none) continue;
      tapped.certain.push_back(snapshot_.session(copy.session).destinations[copy.destination].counters);
    }
    const auto may_be_withheld = [&](SessionIndex at) {
      return is_certain(at) && snapshot_.session(at).cpu_budget != 0;
    };
    if (!all_ && users_.size() <= FASTPATH_COPIES &&
        std::all_of(users_.begin(), users_.end(), may_be_withheld)) {
      for (const SessionIndex at : users_)
        tapped.budgets.push_back({snapshot_.session(at).counters, snapshot_.session(at).cpu_budget});
    }
    return tapped;
  }

 private:
  /// False if there are too many to list: then user space makes all copies.
  bool give_to_user(SessionIndex at) {
    if (!is_users(at)) users_.push_back(at);
    all_ |= users_.size() > kMostListed;
    return !all_;
  }
  const Snapshot& snapshot_;
  const Verdict& verdict_;
  const std::vector<KernelHop>& hops_;
  std::vector<SessionIndex> users_;
  bool all_ = false;
  bool by_headers_ = true;
};

/// The first of the copies for the same port in the same form.
std::uint32_t form_of(const Snapshot& snapshot, const std::vector<Copy>& copies, std::size_t at) {
  const auto vlan_of = [&](const Copy& copy) { return snapshot.session(copy.session).tags.output_vlan; };
  const auto first = std::find_if(copies.begin(), copies.end(), [&](const Copy& copy) {
    return copy.port == copies[at].port && vlan_of(copy) == vlan_of(copies[at]);
  });
  return static_cast<std::uint32_t>(first - copies.begin());
}

/// The copies that the kernel makes. With `by_headers` of an unfiltered verdict, including those of sessions that may
/// select a frame.
void add_kernel_copies(const Snapshot& snapshot, const Verdict& verdict, const Division& division,
                       bool by_headers, KernelFlow& flow) {
  std::vector<SessionIndex> numbers;  // of flow.copies.sessions
  for (const Selection& selection : verdict.selections) {
    const std::uint32_t rule = by_headers ? division.rule_of(selection.session) : 0;
    if (rule == 0 && division.is_users(selection.session)) continue;
    const CompiledSession& session = snapshot.session(selection.session);
    numbers.push_back(selection.session);
    flow.copies.sessions.push_back({.account = session.counters,
                                    .rule = rule,
                                    .sample = session.sample,
                                    .counts = selection.counts,
                                    .budget = session.cpu_budget,
                                    .rate = session.rate});
  }
  for (std::size_t at = 0; at < verdict.copies.size(); ++at) {
    const Copy& copy = verdict.copies[at];
    const auto number = std::find(numbers.begin(), numbers.end(), copy.session);
    if (number == numbers.end()) continue;
    flow.copies.copies.push_back(
        {.account = snapshot.session(copy.session).destinations[copy.destination].counters,
         .port = copy.port,
         .tag = *single_tag(copy.tags),
         .form = form_of(snapshot, verdict.copies, at),
         .session = static_cast<std::uint32_t>(number - numbers.begin()),
         .finished = finishes_copies(*snapshot.port(copy.port))});
  }
  if (by_headers) flow.copies.rules = division.rules();
}

bool fits(const Verdict& verdict, std::size_t room) {
  return std::max(verdict.copies.size(), verdict.selections.size()) <= room;
}

/// The kernel can make all copies of the unfiltered verdict, whichever sessions select a frame.
bool kernel_can_all(const Snapshot& snapshot, const Verdict& verdict, const Division& division) {
  return fits(verdict, FASTPATH_COPIES - 1) &&
         std::all_of(verdict.copies.begin(), verdict.copies.end(), [&](const Copy& copy) {
           return kernel_can(snapshot, copy) && snapshot.port(copy.port)->mirrors_of_copies.empty() &&
                  (division.is_users(copy.session) || !division.serves_users(copy.port));
         });
}

/// Whether some of its frames, or all, may need user space.
bool may_need_user(const Snapshot& snapshot, const CompiledSession& session) {
  if (session.rules != nullptr || is_limited(snapshot, session)) return true;
  return std::any_of(
      session.destinations.begin(), session.destinations.end(), [&](const MirrorDestination& to) {
        if (to.port == kNoPort) return true;
        const PortConfig* port = snapshot.port(to.port);
        return port == nullptr || port->device == nullptr || !port->device->kernel_device().takes_copies ||
               !is_shaped_by_port(session, *port);
      });
}

}  // namespace

std::optional<std::uint32_t> single_tag(const TagList& tags) {
  if (tags.count > 1) return std::nullopt;
  return tags.count == 0 ? 0U : tag_word(tags.tags[0]);
}

Obstacle add_copies(const Snapshot& snapshot, const Verdict& verdict, bool to_group,
                    const Unfiltered& unfiltered, KernelFlow& flow) {
  Division division(snapshot, verdict, flow.hops);
  for (const KernelHop& hop : flow.hops) division.look_at(hop.in, &PortConfig::mirrors_from);
  for (const KernelSend& send : flow.sends) division.look_at(send.port, &PortConfig::mirrors_to);
  for (const KernelHop& hop : flow.hops) {
    if (!to_group) break;
    for (const PortConfig* port : hop.bridge->flood_ports) {  // nothing is sent there, and yet it is watched
      if (port->no_host) division.look_at(port->number, &PortConfig::mirrors_to);
    }
  }
  for (const Copy& copy : verdict.copies) {
    if (copy.port != kNoPort) division.look_at(copy.port, &PortConfig::mirrors_of_copies);
  }
  division.look_at_selected();
  if (!fits(verdict, FASTPATH_COPIES - (division.nobody() ? 0 : 1))) {
    if (!unfiltered) return Obstacle::many_copies;
    division.take_all();
  }
  if (!division.nobody()) {
    if (!unfiltered) return Obstacle::session_needs;
    flow.copies.tapped = division.tapped(*flow.in, flow.in_tag);
  }
  if (division.is_by_headers()) {
    const Verdict& all = unfiltered();
    if (kernel_can_all(snapshot, all, division)) {
      add_kernel_copies(snapshot, all, division, true, flow);
      return Obstacle::none;
    }
  }
  add_kernel_copies(snapshot, verdict, division, false, flow);
  return Obstacle::none;
}

bool TappedCopies::concerns(const CompiledSession& session) const {
  return all || std::find(sessions.begin(), sessions.end(), session.counters) != sessions.end();
}

std::optional<Choice> choice_of(const Snapshot& snapshot, const Verdict& verdict,
                                const KernelCopies& copies) {
  Choice choice;
  const auto rule_of = [&](SessionIndex at) -> std::uint32_t {
    const auto& counters = snapshot.session(at).counters;
    for (const KernelSession& session : copies.sessions) {
      if (session.account == counters) return session.rule;
    }
    return 0;
  };
  for (const Selection& selection : verdict.selections) {
    const std::uint32_t rule = rule_of(selection.session);
    choice.selected |= rule;
    if (selection.counts) choice.counted |= rule;
  }
  // These copies and no others: a session may see the frame with other tags at another port.
  std::size_t made = 0;
  for (const Copy& copy : verdict.copies) {
    const std::uint32_t rule = rule_of(copy.session);
    if (rule == 0) continue;
    const auto& account = snapshot.session(copy.session).destinations[copy.destination].counters;
    const auto tag = single_tag(copy.tags);
    const bool is_known =
        std::any_of(copies.copies.begin(), copies.copies.end(), [&](const KernelCopy& known) {
          return known.account == account && known.port == copy.port && known.tag == tag &&
                 copies.sessions[known.session].rule == rule;
        });
    if (!is_known || (copy.drop != DropReason::none && copy.drop != DropReason::duplicate))
      return std::nullopt;
    ++made;
  }
  const auto expected = std::count_if(
      copies.copies.begin(), copies.copies.end(),
      [&](const KernelCopy& known) { return (copies.sessions[known.session].rule & choice.selected) != 0; });
  if (static_cast<std::size_t>(expected) != made) return std::nullopt;
  return choice;
}

void left_to_user(const Snapshot& snapshot, const Verdict& verdict, const TappedCopies& tapped, bool every,
                  Verdict& into) {
  into.clear();
  const auto is_beyond_patch = [](const auto& part) { return part.walk != kFrameItself; };
  // Copies over patches are none of the kernel's. If the settings have changed since, the frame has none.
  const auto concerns = [&](const auto& part) {
    const bool all = tapped.all || every;
    return (all || tapped.concerns(snapshot.session(part.session))) && (all || part.walk == kFrameItself);
  };
  std::copy_if(verdict.selections.begin(), verdict.selections.end(), std::back_inserter(into.selections),
               concerns);
  std::copy_if(verdict.copies.begin(), verdict.copies.end(), std::back_inserter(into.copies), concerns);
  if (!tapped.all && !every) return;
  std::copy_if(verdict.learns.begin(), verdict.learns.end(), std::back_inserter(into.learns),
               is_beyond_patch);
  std::copy_if(verdict.patch_drops.begin(), verdict.patch_drops.end(), std::back_inserter(into.patch_drops),
               is_beyond_patch);
  into.walks = verdict.walks;
  into.crossings = verdict.crossings;
}

bool needs_taps(const Snapshot& snapshot) {
  return std::any_of(snapshot.bridges.begin(), snapshot.bridges.end(), [&](const auto& bridge) {
    return bridge->sessions.size() > FASTPATH_COPIES ||
           std::any_of(bridge->sessions.begin(), bridge->sessions.end(),
                       [&](const CompiledSession& session) { return may_need_user(snapshot, session); });
  });
}

}  // namespace vswitch::fastpath
