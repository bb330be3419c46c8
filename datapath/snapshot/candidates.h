// SPDX-License-Identifier: Apache-2.0
// The sessions that may copy what passes a port in one direction, by VLAN: a frame pays for those that can
// select it, and not for the thousands on the same port that watch other VLANs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "datapath/types.h"

namespace vswitch {

/// Position in Snapshot::sessions.
using SessionIndex = std::uint32_t;

class Candidates {
 public:
  /// Sessions are added in the order they are tried, which is ascending; the last one again changes nothing.
  /// `vlans`: those it selects, empty = any.
  void add(SessionIndex session, const std::vector<VlanId>& vlans) {
    if (!all_.empty() && all_.back() == session) return;
    all_.push_back(session);
    if (vlans.empty() || vlans.size() > kFewVlans) {
      any_vlan_.push_back(session);
      return;
    }
    for (const VlanId vlan : vlans) {
      std::vector<SessionIndex>& of_vlan = by_vlan_[vlan];
      if (of_vlan.empty() || of_vlan.back() != session) of_vlan.push_back(session);
    }
  }

  bool empty() const { return all_.empty(); }
  const std::vector<SessionIndex>& all() const { return all_; }

  /// Calls visit(session), in the order they are tried, for each that may select a frame of the VLAN. Whether
  /// it does is still to be asked.
  template <typename Visit>
  void visit(VlanId vlan, Visit visit) const {
    static const std::vector<SessionIndex> kNone;
    const auto found = by_vlan_.find(vlan);
    const std::vector<SessionIndex>& of_vlan = found == by_vlan_.end() ? kNone : found->second;
    auto x = any_vlan_.begin();
    auto y = of_vlan.begin();
    while (x != any_vlan_.end() || y != of_vlan.end())
      visit(y == of_vlan.end() || (x != any_vlan_.end() && *x < *y) ? *x++ : *y++);
  }

 private:
  /// A session of more VLANs than this is tried for all of them, which bounds the memory of the index.
  static constexpr std::size_t kFewVlans = 16;

  std::vector<SessionIndex> all_;
  std::vector<SessionIndex> any_vlan_;
  std::unordered_map<VlanId, std::vector<SessionIndex>> by_vlan_;
};

}  // namespace vswitch
