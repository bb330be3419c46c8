// SPDX-License-Identifier: Apache-2.0
// The way of frames whose copies user space makes while the kernel forwards them: a copy tap for each worker, and what
// the frames in it are.
//
// A frame comes with the slot of its copy set as tag. What is known of a slot is a TappedFrames; it stays for a while
// after the last flow that used it, for frames that are still in the tap.
//
// Loss. The kernel counts the frames that it hands over, the worker those that it takes. Those of before a moment at
// which the tap was found empty, and that were not taken, found no room in it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "datapath/base/counters.h"
#include "datapath/fastpath/kernel_flow.h"
#include "datapath/fastpath/programs.h"
#include "datapath/port/copy_tap.h"

namespace vswitch::fastpath {

struct TappedFrames {
  const KernelCopies all;                    ///< of which `all.tapped` are user space's
  const std::uint32_t slot;                  ///< of the copy set
  const std::uint32_t version;               ///< fastpath_copy_set::version
  const std::optional<VlanTag> tag;          ///< with which the frames arrived
  std::atomic<std::uint64_t> generation{0};  ///< of the settings by which they were tapped last
  std::atomic<std::uint64_t> since{0};       ///< and of the first, of those that did so without a break
  std::atomic<std::uint64_t> taken_frames{0}, taken_bytes{0};

  TappedFrames(const KernelCopies& copies, std::uint32_t slot, std::uint32_t version);
  const TappedCopies& copies() const { return *all.tapped; }
  void take(std::size_t bytes) {
    taken_frames.fetch_add(1, std::memory_order_relaxed);
    taken_bytes.fetch_add(bytes, std::memory_order_relaxed);
  }
};

/// Calls of other threads than the worker's are not made at the same time: FastPath has a lock for them.
class CopyTaps {
 public:
  /// Opens a tap for each worker, unless they are open. False, with the reason in trouble(), if that fails.
  bool open(const Programs& programs, std::size_t workers);
  bool is_open() const { return open_.load(std::memory_order_acquire); }
  /// Why there are none, as a sentence.
  const std::string& trouble() const { return trouble_; }
  /// Frames that found no room. Any thread.
  std::uint64_t unread() const;

  /// Frames with this slot are those of `copies` from now on. Returns a version, as fastpath_copy_set has it.
  std::uint32_t assign(const Programs& programs, std::uint32_t slot, const KernelCopies& copies);
  /// Settings of this generation use the slot; those of `in_effect` are the ones before them, or they themselves.
  void use(std::uint32_t slot, std::uint64_t generation, std::uint64_t in_effect);
  void release(std::uint32_t slot);
  /// Counts, in the cells of `sender`, what has been lost since the last call.
  void count_lost(const Programs& programs, SenderId sender, TimeNs now);

  // The worker:
  /// Null unless is_open().
  CopyTap* of(std::size_t worker) const {
    return is_open() && worker < taps_.size() ? taps_[worker].get() : nullptr;
  }
  /// Null if nothing is known of the slot.
  std::shared_ptr<TappedFrames> find(std::uint32_t slot) const;
  /// All frames that were handed to the worker's tap before `time` have been taken, or are lost.
  void taken(std::size_t worker, TimeNs time) { taken_until_[worker].store(time, std::memory_order_release); }

 private:
  struct Slot {
    std::shared_ptr<TappedFrames> frames;
    std::uint32_t worker = 0;
    fastpath_tap_account base{};                    ///< of the kernel, when the slot was assigned
    fastpath_tap_account handed{};                  ///< up to handed_at
    TimeNs handed_at = 0;                           ///< 0: there is nothing to find out
    std::uint64_t lost_frames = 0, lost_bytes = 0;  ///< counted
  };

  void count_lost(Slot& slot, const fastpath_tap_account& now_handed, SenderId sender, TimeNs now);
  static void count_lost(const TappedFrames& frames, DropReason reason, std::uint64_t lost,
                         std::uint64_t bytes, SenderId sender);

  std::vector<std::unique_ptr<CopyTap>> taps_;  ///< by worker
  std::uint32_t last_version_ = 0;
  std::atomic<bool> open_{false};
  std::string trouble_;
  std::array<std::atomic<TimeNs>, FASTPATH_WORKERS> taken_until_{};
  std::array<std::atomic<std::shared_ptr<TappedFrames>>, FASTPATH_COPY_SETS> frames_{};
  std::vector<std::unique_ptr<Slot>> slots_{FASTPATH_COPY_SETS};
};

}  // namespace vswitch::fastpath
