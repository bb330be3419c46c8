// SPDX-License-Identifier: Apache-2.0
// The addresses a bridge has learned: (VLAN, MAC) -> port.
//
// Every worker reads the table for every frame, so reading takes no lock and writes nothing: a key and a
// value are one atomic word each, a writer clears the key while it changes the value, and a reader that sees
// the same key before and after has read a value that belonged to it. Writing takes the mutex. An address
// seen again on its port is written at most once a second, so that ordinary frames do not make workers
// contend for the lock.
//
// Each address can be in one of two buckets of four slots (a bucket is one cache line). There are twice as
// many slots as the capacity, so both buckets are almost never full; if they are, the oldest of the eight
// addresses is evicted, and the table stays bounded.
//
// When `capacity` is reached, the port with the most addresses forgets its oldest one (as in Open vSwitch, so
// that one port that floods source addresses cannot push out those of others). Ages are kept as a list per
// port, least recently seen first.
//
// An operator can pin an address to a port (`ovs-appctl fdb/add`): it neither ages nor moves nor is evicted,
// and is removed with its port, or by the operator.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "datapath/base/types.h"
#include "datapath/switching/address_watcher.h"
#include "datapath/switching/vlan.h"

namespace vswitch {

struct MacEntry {
  VlanId vlan;
  MacAddr mac;
  PortNo port;
  std::uint32_t age_seconds;  ///< 0 for a pinned one
  bool pinned = false;
};

/// Events since the start or the last clear_statistics().
struct MacStatistics {
  std::uint64_t learned = 0, expired = 0, evicted = 0, moved = 0;
};

class MacTable {
 public:
  static constexpr std::size_t kDefaultCapacity = 8192;  // Open vSwitch's default for mac-table-size
  static constexpr TimeNs kDefaultAging = 300 * kSecondNs;

  /// `capacity`: largest number of addresses, at least 1. `aging`: how long an address is kept while it is
  /// not seen.
  /// `watcher` is told what is forgotten and outlives the table; null: nobody is.
  explicit MacTable(std::size_t capacity = kDefaultCapacity, TimeNs aging = kDefaultAging,
                    AddressWatcher* watcher = nullptr);

  /// The port behind an address, or nullopt if it is unknown or has aged out. Any thread.
  std::optional<PortNo> lookup(VlanId vlan, const MacAddr& mac, TimeNs now) const;

  enum class Learned : std::uint8_t { known, fresh, moved };
  /// Notes that `mac` was seen as source on `port`. Any thread.
  Learned learn(VlanId vlan, const MacAddr& mac, PortNo port, TimeNs now);

  /// learn() for an address that was learned on this port already; otherwise nothing. Any thread.
  void refresh(VlanId vlan, const MacAddr& mac, PortNo port, TimeNs now);

  /// Pins an address to a port. False if there is no room because pinned addresses fill the table.
  bool pin(VlanId vlan, const MacAddr& mac, PortNo port);
  /// The port that an address is pinned to, or nullopt.
  std::optional<PortNo> pinned_to(VlanId vlan, const MacAddr& mac) const;
  /// Forgets a pinned address. False if the address is not pinned.
  bool unpin(VlanId vlan, const MacAddr& mac);

  /// Forgets all addresses on a port, pinned ones included.
  void forget_port(PortNo port);
  /// Forgets all that was learned in these VLANs. Pinned addresses stay.
  void forget_vlans(const VlanSet& vlans);
  /// Forgets addresses not seen for the aging time; returns how many.
  std::size_t sweep(TimeNs now);
  /// Forgets all that was learned; returns how many. Pinned addresses stay.
  std::size_t flush();
  /// Changes the limits; addresses over the new capacity are forgotten, oldest first.
  void set_limits(std::size_t capacity, TimeNs aging);
  /// Frees memory that set_limits() replaced. Call it only once every worker has finished a batch since then.
  void free_replaced();

  std::size_t size() const;
  /// Addresses on a port, without pinned ones.
  std::size_t size_of(PortNo port) const;
  std::size_t capacity() const;
  MacStatistics statistics() const;
  void clear_statistics();
  /// All addresses that have not aged out: pinned ones first, then the others, least recently seen first.
  std::vector<MacEntry> entries(TimeNs now) const;

 private:
  static constexpr std::uint32_t kNil = 0xffffffffU;
  static constexpr std::size_t kSlotsPerBucket = 4;

  struct Slot {
    std::atomic<std::uint64_t> key{0};    // occupied bit, VLAN, MAC; 0 = free
    std::atomic<std::uint64_t> value{0};  // port in the upper half, second last seen in the lower
  };
  struct alignas(64) Bucket {
    Slot slots[kSlotsPerBucket];
  };
  /// The memory of the table for one capacity. Replaced as a whole by set_limits; readers may still hold the
  /// old one.
  struct Slots {
    explicit Slots(std::size_t capacity);
    std::size_t mask;
    std::vector<Bucket> buckets;
    Slot& at(std::uint32_t slot) { return buckets[slot / kSlotsPerBucket].slots[slot % kSlotsPerBucket]; }
    const Slot& at(std::uint32_t slot) const {
      return buckets[slot / kSlotsPerBucket].slots[slot % kSlotsPerBucket];
    }
    std::pair<std::uint32_t, std::uint32_t> buckets_of(std::uint64_t key) const;
  };
  struct Links {
    std::uint32_t older = kNil;
    std::uint32_t newer = kNil;
  };
  struct PortList {
    std::uint32_t oldest = kNil;
    std::uint32_t newest = kNil;
    std::size_t count = 0;
  };

  std::uint32_t find(const Slots& slots, std::uint64_t key) const;
  std::uint32_t free_slot_for(std::uint64_t key) REQUIRES(mutex_);  ///< kNil: all are pinned
  bool insert(std::uint64_t key, PortNo port, std::uint32_t second) REQUIRES(mutex_);
  void erase(std::uint32_t slot) REQUIRES(mutex_);
  void append(std::uint32_t slot, PortNo port) REQUIRES(mutex_);
  void unlink(std::uint32_t slot, PortNo port) REQUIRES(mutex_);
  void evict_one() REQUIRES(mutex_);

  void tell(std::uint64_t key) const REQUIRES(mutex_);

  AddressWatcher* const watcher_;
  std::atomic<TimeNs> aging_;
  std::atomic<Slots*> slots_;
  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Slots>> generations_ GUARDED_BY(mutex_);  ///< the last one is in use
  std::vector<Links> links_ GUARDED_BY(mutex_);
  std::unordered_map<std::uint32_t, PortList> ports_ GUARDED_BY(mutex_);  ///< pinned addresses are in no list
  std::unordered_map<std::uint64_t, PortNo> pinned_ GUARDED_BY(mutex_);   ///< by key
  MacStatistics statistics_ GUARDED_BY(mutex_);
  std::size_t capacity_ GUARDED_BY(mutex_);
  std::size_t size_ GUARDED_BY(mutex_) = 0;
};

}  // namespace vswitch
