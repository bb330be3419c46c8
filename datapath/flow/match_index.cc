// SPDX-License-Identifier: Apache-2.0
#include "datapath/flow/match_index.h"

#include <algorithm>
#include <bit>

namespace vswitch {

std::uint64_t MatchIndex::hash(const FlowKey& key, const Mask& mask) {
  std::uint64_t hash = 0;
  for (const MaskedWord& word : mask)
    hash = (std::rotl(hash, 23) ^ (key.words()[word.at] & word.mask)) * 0x9e3779b97f4a7c15U;
  return hash;
}

void MatchIndex::add(const Match& filter, std::uint32_t owner) {
  Mask mask;
  const FlowKey::Words& words = filter.mask().words();
  for (std::size_t at = 0; at < words.size(); ++at) {
    if (words[at] != 0) mask.push_back({at, words[at]});
  }
  auto table =
      std::find_if(tables_.begin(), tables_.end(), [&mask](const Table& one) { return one.mask == mask; });
  if (table == tables_.end()) table = tables_.insert(table, {.mask = std::move(mask), .owners = {}});
  table->owners.emplace_back(hash(filter.value(), table->mask), owner);
}

void MatchIndex::finish() {
  for (Table& table : tables_) std::sort(table.owners.begin(), table.owners.end());
}

void MatchIndex::find(const FlowKey& key, std::vector<std::uint32_t>& owners) const {
  for (const Table& table : tables_) {
    const std::uint64_t wanted = hash(key, table.mask);
    auto at = std::lower_bound(table.owners.begin(), table.owners.end(), wanted,
                               [](const auto& entry, std::uint64_t value) { return entry.first < value; });
    for (; at != table.owners.end() && at->first == wanted; ++at) owners.push_back(at->second);
  }
}

}  // namespace vswitch
