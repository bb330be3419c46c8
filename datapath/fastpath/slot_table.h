// SPDX-License-Identifier: Apache-2.0
// Which slot of an array map stands for what. A slot that nobody uses any more keeps its meaning for a while: a program
// may still have it at hand, and what it counts must be collected.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

namespace vswitch::fastpath {

template <typename Key, typename State>
class SlotTable {
 public:
  struct Slot {
    Key key;
    State state;
    std::size_t users = 0;
    std::uint32_t unused_since = 0;  ///< a tick
    bool is_free = false;
  };

  /// Slots from `first` to `limit` - 1.
  SlotTable(std::uint32_t first, std::uint32_t limit) : first_(first), limit_(limit) {}

  /// The slot for `key`, with one more user; nothing if all are taken.
  std::optional<std::uint32_t> take(const Key& key) {
    const auto found = by_key_.find(key);
    if (found != by_key_.end()) {
      ++slot(found->second).users;
      return found->second;
    }
    std::uint32_t at = first_ + static_cast<std::uint32_t>(slots_.size());
    if (!free_.empty()) {
      at = free_.back();
      free_.pop_back();
      Slot& reused = slot(at);  // with its state
      reused.key = key;
      reused.users = 1;
      reused.is_free = false;
    } else if (at < limit_) {
      slots_.push_back({.key = key, .state = {}, .users = 1});
    } else {
      return std::nullopt;
    }
    by_key_.emplace(key, at);
    return at;
  }

  void release(std::uint32_t at, std::uint32_t tick) {
    if (--slot(at).users == 0) slot(at).unused_since = tick;
  }

  /// Frees the slots that have had no user for two ticks, and returns them.
  std::vector<Slot*> recycle(std::uint32_t tick) {
    std::vector<Slot*> recycled;
    for (std::uint32_t at = first_; at < first_ + slots_.size(); ++at) {
      Slot& one = slot(at);
      if (one.is_free || one.users != 0 || tick - one.unused_since < 2) continue;
      by_key_.erase(one.key);
      one.key = {};
      one.is_free = true;
      free_.push_back(at);
      recycled.push_back(&one);
    }
    return recycled;
  }

  /// All, free ones included; the first is that of number `first`.
  std::span<Slot> slots() { return slots_; }
  Slot& slot(std::uint32_t at) { return slots_[at - first_]; }
  /// Of one of them.
  std::uint32_t number(const Slot& slot) const {
    return first_ + static_cast<std::uint32_t>(&slot - slots_.data());
  }

 private:
  const std::uint32_t first_, limit_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::map<Key, std::uint32_t> by_key_;
};

}  // namespace vswitch::fastpath
