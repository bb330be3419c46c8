// SPDX-License-Identifier: Apache-2.0
#include "datapath/fastpath/copy_taps.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace vswitch::fastpath {

namespace {

/// Between the count of a frame and its arrival in the tap, on a processor that is busy with something else.
constexpr TimeNs kOnTheirWay = 10 * (kSecondNs / 1000);

std::optional<VlanTag> tag_of(std::uint32_t word) {
  if (word == 0) return std::nullopt;
  return VlanTag{static_cast<std::uint16_t>(word >> 16), static_cast<std::uint16_t>(word)};
}

}  // namespace

TappedFrames::TappedFrames(const KernelCopies& copies, std::uint32_t slot_of_set,
                           std::uint32_t version_of_set)
    : all(copies), slot(slot_of_set), version(version_of_set), tag(tag_of(copies.tapped->tag)) {}

bool CopyTaps::open(const Programs& programs, std::size_t workers) {
  if (is_open()) return true;
  try {
    while (taps_.size() < std::min<std::size_t>(workers, FASTPATH_WORKERS)) {
      auto tap = std::make_unique<CopyTap>("vswcopy%d");
      fastpath_port& slot = programs.ports[FASTPATH_FIRST_COPY_TAP + taps_.size()];
      std::atomic_ref(slot.ifindex)
          .store(static_cast<std::uint32_t>(tap->ifindex()), std::memory_order_relaxed);
      taps_.push_back(std::move(tap));
    }
  } catch (const std::exception& error) {
    trouble_ = error.what();
    return false;
  }
  open_.store(true, std::memory_order_release);
  return true;
}

std::uint64_t CopyTaps::unread() const {
  std::uint64_t unread = 0;
  if (!is_open()) return 0;
  for (const auto& tap : taps_) unread += tap->overruns();
  return unread;
}

std::uint32_t CopyTaps::assign(const Programs& programs, std::uint32_t slot, const KernelCopies& copies) {
  if (copies.by_headers()) ++last_version_;
  const std::uint32_t version = copies.by_headers() ? last_version_ : 0;
  auto known = std::make_unique<Slot>();
  known->frames = std::make_shared<TappedFrames>(copies, slot, version);
  known->worker = copies.tapped->worker;
  known->base = known->handed = programs.tap_account(slot);
  frames_[slot].store(known->frames);
  slots_[slot] = std::move(known);
  return version;
}

void CopyTaps::use(std::uint32_t slot, std::uint64_t generation, std::uint64_t in_effect) {
  if (slots_[slot] == nullptr) return;
  TappedFrames& frames = *slots_[slot]->frames;
  const std::uint64_t last = frames.generation.load(std::memory_order_relaxed);
  if (last == generation) return;
  if (last != in_effect) frames.since.store(generation, std::memory_order_release);
  frames.generation.store(generation, std::memory_order_release);
}

void CopyTaps::release(std::uint32_t slot) {
  frames_[slot].store(nullptr);
  slots_[slot].reset();
}

std::shared_ptr<TappedFrames> CopyTaps::find(std::uint32_t slot) const {
  return slot < frames_.size() ? frames_[slot].load() : nullptr;
}

void CopyTaps::count_lost(const Programs& programs, SenderId sender, TimeNs now) {
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot] != nullptr) count_lost(*slots_[slot], programs.tap_account(slot), sender, now);
  }
}

void CopyTaps::count_lost(Slot& slot, const fastpath_tap_account& handed, SenderId sender, TimeNs now) {
  const TappedFrames& frames = *slot.frames;
  // What was withheld is known at once.
  count_lost(frames, DropReason::cpu_budget, handed.withheld_frames - slot.handed.withheld_frames,
             handed.withheld_bytes - slot.handed.withheld_bytes, sender);
  slot.handed.withheld_frames = handed.withheld_frames;
  slot.handed.withheld_bytes = handed.withheld_bytes;
  const bool is_known =
      taken_until_[slot.worker].load(std::memory_order_acquire) > slot.handed_at + kOnTheirWay;
  if (slot.handed_at != 0 && !is_known) return;
  const auto grow = [](std::uint64_t handed_before, std::uint64_t base, std::uint64_t taken,
                       std::uint64_t& counted) {
    const std::uint64_t of_slot = handed_before - base;
    const std::uint64_t lost = of_slot - std::min(of_slot, taken);
    return lost > counted ? lost - std::exchange(counted, lost) : 0;
  };
  if (slot.handed_at != 0) {
    const std::uint64_t lost =
        grow(slot.handed.frames, slot.base.frames, frames.taken_frames.load(), slot.lost_frames);
    const std::uint64_t bytes =
        grow(slot.handed.bytes, slot.base.bytes, frames.taken_bytes.load(), slot.lost_bytes);
    count_lost(frames, DropReason::queue_full, lost, bytes, sender);
  }
  slot.handed = handed;
  slot.handed_at = now;
}

void CopyTaps::count_lost(const TappedFrames& frames, DropReason reason, std::uint64_t lost,
                          std::uint64_t bytes, SenderId sender) {
  if (lost == 0) return;
  for (const auto& destination : frames.copies().certain) {
    DestinationCell& cell = destination->of(sender);
    cell.matched.add(lost);
    cell.lost[static_cast<std::size_t>(reason)].add(lost);
  }
  for (const auto& session : frames.copies().certain_sessions) {
    session->of(sender).frames.add(lost);
    session->of(sender).bytes.add(bytes);
  }
}

}  // namespace vswitch::fastpath
