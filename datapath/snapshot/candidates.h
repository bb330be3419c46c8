// SPDX-License-Identifier: Apache-2.0
// The sessions that may copy frames that pass a port in one direction, by VLAN and by filter: a frame only
// pays for sessions that can select it, not for thousands of others on the same port.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "datapath/base/types.h"
#include "datapath/flow/match_index.h"
#include "datapath/mirror/filter_rules.h"

namespace vswitch {

/// Position in Snapshot::sessions.
using SessionIndex = std::uint32_t;

class Candidates {
 public:
  /// Sessions are added in the order in which they are tried, which is ascending; adding the last one again
  /// changes nothing. `vlans`: those that it selects, empty = any. `rules`: null = every frame.
  void add(SessionIndex session, const std::vector<VlanId>& vlans, const FilterRules* rules) {
    if (!all_.empty() && all_.back() == session) return;
    all_.push_back(session);
    if (vlans.empty() || vlans.size() > kMaxIndexedVlans) return any_vlan_.add(session, rules);
    for (std::size_t i = 0; i < vlans.size(); ++i) {
      if (std::find(vlans.begin(), vlans.begin() + static_cast<std::ptrdiff_t>(i), vlans[i]) ==
          vlans.begin() + static_cast<std::ptrdiff_t>(i))
        by_vlan_[vlans[i]].add(session, rules);
    }
  }
  /// Call after the last add().
  void finish() {
    any_vlan_.filtered.finish();
    for (auto& [vlan, sessions] : by_vlan_) sessions.filtered.finish();
  }

  bool empty() const { return all_.empty(); }
  const std::vector<SessionIndex>& all() const { return all_; }

  /// Calls visit(session), in the order in which they are tried, for each session that may select a frame of
  /// the VLAN with the header fields that key() returns; key() is called only if a filter needs it. Whether
  /// the session does select the frame must still be tested. `found` is scratch memory that belongs to the
  /// caller during the visit.
  template <typename Key, typename Visit>
  void visit(VlanId vlan, Key key, std::vector<SessionIndex>& found, Visit visit) const {
    static const Sessions kNone;
    const auto at = by_vlan_.find(vlan);
    const Sessions& of_vlan = at == by_vlan_.end() ? kNone : at->second;
    found.clear();
    for (const Sessions* sessions : {&any_vlan_, &of_vlan}) {
      if (!sessions->filtered.empty()) sessions->filtered.find(key(), found);
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    std::array<std::span<const SessionIndex>, 3> lists{any_vlan_.unfiltered, of_vlan.unfiltered, found};
    for (;;) {
      auto* next = &lists[0];
      for (auto& list : lists) {
        if (!list.empty() && (next->empty() || list.front() < next->front())) next = &list;
      }
      if (next->empty()) return;
      const SessionIndex session = next->front();
      *next = next->subspan(1);
      visit(session);
    }
  }

 private:
  struct Sessions {
    std::vector<SessionIndex> unfiltered;  ///< those that may select any frame
    MatchIndex filtered;

    void add(SessionIndex session, const FilterRules* rules) {
      if (rules == nullptr || rules->filter.empty()) return unfiltered.push_back(session);
      for (const Match& filter : rules->filter) filtered.add(filter, session);
    }
  };

  /// A session of more VLANs than this is tried for all VLANs, which bounds the memory of the index.
  static constexpr std::size_t kMaxIndexedVlans = 16;

  std::vector<SessionIndex> all_;
  Sessions any_vlan_;
  std::unordered_map<VlanId, Sessions> by_vlan_;
};

}  // namespace vswitch
