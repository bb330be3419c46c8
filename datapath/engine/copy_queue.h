// SPDX-License-Identifier: Apache-2.0
// The border between production and mirroring: a bounded queue of frames to copy, one per worker.
//
// The worker writes a record (the frame's bytes once, and all its copies) after its production frames have
// been sent; a mirror thread reads it. One writer, one reader, no lock: if there is no room, the worker
// counts the loss and goes on. Records are contiguous in a ring of bytes and never split, so the reader can
// finish checksums in place and send straight from the ring.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>

#include "datapath/base/thread_annotations.h"
#include "datapath/frame/frame.h"
#include "datapath/pipeline/verdict.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

/// One copy to make. For a copy beyond a patch port, `port` is the port where it leaves, in whatever bridge.
/// The pointers belong to the snapshot of the worker's decision; Datapath keeps it until the queues have been
/// drained.
struct CopyTarget {
  const CompiledSession* session;
  const PortConfig* port;     ///< null: the destination is an endpoint or a capture
  std::uint32_t destination;  ///< position in session->destinations
  TagList tags;
  CopyOrigin origin = {};
  std::uint32_t snaplen = kWholeFrame;  ///< maximum length in bytes, tags included
};

/// A frame and its copies to make.
struct CopyRecord {
  TimeNs received = 0;
  MacAddr dst;
  MacAddr src;
  Offload offload;
  std::span<CopyTarget> targets;
  std::span<std::uint8_t> payload;
};

class CopyQueue {
 public:
  static constexpr TimeNs kNotWriting = std::numeric_limits<TimeNs>::max();

  /// `capacity` in bytes is rounded up to a power of two. `worker` is the number of the writer.
  explicit CopyQueue(std::size_t capacity, std::size_t worker = 0);
  CopyQueue(const CopyQueue&) = delete;
  CopyQueue& operator=(const CopyQueue&) = delete;

  // The writer:
  /// Between begin() and end() it may append frames received at `since` or later.
  void begin(TimeNs since) REQUIRES(roles::worker) { writing_since_.store(since, std::memory_order_seq_cst); }
  void end() REQUIRES(roles::worker) { writing_since_.store(kNotWriting, std::memory_order_release); }
  /// All frames that arrived before this time are in the queue, or are not copied.
  void set_handled(TimeNs until) REQUIRES(roles::worker) {
    handled_until_.store(until, std::memory_order_release);
  }
  /// It has frames that it has taken from its ports and not handled yet, although it is not writing.
  void set_behind(bool behind) REQUIRES(roles::worker) { behind_.store(behind, std::memory_order_seq_cst); }
  /// `descriptor` is readable (poll(2)) while frames wait at the writer's ports. Before the threads start.
  void watch(int descriptor) { descriptor_ = descriptor; }
  /// Appends a frame, or returns false if there is no room.
  bool push(const Frame& frame, TimeNs received, std::span<const CopyTarget> targets) REQUIRES(roles::worker);

  // The reader:
  /// Frames received before this time are either in the queue already, when it is read afterwards, or
  /// will not be appended. kNotWriting: the same for every frame received so far.
  TimeNs writing_since() const REQUIRES(roles::mirror) {
    return writing_since_.load(std::memory_order_seq_cst);
  }
  TimeNs handled_until() const REQUIRES(roles::mirror) {
    return handled_until_.load(std::memory_order_acquire);
  }
  /// Frames have arrived that the writer has not handled yet, as far as is known.
  bool is_behind() const REQUIRES(roles::mirror);
  /// The time of reception of the frame that take() would return, or nullopt.
  std::optional<TimeNs> next_received() REQUIRES(roles::mirror);
  /// The oldest record that has not been taken, or nullopt. It stays valid until release().
  std::optional<CopyRecord> take() REQUIRES(roles::mirror);
  /// Returns the memory of all records taken so far to the writer.
  void release() REQUIRES(roles::mirror);

  // Any thread:
  /// Positions in the stream of bytes since the start: everything written before `written()` was read has
  /// been released when `released()` reaches that value.
  std::uint64_t written() const { return written_.load(std::memory_order_acquire); }
  std::uint64_t released() const { return released_.load(std::memory_order_acquire); }

  /// The charge of one copy to its session: the bytes of a record with one target.
  static std::int64_t cost(std::size_t payload) { return static_cast<std::int64_t>(record_size(1, payload)); }

  std::size_t worker() const { return worker_; }
  std::size_t capacity() const { return size_; }
  /// Bytes in use at the moment, record headers included.
  std::size_t used() const;

 private:
  struct RecordHeader;
  static std::size_t record_size(std::size_t targets, std::size_t payload);
  RecordHeader& header_at(std::uint64_t position);
  RecordHeader* next_record() REQUIRES(roles::mirror);

  struct FreeDeleter {
    void operator()(std::byte* memory) const;
  };
  const std::size_t size_;
  const std::size_t worker_;
  std::unique_ptr<std::byte[], FreeDeleter> memory_;
  // Positions count bytes since the start and never decrease; position % size_ is the offset in memory_.
  alignas(64) std::atomic<std::uint64_t> written_{0};
  std::atomic<TimeNs> writing_since_{kNotWriting};
  std::atomic<TimeNs> handled_until_{0};
  std::atomic<bool> behind_{false};
  int descriptor_ = -1;
  std::uint64_t free_until_ GUARDED_BY(roles::worker) = 0;  ///< writer's last look at released_, plus size_
  alignas(64) std::atomic<std::uint64_t> released_{0};
  std::uint64_t taken_ GUARDED_BY(roles::mirror) = 0;  ///< reader's position
};

}  // namespace vswitch
