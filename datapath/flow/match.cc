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

bool Match::covers(const Match& other) const {
  for (std::size_t i = 0; i < mask_.words().size(); ++i) {
    const std::uint64_t mask = mask_.words()[i];
    if ((mask & ~other.mask_.words()[i]) != 0) return false;
    if (((value_.words()[i] ^ other.value_.words()[i]) & mask) != 0) return false;
  }
  return std::all_of(ranges_.begin(), ranges_.end(), [&other](const Range& range) {
    return std::find(other.ranges_.begin(), other.ranges_.end(), range) != other.ranges_.end();
  });
}

std::optional<std::uint16_t> Match::exact_vlan() const {
  constexpr std::uint32_t kVid = 0xfff;
  if ((mask_.number(key_slot::kVlanTci) & kVid) != kVid) return std::nullopt;
  return static_cast<std::uint16_t>(value_.number(key_slot::kVlanTci) & kVid);
}

}  // namespace vswitch
