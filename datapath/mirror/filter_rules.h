// SPDX-License-Identifier: Apache-2.0
// Which frames a session copies, of those that its sources select: the columns `filter` and `skip`.
#pragma once

#include <vector>

#include "datapath/flow/match.h"

namespace vswitch {

/// What one session selects by its columns `filter` and `skip`.
struct FilterRules {
  std::vector<Match> filter;  ///< one of them has to match; empty: every frame
  std::vector<Match> skip;    ///< none of them may match

  /// The first rule of skip that matches; null if none does.
  const Match* skipping(const FlowKey& key) const;
  bool selects(const FlowKey& key) const;
};

}  // namespace vswitch
