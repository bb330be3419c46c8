// SPDX-License-Identifier: Apache-2.0
// Finds the filters that may match a frame without trying each of them (tuple space search, Srinivasan, Suri
// and Varghese, SIGCOMM 1999): filters with the same mask are in one table, sorted by a hash of the masked
// bits. A frame costs one hash per table, no matter how many filters the table has, and in practice there are
// few tables.
//
// Hashes may collide, and port ranges are not checked: the caller must test each filter that is found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "datapath/flow/flow_key.h"
#include "datapath/flow/match.h"

namespace vswitch {

class MatchIndex {
 public:
  bool empty() const { return tables_.empty(); }
  /// Adds a filter. Call finish() after the last add().
  void add(const Match& filter, std::uint32_t owner);
  void finish();
  /// Appends the owners of all filters that match the key, and perhaps others. An owner may appear several
  /// times.
  void find(const FlowKey& key, std::vector<std::uint32_t>& owners) const;

 private:
  struct MaskedWord {
    std::size_t at;
    std::uint64_t mask;
    bool operator==(const MaskedWord&) const = default;
  };
  using Mask = std::vector<MaskedWord>;  ///< the words of the key that are compared
  struct Table {
    Mask mask;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> owners;  ///< by hash
  };
  static std::uint64_t hash(const FlowKey& key, const Mask& mask);

  std::vector<Table> tables_;
};

}  // namespace vswitch
