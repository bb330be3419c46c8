// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/recorder.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "schemas/capture_record.h"

namespace vswitch::bridge {

namespace {

/// A frame in the ring: this, the name of its port, its bytes, and up to 7 bytes of nothing.
struct StoredRecord {
  TimeNs added;  ///< steady time, which nobody sets back
  CaptureRecord record;

  std::size_t payload() const { return std::size_t{record.name_length} + record.captured; }
};
static_assert(sizeof(StoredRecord) == 32);

constexpr std::size_t kFramesAtATime = 32;  // while the lock is held

std::size_t stored_bytes(std::size_t payload) {
  return (sizeof(StoredRecord) + payload + 7) / 8 * 8;
}

StoredRecord record_at(const std::byte* at) {
  StoredRecord record;
  std::memcpy(&record, at, sizeof record);
  return record;
}

std::byte* map_memory(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  ::madvise(memory, bytes, MADV_HUGEPAGE);  // fewer faults while it is filled, and a quick end
  ::madvise(memory, bytes, MADV_DONTDUMP);  // frames of others are no part of a bug report
  return static_cast<std::byte*>(memory);
}

}  // namespace

Recorder::Recorder(const RecordSpec& spec, TimeNs (*clock)())
    : clock_(clock),
      count_(std::max<std::size_t>(spec.bytes / kSegmentBytes, 2)),
      memory_(map_memory(count_ * kSegmentBytes)),
      age_(spec.age),
      segments_(count_) {}

Recorder::~Recorder() {
  ::munmap(memory_, count_ * kSegmentBytes);
}

void Recorder::send(std::span<const CapturedFrame> frames) {
  while (!frames.empty()) {
    const auto some = frames.first(std::min(frames.size(), kFramesAtATime));
    const MutexLock lock(mutex_);
    const TimeNs now = clock_();
    expire(now);
    for (const CapturedFrame& frame : some) {
      add(frame, now);
      frame.frame->outcome = DropReason::none;
    }
    frames = frames.subspan(some.size());
  }
}

void Recorder::add(const CapturedFrame& frame, TimeNs now) {
  const std::string_view name = frame.port.substr(0, kMaxName);
  const std::size_t longest = kCaptureMessageBytes - sizeof(CaptureRecord) - name.size();
  const OutgoingFrame& bytes = *frame.frame;
  const std::size_t captured = std::min({bytes.length(), std::size_t{frame.snaplen}, longest});
  const std::size_t size = stored_bytes(name.size() + captured);
  if (segment(current_).end + size > kSegmentBytes) {
    if (current_ + 1 - oldest_ == count_) drop_oldest_segment();
    segment(++current_) = {};
  }
  Segment& to = segment(current_);
  const StoredRecord stored{
      .added = now,
      .record = {.unix_time_ns = frame.unix_time_ns,
                 .captured = static_cast<std::uint32_t>(captured),
                 .length = static_cast<std::uint32_t>(bytes.length()),
                 .name_length = static_cast<std::uint16_t>(name.size()),
                 .direction = frame.delivered ? CaptureRecord::kToPort : CaptureRecord::kFromPort,
                 .reserved = {}}};
  std::byte* at = memory_of(current_) + to.end;
  std::memcpy(at, &stored, sizeof stored);
  at += sizeof stored;
  std::memcpy(at, name.data(), name.size());
  at += name.size();
  const std::size_t header = std::min(bytes.header.size(), captured);
  if (header != 0) std::memcpy(at, bytes.header.data(), header);
  if (captured != header) std::memcpy(at + header, bytes.payload.data(), captured - header);
  to.end += size;
  to.last = now;
  ++to.frames;
  to.bytes += captured;
  ++frames_;
  bytes_ += captured;
  newest_ = frame.unix_time_ns;
}

void Recorder::drop_oldest_segment() {
  const Segment& gone = segment(oldest_);
  frames_ -= gone.frames;
  bytes_ -= gone.bytes;
  evicted_ += gone.frames;
  ++oldest_;
}

void Recorder::drop_first_frame(Segment& of, const std::byte* memory) {
  const StoredRecord first = record_at(memory + of.begin);
  of.begin += stored_bytes(first.payload());
  --of.frames;
  of.bytes -= first.record.captured;
  --frames_;
  bytes_ -= first.record.captured;
}

/// The frames of a segment are looked at only while it is the oldest, and each of them once more than it leaves.
void Recorder::expire(TimeNs now) {
  if (age_ == 0 || dumps_ != 0) return;
  const TimeNs limit = now - age_;
  while (oldest_ != current_ && segment(oldest_).last < limit) drop_oldest_segment();
  Segment& first = segment(oldest_);
  const std::byte* memory = memory_of(oldest_);
  while (first.begin != first.end && record_at(memory + first.begin).added < limit) {
    drop_first_frame(first, memory);
    ++evicted_;
  }
}

void Recorder::set_age(TimeNs age) {
  const MutexLock lock(mutex_);
  age_ = age;
  expire(clock_());
}

Recording Recorder::held() {
  Recording state{.frames = frames_,
                  .bytes = bytes_,
                  .evicted = evicted_,
                  .capacity = count_ * kSegmentBytes,
                  .age = age_,
                  .oldest = std::nullopt,
                  .newest = std::nullopt};
  if (frames_ == 0) return state;
  std::uint64_t at = oldest_;
  while (segment(at).begin == segment(at).end) ++at;  // a dump may have taken all of the oldest
  state.oldest = record_at(memory_of(at) + segment(at).begin).record.unix_time_ns;
  state.newest = newest_;
  return state;
}

Recording Recorder::state() {
  const MutexLock lock(mutex_);
  expire(clock_());
  return held();
}

Recorder::Dump Recorder::begin_dump() {
  const MutexLock lock(mutex_);
  expire(clock_());
  ++dumps_;
  return {.held = held(), .at = {oldest_, 0}, .end = {current_, segment(current_).end}};
}

bool Recorder::read(Dump& dump, std::size_t room, std::vector<std::byte>& out) {
  const std::size_t full = out.size() + room;
  const MutexLock lock(mutex_);
  Place& at = dump.at;
  if (at.segment < oldest_) at = {oldest_, 0};
  while (at.segment <= dump.end.segment) {
    const Segment& in = segment(at.segment);
    at.offset = std::max(at.offset, in.begin);
    if (at.offset >= (at.segment == dump.end.segment ? dump.end.offset : in.end)) {
      at = {at.segment + 1, 0};
      continue;
    }
    const std::byte* stored = memory_of(at.segment) + at.offset;
    const StoredRecord record = record_at(stored);
    const std::size_t size = sizeof record.record + record.payload();
    if (out.size() + size > full) return true;
    const std::byte* from = stored + offsetof(StoredRecord, record);
    out.insert(out.end(), from, from + size);
    at.offset += stored_bytes(record.payload());
  }
  return false;
}

void Recorder::end_dump(const Dump& dump, bool forgets) {
  const MutexLock lock(mutex_);
  --dumps_;
  if (forgets) forget(dump.end);
}

/// They are in a dump, so they do not count as evicted.
void Recorder::forget(const Place& end) {
  const std::uint64_t before = evicted_;
  while (oldest_ < end.segment) drop_oldest_segment();
  if (oldest_ == end.segment) {
    Segment& first = segment(oldest_);
    while (first.begin < end.offset) drop_first_frame(first, memory_of(oldest_));
  }
  evicted_ = before;
}

}  // namespace vswitch::bridge
