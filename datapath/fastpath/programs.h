// SPDX-License-Identifier: Apache-2.0
// The programs in the kernel and their maps: loaded, mapped into memory, and tried once.
//
// Control thread, unless it says otherwise. The programs and maps disappear with the object; a socket or a tc filter
// that still uses a program keeps it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <future>
#include <span>
#include <string>
#include <utility>

#include "datapath/base/unique_fd.h"
#include "datapath/fastpath/maps.h"

namespace vswitch::fastpath {

/// A word that the kernel reads or writes too.
template <typename T>
std::atomic_ref<T> shared(T& word) {
  return std::atomic_ref<T>(word);
}

void unmap(void* memory, std::size_t length);

/// Memory of an array map, shared with the kernel. T has the layout of the map's values.
template <typename T>
class MappedArray {
 public:
  MappedArray() = default;
  MappedArray(void* memory, std::size_t length)
      : memory_(static_cast<T*>(memory)), size_(length / sizeof(T)), length_(length) {}
  MappedArray(const MappedArray&) = delete;
  MappedArray& operator=(const MappedArray&) = delete;
  MappedArray(MappedArray&& other) noexcept { swap(other); }
  MappedArray& operator=(MappedArray&& other) noexcept {
    swap(other);
    return *this;
  }
  ~MappedArray() {
    if (memory_ != nullptr) unmap(memory_, length_);
  }

  T& operator[](std::size_t at) const { return memory_[at]; }
  std::size_t size() const { return size_; }

 private:
  void swap(MappedArray& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    std::swap(length_, other.length_);
  }

  T* memory_ = nullptr;
  std::size_t size_ = 0;
  std::size_t length_ = 0;
};

class Programs {
 public:
  /// Loads the programs, and lets a frame pass through them between two devices in a network namespace of its own.
  /// Throws std::runtime_error with a sentence: bpf(2) is not permitted, the kernel is too old, or it does not do what
  /// the programs rely on.
  Programs();
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;
  ~Programs();

  /// For the packet socket of a port (SO_ATTACH_BPF).
  int filter() const { return filter_.get(); }
  /// For tc ingress of its device, in direct-action mode.
  int ingress() const { return ingress_.get(); }

  // Any thread:
  /// Adds or replaces a flow. False with errno if the kernel refuses, as it does when the map is full (E2BIG).
  bool put(const fastpath_key& key, const fastpath_flow& flow) const;
  void remove(const fastpath_key& key) const;
  /// Adds a choice unless there is one already: frames of before it may still wait to be copied by user space. The kernel
  /// forgets the one that was not used for longest if there is no room.
  void choose(const fastpath_headers& headers, const fastpath_choice& choice) const;

  MappedArray<fastpath_bridge> bridges;
  MappedArray<fastpath_port> ports;
  MappedArray<std::uint64_t> stamps;  ///< tick of the last frame, by fastpath_flow::id
  MappedArray<fastpath_copy_set> copy_sets;
  MappedArray<fastpath_flood> floods;
  MappedArray<fastpath_budget> budgets;  ///< by slot of the session's account
  MappedArray<fastpath_limit> limits;

  /// Known flows are carried out; otherwise user space gets every frame.
  void enable(bool on) const;
  void set_tick(std::uint32_t tick) const;
  // By worker; access them as std::atomic_ref.
  std::span<std::uint64_t> copies_sent_until() const;
  std::span<std::uint64_t> tap_sent_until() const;

  // The sums over all processors.
  fastpath_port_account port_account(std::size_t slot) const;
  fastpath_destination_account destination_account(std::size_t slot) const;
  fastpath_session_account session_account(std::size_t slot) const;
  fastpath_tap_account tap_account(std::size_t slot) const;  ///< of a copy set
  std::uint64_t drained(std::size_t slot) const;

 private:
  void try_out();

  struct Variables;
  Variables& variables() const;

  /// Devices go in tens of milliseconds; nothing waits for those of the trial.
  std::future<void> trial_ends_;
  // The maps in memory need no descriptor.
  UniqueFd filter_, ingress_, flows_, choices_;
  MappedArray<std::uint64_t> variables_;
  MappedArray<fastpath_port_account> port_accounts_;
  MappedArray<fastpath_tap_account> tap_accounts_;
  MappedArray<fastpath_drain_account> drain_accounts_;
  MappedArray<fastpath_destination_account> destination_accounts_;
  MappedArray<fastpath_session_account> session_accounts_;
};

}  // namespace vswitch::fastpath
