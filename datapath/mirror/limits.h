// SPDX-License-Identifier: Apache-2.0
// What a session may copy: so much a second (RateLimit), and so much in its life (Quota).
//
// Both are shared by all workers and live outside the snapshot, so that a change of other settings neither
// fills a bucket nor begins a count anew. A frame costs one or two atomic additions; a session without limits
// has neither.
//
// Both count frames, each once however many destinations get a copy of it, and bytes as received. What is
// lost behind them (a full queue, a device that refuses) has been counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "datapath/base/types.h"

namespace vswitch {

/// Per second; 0 = any number.
struct RateSpec {
  std::uint64_t packets = 0;
  std::uint64_t bits = 0;

  bool is_limited() const { return packets != 0 || bits != 0; }
  bool operator==(const RateSpec&) const = default;
};

/// A token bucket, as the moment at which it will be full again: the generic cell rate algorithm (ITU-T
/// I.371), which needs one number and no timer.
class TokenBucket {
 public:
  static constexpr TimeNs kBurst = kSecondNs / 10;

  /// `per_second` units, at least 1. The bucket holds kBurst worth of them, or `least` if that is more.
  TokenBucket(std::uint64_t per_second, std::uint64_t least);
  /// Any thread. False, and nothing taken, if so many are not there.
  bool take(std::uint64_t units, TimeNs now);
  void give_back(std::uint64_t units);
  /// How many could be taken now.
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
  /// Any thread: whether a frame of so many bytes may be copied; it is charged then.
  bool take(std::uint64_t bytes, TimeNs now);
  /// What could be copied now; of what is not limited, 0.
  RateSpec left(TimeNs now) const;

 private:
  const RateSpec spec_;
  std::optional<TokenBucket> packets_, bits_;
};

/// In all; 0 = any number.
struct QuotaSpec {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;

  bool is_limited() const { return packets != 0 || bytes != 0; }
  bool operator==(const QuotaSpec&) const = default;
};

/// Ends with the last frame it allows, or at the first one that does not fit into its bytes: it is never
/// exceeded.
class Quota {
 public:
  /// `used_up` is called once, on the thread of the worker that took the last frame.
  Quota(QuotaSpec spec, std::function<void()> used_up);
  const QuotaSpec& spec() const { return spec_; }
  /// Any thread: whether a frame of so many bytes may be copied; it is charged then.
  bool take(std::uint64_t bytes);
  /// What may still be copied; of what is not limited, 0.
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
