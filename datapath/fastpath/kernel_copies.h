// SPDX-License-Identifier: Apache-2.0
// Who makes the copies of a flow that the kernel carries: the kernel, or user space, which gets the frame through a copy
// tap besides. Pure.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "datapath/base/counters.h"
#include "datapath/base/types.h"
#include "datapath/frame/frame.h"
#include "datapath/mirror/filter_rules.h"
#include "datapath/mirror/limits.h"
#include "datapath/pipeline/verdict.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch::fastpath {

struct KernelFlow;
enum class Obstacle : std::uint8_t;

/// A tag as the maps hold it: TPID << 16 | TCI; 0 = untagged.
constexpr std::uint32_t tag_word(const VlanTag& tag) {
  return static_cast<std::uint32_t>(tag.tpid) << 16 | tag.tci;
}

/// The device of the port finishes checksums and segments GSO packets (FastPath sees to it): all that leaves there are
/// copies, and no session wants them whole.
constexpr bool finishes_copies(const PortConfig& port) {
  return port.only_copies && !port.keeps_gso;
}

/// Nothing if there is more than one tag.
std::optional<std::uint32_t> single_tag(const TagList& tags);

struct KernelCopy {
  std::shared_ptr<DestinationCounters> account;
  PortNo port;
  std::uint32_t tag;  ///< a tag word
  /// The first copy of the flow for the same port in the same form: only one of these is sent.
  std::uint32_t form;
  std::uint32_t session;  ///< position in KernelCopies::sessions
  bool finished;          ///< finishes_copies(port)

  auto operator<=>(const KernelCopy&) const = default;
};

struct KernelSession {
  std::shared_ptr<SessionCounters> account;
  std::uint32_t rule;    ///< a bit: it selects by header fields (Choice); 0: it selects every frame
  std::uint32_t sample;  ///< one frame in so many is copied
  bool counts;           ///< Selection::counts, if it selects every frame
  std::uint32_t budget;  ///< CompiledSession::cpu_budget
  std::shared_ptr<RateLimit> rate;

  auto operator<=>(const KernelSession&) const = default;
};

struct KernelBudget {
  std::shared_ptr<SessionCounters> session;
  std::uint32_t percent;  ///< of a processor

  auto operator<=>(const KernelBudget&) const = default;
};

/// Copies that user space makes of frames that the kernel forwards. It gets the frame through a copy tap
/// (datapath/port/copy_tap.h) and decides about it as if it had arrived at the port.
struct TappedCopies {
  PortNo in;
  std::uint32_t worker;  ///< to whose tap they go: that of the port
  std::uint32_t tag;     ///< with which it arrived, as a tag word
  bool all;  ///< of every session; otherwise the kernel makes those of sessions that are not listed
  std::vector<std::shared_ptr<SessionCounters>> sessions;
  /// Where sessions that copy every frame send it: a frame that the tap has no room for is lost there.
  std::vector<std::shared_ptr<DestinationCounters>> certain;
  std::vector<std::shared_ptr<SessionCounters>> certain_sessions;  ///< these
  /// If all of them are certain and have budgets: these. While all are used up the frame is lost for them.
  std::vector<KernelBudget> budgets;

  auto operator<=>(const TappedCopies&) const = default;
  bool concerns(const CompiledSession& session) const;
};

struct KernelCopies {
  std::vector<KernelCopy> copies;
  std::vector<KernelSession> sessions;
  std::optional<TappedCopies> tapped;
  /// Of the sessions that select by header fields, by bit. The kernel makes their copies of frames about which user space
  /// has said which sessions select them (Choice). The others go through a tap.
  std::vector<std::shared_ptr<const FilterRules>> rules;

  bool empty() const { return copies.empty() && sessions.empty() && !tapped; }
  bool by_headers() const { return !rules.empty(); }
  /// The kernel sends copies of every frame.
  bool sends() const {
    return std::any_of(copies.begin(), copies.end(),
                       [this](const KernelCopy& copy) { return sessions[copy.session].rule == 0; });
  }
  auto operator<=>(const KernelCopies&) const = default;
};

/// The verdict on the frame as if every filter selected it (Decider::decide_unfiltered).
using Unfiltered = std::function<const Verdict&()>;

/// Writes `flow.copies`; the rest of `flow` is known already. `unfiltered`: as in kernel_flow().
Obstacle add_copies(const Snapshot& snapshot, const Verdict& verdict, bool to_group,
                    const Unfiltered& unfiltered, KernelFlow& flow);

/// Which sessions select frames with the same header fields.
struct Choice {
  std::uint32_t selected = 0, counted = 0;  ///< KernelSession::rule

  bool operator==(const Choice&) const = default;
};

/// What the verdict on a frame says of all frames with its header fields, if the copies are made as `copies` say. Nothing
/// if it cannot be said like that.
std::optional<Choice> choice_of(const Snapshot& snapshot, const Verdict& verdict, const KernelCopies& copies);

/// The part of a verdict on such a frame that is left to do: its copies. `into`: cleared first.
/// `every`: the copies of all sessions.
void left_to_user(const Snapshot& snapshot, const Verdict& verdict, const TappedCopies& tapped, bool every,
                  Verdict& into);

/// Some session of the snapshot may need user space, although the kernel forwards its frames.
bool needs_taps(const Snapshot& snapshot);

}  // namespace vswitch::fastpath
