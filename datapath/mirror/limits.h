// SPDX-License-Identifier: Apache-2.0
// How much a session may copy: per second (RateLimit) and in total (Quota).
//
// Both are shared by all workers and live outside the snapshot, so that a change of other settings neither
// refills a bucket nor restarts a count. A frame costs one or two atomic additions; in a session without
// limits it costs none.
//
// Both count each frame once, no matter how many destinations get a copy, and bytes as received. Copies that
// are lost later (queue full, refused by the device) count too.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "datapath/base/types.h"

namespace vswitch {

/// Per second; 0 = unlimited.
struct RateSpec {
  std::uint64_t packets = 0;
  std::uint64_t bits = 0;

  bool is_limited() const { return packets != 0 || bits != 0; }
  bool operator==(const RateSpec&) const = default;
};

/// A token bucket, stored as the time at which it will be full again: the generic cell rate algorithm (ITU-T
/// I.371), which needs one number and no timer.
class TokenBucket {
 public:
  static constexpr TimeNs kBurst = kSecondNs / 10;

  /// `per_second`: units per second, at least 1. The bucket holds the units of kBurst, or `least` if that is
  /// more.
  TokenBucket(std::uint64_t per_second, std::uint64_t least);
  /// Takes `units`. False, with nothing taken, if the bucket holds fewer. Any thread.
  bool take(std::uint64_t units, TimeNs now);
  /// Puts back units that were taken. Any thread.
  void give_back(std::uint64_t units);
  /// How many units could be taken now. Any thread.
  std::uint64_t left(TimeNs now) const;

 private:
  TimeNs time_of(std::uint64_t units) const;

  const std::uint64_t per_second_;
  const TimeNs burst_;
  alignas(64) std::atomic<TimeNs> full_at_{0};
};

class RateLimit {
 public:
  explicit RateLimit(RateSpec spec);
  const RateSpec& spec() const { return spec_; }
  /// Whether a frame of so many bytes may be copied; if so, it is charged. Any thread.
  bool take(std::uint64_t bytes, TimeNs now);
  /// What could be copied now; 0 for what is not limited. Any thread.
  RateSpec left(TimeNs now) const;

 private:
  const RateSpec spec_;
  std::optional<TokenBucket> packets_, bits_;
};

/// In total; 0 = unlimited.
struct QuotaSpec {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;

  bool is_limited() const { return packets != 0 || bytes != 0; }
  bool operator==(const QuotaSpec&) const = default;
};

/// Ends with the last frame it allows, or at the first frame that exceeds the remaining bytes: it is never
/// exceeded.
class Quota {
 public:
  /// `used_up` is called once, on the thread that called take() when the quota ended.
  Quota(QuotaSpec spec, std::function<void()> used_up);
  const QuotaSpec& spec() const { return spec_; }
  /// Whether a frame of so many bytes may be copied; if so, it is charged. Any thread.
  bool take(std::uint64_t bytes);
  /// What may still be copied; 0 for what is not limited. Any thread.
  QuotaSpec left() const;
  bool is_used_up() const { return used_up_.load(std::memory_order_relaxed); }

 private:
  void end();

  const QuotaSpec spec_;
  const std::function<void()> on_end_;
  alignas(64) std::atomic<std::uint64_t> packets_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<bool> used_up_{false};
};

}  // namespace vswitch
