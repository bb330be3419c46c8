// SPDX-License-Identifier: Apache-2.0
#include "datapath/switching/mac_table.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace vswitch {

namespace {

constexpr std::uint64_t kOccupied = std::uint64_t{1} << 63;
constexpr std::uint32_t kPinned = 0xffffffffU;  // instead of the second last seen: never reached

std::uint64_t key_of(VlanId vlan, const MacAddr& mac) {
  return kOccupied | static_cast<std::uint64_t>(vlan) << 48 | mac.to_u64();
}

std::uint64_t value_of(PortNo port, std::uint32_t second) {
  return static_cast<std::uint64_t>(index(port)) << 32 | second;
}

VlanId vlan_of(std::uint64_t key) {
  return static_cast<VlanId>(key >> 48 & 0xfff);
}

PortNo port_of(std::uint64_t value) {
  return PortNo{static_cast<std::uint32_t>(value >> 32)};
}
std::uint32_t second_of(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
std::uint32_t to_second(TimeNs time) {
  return static_cast<std::uint32_t>(time / kSecondNs);
}

bool expired(std::uint64_t value, TimeNs now, TimeNs aging) {
  return to_second(now) - second_of(value) >= to_second(aging) && to_second(now) >= second_of(value);
}

/// The finalizer of splitmix64: every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
  return x ^ x >> 31;
}

}  // namespace

MacTable::Slots::Slots(std::size_t capacity)
    : mask(std::bit_ceil(std::max<std::size_t>(capacity * 2 / kSlotsPerBucket, 4)) - 1), buckets(mask + 1) {}

std::pair<std::uint32_t, std::uint32_t> MacTable::Slots::buckets_of(std::uint64_t key) const {
  const std::uint64_t hash = mix(key);
  const auto first = static_cast<std::uint32_t>(hash & mask);
  auto second = static_cast<std::uint32_t>(hash >> 32 & mask);
  if (second == first) second = first ^ 1;
  return {first * kSlotsPerBucket, second * kSlotsPerBucket};
}

MacTable::MacTable(std::size_t capacity, TimeNs aging, AddressWatcher* watcher)
    : watcher_(watcher), aging_(aging), capacity_(std::max<std::size_t>(capacity, 1)) {
  generations_.push_back(std::make_unique<Slots>(capacity_));
  slots_.store(generations_.back().get(), std::memory_order_release);
  links_.resize(generations_.back()->buckets.size() * kSlotsPerBucket);
}

std::optional<PortNo> MacTable::lookup(VlanId vlan, const MacAddr& mac, TimeNs now) const {
  const Slots& slots = *slots_.load(std::memory_order_acquire);
  const std::uint64_t key = key_of(vlan, mac);
  const auto [first, second] = slots.buckets_of(key);
  for (std::uint32_t base : {first, second}) {
    for (std::uint32_t i = 0; i < kSlotsPerBucket; ++i) {
      const Slot& slot = slots.at(base + i);
      if (slot.key.load(std::memory_order_acquire) != key) continue;
      const std::uint64_t value = slot.value.load(std::memory_order_acquire);
      if (slot.key.load(std::memory_order_relaxed) != key) continue;  // the slot was reused meanwhile
      if (expired(value, now, aging_.load(std::memory_order_relaxed))) return std::nullopt;
      return port_of(value);
    }
  }
  return std::nullopt;
}

std::uint32_t MacTable::find(const Slots& slots, std::uint64_t key) const {
  const auto [first, second] = slots.buckets_of(key);
  for (std::uint32_t base : {first, second}) {
    for (std::uint32_t i = 0; i < kSlotsPerBucket; ++i) {
      if (slots.at(base + i).key.load(std::memory_order_acquire) == key) return base + i;
    }
  }
  return kNil;
}

MacTable::Learned MacTable::learn(VlanId vlan, const MacAddr& mac, PortNo port, TimeNs now) {
  const std::uint64_t key = key_of(vlan, mac);
  const std::uint64_t value = value_of(port, to_second(now));
  {
    const Slots& slots = *slots_.load(std::memory_order_acquire);
    const std::uint32_t slot = find(slots, key);
    if (slot != kNil) {
      const std::uint64_t present = slots.at(slot).value.load(std::memory_order_acquire);
      if (present == value || second_of(present) == kPinned) return Learned::known;
    }
  }
  const MutexLock lock(mutex_);
  Slots& slots = *slots_.load(std::memory_order_relaxed);
  const std::uint32_t slot = find(slots, key);
  if (slot == kNil) {
    if (size_ >= capacity_) evict_one();
    if (insert(key, port, to_second(now))) ++statistics_.learned;
    return Learned::fresh;
  }
  const std::uint64_t old = slots.at(slot).value.load(std::memory_order_relaxed);
  if (second_of(old) == kPinned) return Learned::known;  // pinned meanwhile
  const bool aged = expired(old, now, aging_.load(std::memory_order_relaxed));
  unlink(slot, port_of(old));
  append(slot, port);
  // Key and value stay a pair for readers: the key does not change, and both values are valid.
  slots.at(slot).value.store(value, std::memory_order_release);
  if (port_of(old) != port) tell(key);
  if (aged) {
    ++statistics_.expired;
    ++statistics_.learned;
    return Learned::fresh;
  }
  if (port_of(old) == port) return Learned::known;
  ++statistics_.moved;
  return Learned::moved;
}

void MacTable::refresh(VlanId vlan, const MacAddr& mac, PortNo port, TimeNs now) {
  const std::uint64_t key = key_of(vlan, mac);
  const MutexLock lock(mutex_);
  Slots& slots = *slots_.load(std::memory_order_relaxed);
  const std::uint32_t slot = find(slots, key);
  if (slot == kNil) return;
  const std::uint64_t old = slots.at(slot).value.load(std::memory_order_relaxed);
  if (second_of(old) == kPinned || port_of(old) != port) return;
  unlink(slot, port);
  append(slot, port);
  slots.at(slot).value.store(value_of(port, to_second(now)), std::memory_order_release);
}

void MacTable::tell(std::uint64_t key) const {
  if (watcher_ != nullptr)
    watcher_->forgotten(*this, vlan_of(key), MacAddr::from_u64(key & 0xffffffffffffULL));
}

bool MacTable::pin(VlanId vlan, const MacAddr& mac, PortNo port) {
  const std::uint64_t key = key_of(vlan, mac);
  const MutexLock lock(mutex_);
  if (!pinned_.contains(key) && pinned_.size() >= capacity_) return false;
  const std::uint32_t slot = find(*slots_.load(std::memory_order_relaxed), key);
  if (slot != kNil) erase(slot);
  if (size_ >= capacity_) evict_one();
  if (!insert(key, port, kPinned)) return false;
  pinned_[key] = port;
  return true;
}

std::optional<PortNo> MacTable::pinned_to(VlanId vlan, const MacAddr& mac) const {
  const MutexLock lock(mutex_);
  const auto found = pinned_.find(key_of(vlan, mac));
  return found == pinned_.end() ? std::nullopt : std::optional(found->second);
}

bool MacTable::unpin(VlanId vlan, const MacAddr& mac) {
  const std::uint64_t key = key_of(vlan, mac);
  const MutexLock lock(mutex_);
  if (!pinned_.contains(key)) return false;
  erase(find(*slots_.load(std::memory_order_relaxed), key));
  return true;
}

std::uint32_t MacTable::free_slot_for(std::uint64_t key) {
  Slots& slots = *slots_.load(std::memory_order_relaxed);
  const auto [first, second] = slots.buckets_of(key);
  std::uint32_t free_slots[2] = {0, 0};
  std::uint32_t free_at[2] = {kNil, kNil};
  std::uint32_t oldest = first;
  const std::uint32_t bases[2] = {first, second};
  for (int b = 0; b < 2; ++b) {
    for (std::uint32_t i = 0; i < kSlotsPerBucket; ++i) {
      const std::uint32_t slot = bases[b] + i;
      if (slots.at(slot).key.load(std::memory_order_relaxed) == 0) {
        ++free_slots[b];
        free_at[b] = slot;
      } else if (second_of(slots.at(slot).value.load(std::memory_order_relaxed)) <
                 second_of(slots.at(oldest).value.load(std::memory_order_relaxed))) {
        oldest = slot;
      }
    }
  }
  if (free_slots[0] + free_slots[1] == 0) {
    if (second_of(slots.at(oldest).value.load(std::memory_order_relaxed)) == kPinned) return kNil;
    erase(oldest);
    ++statistics_.evicted;
    return oldest;
  }
  return free_slots[0] >= free_slots[1] ? free_at[0] : free_at[1];  // the emptier bucket keeps both usable
}

bool MacTable::insert(std::uint64_t key, PortNo port, std::uint32_t second) {
  const std::uint32_t at = free_slot_for(key);
  if (at == kNil) return false;
  Slot& slot = slots_.load(std::memory_order_relaxed)->at(at);
  slot.value.store(value_of(port, second), std::memory_order_release);
  slot.key.store(key, std::memory_order_release);
  if (second != kPinned) append(at, port);
  ++size_;
  return true;
}

void MacTable::erase(std::uint32_t at) {
  Slot& slot = slots_.load(std::memory_order_relaxed)->at(at);
  const std::uint64_t value = slot.value.load(std::memory_order_relaxed);
  if (second_of(value) == kPinned) {
    pinned_.erase(slot.key.load(std::memory_order_relaxed));
  } else {
    unlink(at, port_of(value));
  }
  const std::uint64_t key = slot.key.exchange(0, std::memory_order_acq_rel);
  --size_;
  tell(key);
}

void MacTable::append(std::uint32_t slot, PortNo port) {
  PortList& list = ports_[index(port)];
  links_[slot] = {.older = list.newest, .newer = kNil};
  (list.newest == kNil ? list.oldest : links_[list.newest].newer) = slot;
  list.newest = slot;
  ++list.count;
}

void MacTable::unlink(std::uint32_t slot, PortNo port) {
  PortList& list = ports_[index(port)];
  const Links links = links_[slot];
  (links.older == kNil ? list.oldest : links_[links.older].newer) = links.newer;
  (links.newer == kNil ? list.newest : links_[links.newer].older) = links.older;
  --list.count;
}

void MacTable::evict_one() {
  const auto fullest = std::max_element(ports_.begin(), ports_.end(), [](const auto& a, const auto& b) {
    return a.second.count < b.second.count;
  });
  if (fullest == ports_.end() || fullest->second.oldest == kNil) return;  // all pinned
  erase(fullest->second.oldest);
  ++statistics_.evicted;
}

void MacTable::forget_port(PortNo port) {
  const MutexLock lock(mutex_);
  const Slots& slots = *slots_.load(std::memory_order_relaxed);
  for (auto it = pinned_.begin(); it != pinned_.end();) {
    const auto [key, on] = *it++;  // erase() removes it
    if (on == port) erase(find(slots, key));
  }
  const auto found = ports_.find(index(port));
  if (found == ports_.end()) return;
  while (found->second.oldest != kNil) erase(found->second.oldest);
  ports_.erase(found);
}

void MacTable::forget_vlans(const VlanSet& vlans) {
  const MutexLock lock(mutex_);
  const Slots& slots = *slots_.load(std::memory_order_relaxed);
  for (auto& [port, list] : ports_) {
    for (std::uint32_t slot = list.oldest; slot != kNil;) {
      const std::uint32_t next = links_[slot].newer;
      if (vlans[vlan_of(slots.at(slot).key.load(std::memory_order_relaxed))]) erase(slot);
      slot = next;
    }
  }
}

std::size_t MacTable::sweep(TimeNs now) {
  const MutexLock lock(mutex_);
  const Slots& slots = *slots_.load(std::memory_order_relaxed);
  const TimeNs aging = aging_.load(std::memory_order_relaxed);
  const std::size_t before = size_;
  for (auto& [port, list] : ports_) {
    while (list.oldest != kNil &&
           expired(slots.at(list.oldest).value.load(std::memory_order_relaxed), now, aging)) {
      erase(list.oldest);
    }
  }
  statistics_.expired += before - size_;
  return before - size_;
}

std::size_t MacTable::flush() {
  const MutexLock lock(mutex_);
  const std::size_t before = size_;
  for (auto& [port, list] : ports_) {
    while (list.oldest != kNil) erase(list.oldest);
  }
  return before - size_;
}

void MacTable::set_limits(std::size_t capacity, TimeNs aging) {
  const MutexLock lock(mutex_);
  aging_.store(aging, std::memory_order_relaxed);
  capacity = std::max<std::size_t>(capacity, 1);
  if (capacity == capacity_) return;
  while (size_ > std::max(capacity, pinned_.size())) evict_one();
  capacity_ = capacity;

  const Slots& old = *slots_.load(std::memory_order_relaxed);
  std::vector<std::pair<std::uint64_t, std::uint64_t>>
      kept;  // in order of age, so that the new lists are too
  for (const auto& [key, port] : std::exchange(pinned_, {})) kept.emplace_back(key, value_of(port, kPinned));
  for (auto& [port, list] : ports_) {
    for (std::uint32_t slot = list.oldest; slot != kNil; slot = links_[slot].newer) {
      kept.emplace_back(old.at(slot).key.load(std::memory_order_relaxed),
                        old.at(slot).value.load(std::memory_order_relaxed));
    }
  }
  generations_.push_back(std::make_unique<Slots>(std::max(capacity_, kept.size())));
  links_.assign(generations_.back()->buckets.size() * kSlotsPerBucket, Links{});
  ports_.clear();
  size_ = 0;
  slots_.store(generations_.back().get(), std::memory_order_release);
  for (const auto& [key, value] : kept) {
    if (!insert(key, port_of(value), second_of(value))) {
      tell(key);
    } else if (second_of(value) == kPinned) {
      pinned_[key] = port_of(value);
    }
  }
}

void MacTable::free_replaced() {
  const MutexLock lock(mutex_);
  generations_.erase(generations_.begin(), generations_.end() - 1);
}

std::size_t MacTable::size_of(PortNo port) const {
  const MutexLock lock(mutex_);
  const auto found = ports_.find(index(port));
  return found == ports_.end() ? 0 : found->second.count;
}

std::size_t MacTable::size() const {
  const MutexLock lock(mutex_);
  return size_;
}

std::size_t MacTable::capacity() const {
  const MutexLock lock(mutex_);
  return capacity_;
}

MacStatistics MacTable::statistics() const {
  const MutexLock lock(mutex_);
  return statistics_;
}

void MacTable::clear_statistics() {
  const MutexLock lock(mutex_);
  statistics_ = {};
}

std::vector<MacEntry> MacTable::entries(TimeNs now) const {
  const MutexLock lock(mutex_);
  const Slots& slots = *slots_.load(std::memory_order_relaxed);
  const TimeNs aging = aging_.load(std::memory_order_relaxed);
  std::vector<MacEntry> all;
  all.reserve(size_);
  const auto add = [&all](std::uint64_t key, PortNo port, std::uint32_t age, bool pinned) {
    all.push_back({.vlan = static_cast<VlanId>(key >> 48 & 0xfff),
                   .mac = MacAddr::from_u64(key & 0xffffffffffffULL),
                   .port = port,
                   .age_seconds = age,
                   .pinned = pinned});
  };
  for (const auto& [key, port] : pinned_) add(key, port, 0, true);
  const auto learned = static_cast<std::ptrdiff_t>(all.size());
  for (const auto& [port, list] : ports_) {
    for (std::uint32_t slot = list.oldest; slot != kNil; slot = links_[slot].newer) {
      const std::uint64_t key = slots.at(slot).key.load(std::memory_order_relaxed);
      const std::uint64_t value = slots.at(slot).value.load(std::memory_order_relaxed);
      if (expired(value, now, aging)) continue;
      add(key, PortNo{port}, to_second(now) - second_of(value), false);
    }
  }
  std::stable_sort(all.begin() + learned, all.end(),
                   [](const MacEntry& a, const MacEntry& b) { return a.age_seconds > b.age_seconds; });
  return all;
}

}  // namespace vswitch
