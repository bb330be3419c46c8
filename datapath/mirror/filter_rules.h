// SPDX-License-Identifier: Apache-2.0
// Which of the frames that its sources select a session copies: the columns `filter` and `skip`.
#pragma once

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
};

}  // namespace vswitch
