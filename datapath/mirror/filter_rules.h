// SPDX-License-Identifier: Apache-2.0
// Which of the frames that its sources select a session copies: the columns `filter` and `skip`.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "datapath/flow/match.h"

namespace vswitch {

/// The columns `filter` and `skip` of one session. Any thread may test frames.
struct FilterRules {
  std::vector<Match> filter;  ///< one of them must match; empty: every frame
  std::vector<Match> skip;    ///< none of them may match

  /// The first rule of skip that matches; null if none does.
  const Match* skipping(const FlowKey& key) const;
  /// Whether `filter` selects the frame.
  bool selects(const FlowKey& key) const;

  bool operator==(const FilterRules&) const = default;
};

/// Rules that several settings share. == compares what they point to: rules that were read again from an
/// unchanged row are the same rules.
struct SharedRules : std::shared_ptr<const FilterRules> {
  SharedRules() = default;
  SharedRules(std::nullptr_t) {}
  template <typename Rules>
  SharedRules(std::shared_ptr<Rules> rules) : shared_ptr(std::move(rules)) {}

  friend bool operator==(const SharedRules& a, const SharedRules& b) {
    return a.get() == b.get() || (a.get() != nullptr && b.get() != nullptr && *a == *b);
  }
  friend bool operator==(const SharedRules& rules, std::nullptr_t) { return rules.get() == nullptr; }
};

}  // namespace vswitch
