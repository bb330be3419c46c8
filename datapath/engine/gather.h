// SPDX-License-Identifier: Apache-2.0
// Decides whether a worker lets frames gather before it looks at its ports again.
//
// A worker that is faster than its load empties its ports, sleeps and is woken again, for a few frames each time. As
// network cards do (interrupt moderation), it can rest for a fixed time instead: what arrives meanwhile is one batch.
//
// What a rest costs depends on the machine (a timer on a virtual machine can cost more than ten frames), and what it
// brings on the load: who waits for an answer sends nothing meanwhile. So under load the worker tries: it compares a few
// milliseconds with rests to a few without, and rests from then on if its own processor time per frame became less and
// the frames did not. It tries again from time to time; the more often in vain, the more seldom.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "datapath/base/types.h"

namespace vswitch {

class Gather {
 public:
  /// How long a rest is. 0 = never.
  void set_limit(TimeNs limit) { limit_ = limit; }

  /// Call after the worker has looked at its ports: at `now` it found so many frames. `cpu_time()` is the processor time
  /// of its thread so far, and called a hundred times a second at most.
  template <typename CpuTime>
  void received(std::size_t frames, TimeNs now, CpuTime cpu_time) {
    last_count_ = frames;
    frames_ += frames;
    if (now - begin_ >= kPeriod && frames_ > 0) end_period(now, cpu_time());
  }

  /// How long to rest before the next look; 0 = not at all.
  TimeNs rest() {
    if (!resting_ || last_count_ >= kManyFrames) return 0;
    ++rests_;
    return limit_;
  }

 private:
  static constexpr TimeNs kMs = 1'000'000;
  static constexpr TimeNs kPeriod = 10 * kMs;
  static constexpr double kWorth = 2;                // frames that a rest brings: less is no load
  static constexpr double kLoad = 50'000 / 1e9;      // frames per ns: hosts that wait for answers send fewer
  static constexpr std::size_t kManyFrames = 32;     // of a look: what is around them does not matter
  static constexpr std::uint64_t kEnoughRests = 10;  // of a period, to judge by
  static constexpr double kNoticeable = 0.9;
  static constexpr TimeNs kBetweenTrials = 1000 * kMs;
  static constexpr TimeNs kShortestBreak = 100 * kMs;  // after a trial in vain; then twice as long each time
  static constexpr TimeNs kLongestBreak = 3'000 * kMs;

  /// Of a period.
  struct Period {
    double frames_per_ns = 0, ns_per_frame = 0;
  };

  void end_period(TimeNs now, TimeNs cpu) {
    const auto frames = static_cast<double>(frames_);
    const auto took = static_cast<double>(now - begin_);
    const Period period{frames / took, static_cast<double>(cpu - cpu_) / frames};
    const bool loaded =
        period.frames_per_ns >= kLoad && period.frames_per_ns * static_cast<double>(limit_) >= kWorth;
    if (std::exchange(trial_, false)) {
      decide(resting_ ? period : usual_, resting_ ? usual_ : period, now);
      resting_ = pays_ && loaded;
    } else {
      usual_ = period;
      // Frames may be few because of the rests: a trial without them tells.
      trial_ = resting_ ? !loaded || now >= next_trial_ : loaded && !pays_ && now >= next_trial_;
      resting_ = trial_ ? !resting_ : pays_ && loaded;
    }
    begin_ = now;
    cpu_ = cpu;
    frames_ = rests_ = 0;
  }

  void decide(const Period& with, const Period& without, TimeNs now) {
    if (resting_ && rests_ < kEnoughRests) {  // so many frames that it says nothing about fewer
      next_trial_ = now + kShortestBreak;
      return;
    }
    pays_ = with.ns_per_frame <= kNoticeable * without.ns_per_frame &&
            with.frames_per_ns >= kNoticeable * without.frames_per_ns;
    next_trial_ = now + (pays_ ? kBetweenTrials : break_);
    break_ = pays_ ? kShortestBreak : std::min(2 * break_, kLongestBreak);
  }

  TimeNs limit_ = 0;
  std::size_t last_count_ = 0;
  bool pays_ = false;     ///< by the last trial
  bool resting_ = false;  ///< in this period
  bool trial_ = false;    ///< this period is one: it does not do what pays, for comparison with `usual_`
  Period usual_;          ///< the last one that was none
  TimeNs next_trial_ = 0;
  TimeNs break_ = kShortestBreak;
  // This period:
  TimeNs begin_ = 0;
  TimeNs cpu_ = 0;
  std::uint64_t frames_ = 0, rests_ = 0;
};

}  // namespace vswitch
