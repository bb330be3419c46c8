// SPDX-License-Identifier: Apache-2.0
#include "datapath/mirror/limits.h"

#include <algorithm>

namespace vswitch {

namespace {

constexpr std::uint64_t kMaxFrameLength = 65536;  // any rate must let a GSO packet pass now and then

}  // namespace

TokenBucket::TokenBucket(std::uint64_t per_second, std::uint64_t least)
    : per_second_(per_second), burst_(std::max(kBurst, time_of(least))) {}

/// Rounded up: rather slightly below the rate than above it. 64 bytes at 10 Gbit/s are 51.2 ns.
TimeNs TokenBucket::time_of(std::uint64_t units) const {
  return static_cast<TimeNs>((units * std::uint64_t{kSecondNs} + per_second_ - 1) / per_second_);
}

bool TokenBucket::take(std::atomic<TimeNs>& full_at, std::uint64_t units, TimeNs now) const {
  const TimeNs time = time_of(units);
  TimeNs before = full_at.load(std::memory_order_relaxed);
  for (;;) {
    const TimeNs after = std::max(before, now) + time;
    if (after - now > burst_) return false;
    if (full_at.compare_exchange_weak(before, after, std::memory_order_relaxed)) return true;
  }
}

void TokenBucket::give_back(std::atomic<TimeNs>& full_at, std::uint64_t units) const {
  full_at.fetch_sub(time_of(units), std::memory_order_relaxed);
}

std::uint64_t TokenBucket::left(const std::atomic<TimeNs>& full_at, TimeNs now) const {
  const TimeNs free = burst_ - std::max<TimeNs>(full_at.load(std::memory_order_relaxed) - now, 0);
  if (free <= 0) return 0;
  return static_cast<std::uint64_t>(free) * per_second_ / std::uint64_t{kSecondNs};
}

RateLimit::RateLimit(RateSpec spec) : spec_(spec) {
  if (spec.packets != 0) packets_.emplace(spec.packets, 1);
  if (spec.bits != 0) bits_.emplace(spec.bits, kMaxFrameLength * 8);
}

void RateLimit::move_to(Buckets* place) {
  Buckets* const from = buckets_.load(std::memory_order_relaxed);
  Buckets* const to = place == nullptr ? &own_ : place;
  if (from == to) return;
  to->packets.store(from->packets.load(std::memory_order_relaxed), std::memory_order_relaxed);
  to->bits.store(from->bits.load(std::memory_order_relaxed), std::memory_order_relaxed);
  buckets_.store(to, std::memory_order_release);
}

bool RateLimit::take(std::uint64_t bytes, TimeNs now) {
  Buckets& buckets = *buckets_.load(std::memory_order_acquire);
  if (packets_ && !packets_->take(buckets.packets, 1, now)) return false;
  if (!bits_ || bits_->take(buckets.bits, bytes * 8, now)) return true;
  if (packets_) packets_->give_back(buckets.packets, 1);
  return false;
}

RateSpec RateLimit::left(TimeNs now) const {
  const Buckets& buckets = *buckets_.load(std::memory_order_acquire);
  return {.packets = packets_ ? packets_->left(buckets.packets, now) : 0,
          .bits = bits_ ? bits_->left(buckets.bits, now) : 0};
}

QuotaSpec Quota::left() const {
  const auto of = [](std::uint64_t all, std::uint64_t taken) { return all > taken ? all - taken : 0; };
  return {.packets = of(spec_.packets, packets_.load(std::memory_order_relaxed)),
          .bytes = of(spec_.bytes, bytes_.load(std::memory_order_relaxed))};
}

Quota::Quota(QuotaSpec spec, std::function<void()> used_up) : spec_(spec), on_end_(std::move(used_up)) {}

/// A worker whose frame does not fit ends the quota for all workers: a smaller frame of another one would be
/// out of order.
bool Quota::take(std::uint64_t bytes) {
  if (is_used_up()) return false;
  const std::uint64_t packets = packets_.fetch_add(1, std::memory_order_relaxed) + 1;
  const std::uint64_t all_bytes = bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  const bool fits =
      (spec_.packets == 0 || packets <= spec_.packets) && (spec_.bytes == 0 || all_bytes <= spec_.bytes);
  const bool is_last = packets == spec_.packets || all_bytes == spec_.bytes;
  if (!fits || is_last) end();
  return fits;
}

void Quota::end() {
  if (!used_up_.exchange(true, std::memory_order_relaxed) && on_end_) on_end_();
}

}  // namespace vswitch
