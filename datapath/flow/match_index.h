// SPDX-License-Identifier: Apache-2.0
// Finds the filters that may match a frame without trying each of them (tuple space search, Srinivasan, Suri
// and Varghese, SIGCOMM 1999): filters that look at the same bits lie in one table, sorted by a hash of those
// bits. A frame costs a hash for each table, however many filters lie in it, and there are few tables as
// people write filters.
//
// A hash may be that of another value, and ranges of ports are not looked at: what is found is still to be
// tested.
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
  /// After the last add() comes finish().
  void add(const Match& filter, std::uint32_t owner);
  void finish();
  /// Appends the owners of all filters that match the key, and perhaps others; one of them may be there
  /// several times.
  void find(const FlowKey& key, std::vector<std::uint32_t>& owners) const;

 private:
  struct MaskedWord {
    std::size_t at;
    std::uint64_t mask;
    bool operator==(const MaskedWord&) const = default;
  };
  using Mask = std::vector<MaskedWord>;  ///< the words of the key that are looked at
  struct Table {
    Mask mask;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> owners;  ///< by hash
  };
  static std::uint64_t hash(const FlowKey& key, const Mask& mask);

  std::vector<Table> tables_;
};

}  // namespace vswitch
