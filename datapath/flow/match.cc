// SPDX-License-Identifier: Apache-2.0
#include "datapath/flow/match.h"

#include <algorithm>

namespace vswitch {

bool Match::matches(const FlowKey& key) const {
  const FlowKey::Words& words = key.words();
  std::uint64_t different = 0;
  for (std::size_t i = 0; i < words.size(); ++i)
    different |= (words[i] ^ value_.words()[i]) & mask_.words()[i];
  return different == 0 && std::all_of(ranges_.begin(), ranges_.end(), [&key](const Range& range) {
           const std::uint32_t number = key.number(range.slot);
           return range.low <= number && number <= range.high;
         });
}

}  // namespace vswitch
