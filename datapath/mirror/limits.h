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

/// A token bucket, stored as the time at which it will be full again (`full_at`): the generic cell rate algorithm
/// (ITU-T I.371), which needs one number and no timer. Any thread.
class TokenBucket {
 public:
  static constexpr TimeNs kBurst = kSecondNs / 10;

  /// `per_second`: units per second, at least 1. The bucket holds the units of kBurst, or `least` if that is
  /// more.
  TokenBucket(std::uint64_t per_second, std::uint64_t least);
  /// Takes `units`. False, with nothing taken, if the bucket holds fewer.
  bool take(std::atomic<TimeNs>& full_at, std::uint64_t units, TimeNs now) const;
  /// Puts back units that were taken.
  void give_back(std::atomic<TimeNs>& full_at, std::uint64_t units) const;
  /// How many units could be taken now.
  std::uint64_t left(const std::atomic<TimeNs>& full_at, TimeNs now) const;

  /// By how much units move `full_at`, and how far it may be ahead of now.
  TimeNs time_of(std::uint64_t units) const;
  TimeNs burst() const { return burst_; }

 private:
  const std::uint64_t per_second_;
  const TimeNs burst_;
};

class RateLimit {
 public:
  /// When each bucket will be full again.
  struct Buckets {
    std::atomic<TimeNs> packets{0}, bits{0};
  };

  explicit RateLimit(RateSpec spec);
  RateLimit(const RateLimit&) = delete;
  RateLimit& operator=(const RateLimit&) = delete;
  const RateSpec& spec() const { return spec_; }
  /// The buckets go on at `place`, where somebody else takes from them too; with null, in memory of their own. Calls are
  /// not made at the same time.
  void move_to(Buckets* place);
  /// Null: not limited.
  const TokenBucket* packets() const { return packets_ ? &*packets_ : nullptr; }
  const TokenBucket* bits() const { return bits_ ? &*bits_ : nullptr; }
  /// Whether a frame of so many bytes may be copied; if so, it is charged. Any thread.
  bool take(std::uint64_t bytes, TimeNs now);
  /// What could be copied now; 0 for what is not limited. Any thread.
  RateSpec left(TimeNs now) const;

 private:
  const RateSpec spec_;
  std::optional<TokenBucket> packets_, bits_;
  alignas(64) Buckets own_;
  std::atomic<Buckets*> buckets_{&own_};
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
