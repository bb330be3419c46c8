// SPDX-License-Identifier: Apache-2.0
#include "datapath/mirror/filter_rules.h"

#include <algorithm>

namespace vswitch {

const Match* FilterRules::skipping(const FlowKey& key) const {
  const auto found =
      std::find_if(skip.begin(), skip.end(), [&key](const Match& rule) { return rule.matches(key); });
  return found == skip.end() ? nullptr : &*found;
}

bool FilterRules::selects(const FlowKey& key) const {
  return filter.empty() ||
         std::any_of(filter.begin(), filter.end(), [&key](const Match& rule) { return rule.matches(key); });
}

}  // namespace vswitch
