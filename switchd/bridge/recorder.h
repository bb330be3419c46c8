// SPDX-License-Identifier: Apache-2.0
// A flight recorder: the last frames of a session, in memory, until somebody asks for them.
//
// The memory is a ring of segments, which are filled one after the other; a frame does not cross their borders. If all
// are full, the oldest one is forgotten as a whole, so that nothing is searched or moved for a frame. It is mapped at
// once, and the system gives pages as the ring is filled for the first time. Whatever holds the lock copies some tens
// of KiB: threads that make copies do not wait for a dump.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "datapath/base/steady_clock.h"
#include "datapath/base/thread_annotations.h"
#include "datapath/mirror/capture_sink.h"
#include "switchd/bridge/recording.h"

namespace vswitch::bridge {

/// What a recorder keeps: so much memory of it, and for so long.
struct RecordSpec {
  std::size_t bytes = 0;  ///< of memory; 0: the session does not record
  TimeNs age = 0;         ///< of a frame, at most; 0: any

  bool operator==(const RecordSpec&) const = default;
};

class Recorder final : public CaptureSink {
 public:
  static constexpr std::size_t kSegmentBytes = std::size_t{64} << 10;
  static constexpr std::size_t kMaxName = 255;

  /// A place between two frames.
  struct Place {
    std::uint64_t segment = 0;  ///< counted from the first one that was ever filled
    std::size_t offset = 0;
  };

  /// Throws std::bad_alloc if there is no such memory. `clock`: steady time, for tests.
  explicit Recorder(const RecordSpec& spec, TimeNs (*clock)() = steady_now);
  ~Recorder() override;

  /// Keeps each frame, or the beginning of it that a message of schemas/capture_record.h has room for. Always succeeds.
  void send(std::span<const CapturedFrame> frames) override EXCLUDES(mutex_);
  const char* kind() const override { return kRecord; }

  /// From now on. The frames that are too old by it are forgotten.
  void set_age(TimeNs age) EXCLUDES(mutex_);
  Recording state() EXCLUDES(mutex_);

  /// What a dump is to have: the frames held now. No frame becomes too old before end_dump().
  struct Dump {
    Recording held;
    Place at;   ///< behind the frames that have been read
    Place end;  ///< behind the last frame
  };
  Dump begin_dump() EXCLUDES(mutex_);
  /// Appends records, as a client gets them, to `out`, as many as `room` bytes hold: kCaptureMessageBytes hold one in any
  /// case. Those that have been overwritten meanwhile are left out. False if there are no more.
  bool read(Dump& dump, std::size_t room, std::vector<std::byte>& out) EXCLUDES(mutex_);
  /// With `forgets`, the frames that were held when it began are forgotten.
  void end_dump(const Dump& dump, bool forgets) EXCLUDES(mutex_);

 private:
  struct Segment {
    std::size_t begin = 0, end = 0;  ///< the records in it
    std::uint64_t frames = 0, bytes = 0;
    TimeNs last = 0;  ///< steady time at which the newest was added
  };

  Segment& segment(std::uint64_t number) REQUIRES(mutex_) { return segments_[number % segments_.size()]; }
  std::byte* memory_of(std::uint64_t number) const { return memory_ + number % count_ * kSegmentBytes; }
  void add(const CapturedFrame& frame, TimeNs now) REQUIRES(mutex_);
  void drop_oldest_segment() REQUIRES(mutex_);
  void drop_first_frame(Segment& of, const std::byte* memory) REQUIRES(mutex_);
  void forget(const Place& end) REQUIRES(mutex_);
  void expire(TimeNs now) REQUIRES(mutex_);
  Recording held() REQUIRES(mutex_);

  TimeNs (*const clock_)();
  const std::size_t count_;  ///< of segments
  std::byte* const memory_;

  Mutex mutex_;
  TimeNs age_ GUARDED_BY(mutex_);
  std::vector<Segment> segments_ GUARDED_BY(mutex_);
  std::uint64_t oldest_ GUARDED_BY(mutex_) = 0;   ///< segment
  std::uint64_t current_ GUARDED_BY(mutex_) = 0;  ///< segment that is filled
  std::uint64_t frames_ GUARDED_BY(mutex_) = 0, bytes_ GUARDED_BY(mutex_) = 0,
                        evicted_ GUARDED_BY(mutex_) = 0;
  TimeNs newest_ GUARDED_BY(mutex_) = 0;      ///< unix time
  std::size_t dumps_ GUARDED_BY(mutex_) = 0;  ///< that have begun and not ended
};

}  // namespace vswitch::bridge
