// SPDX-License-Identifier: Apache-2.0
// Takes the copies from the workers' queues, in the order in which the frames were received, and sends them
// (copy_sender.h).
//
// Next to a busy worker it gets a share of the processor (WorkSpec::mirror_share): production first, but never
// all of it. If it cannot keep up, the queues fill and workers count losses; a production frame never waits for
// anything here.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "datapath/base/counters.h"
#include "datapath/base/thread_annotations.h"
#include "datapath/engine/copy_queue.h"
#include "datapath/engine/copy_sender.h"
#include "datapath/engine/threads.h"
#include "datapath/fastpath/fast_path.h"

namespace vswitch {

struct MirrorThreadCounters {
  Counter wakeups;  ///< after it had slept
  Counter passes;   ///< with something to do
  Counter frames;   ///< taken from the queues, each with all its copies
};

class MirrorThread {
 public:
  /// Only this thread reads `queues`, which must outlive it, as must `published`: the snapshot in effect, which
  /// stays valid until drained() has reached the generation that replaced it.
  /// `fast_path` may be null.
  MirrorThread(SenderId sender, const std::atomic<const Snapshot*>& published, std::vector<CopyQueue*> queues,
               fastpath::FastPath* fast_path);
  MirrorThread(const MirrorThread&) = delete;
  MirrorThread& operator=(const MirrorThread&) = delete;
  ~MirrorThread();

  void start() REQUIRES(roles::control);
  /// A queue has something to read. Any thread.
  void wake();
  /// Everything in its queues has been sent. Any thread.
  bool is_idle() const;

  /// One pass over the queues. False if nothing is left to do. Without start(), any thread may take the role
  /// and call this.
  bool step() REQUIRES(roles::mirror);

  /// drained() becomes `generation` once everything that is in the queues now has been sent, regardless of
  /// what is queued later.
  void request_drain(std::uint64_t generation) REQUIRES(roles::control);
  std::uint64_t drained() const { return drained_.load(std::memory_order_acquire); }

  const MirrorThreadCounters& counters() const { return counters_; }
  /// Processor time of the thread, including the kernel's work for it.
  std::uint64_t cpu_ns() const { return cpu_time(thread_); }
  /// The thread, for processor placement.
  std::thread& thread() { return thread_; }

 private:
  void run();
  void take_share() REQUIRES(roles::mirror);
  void mark_queues() REQUIRES(roles::mirror);
  void report_drained() REQUIRES(roles::mirror);
  void report_sent() REQUIRES(roles::mirror);
  CopyQueue* next_queue() REQUIRES(roles::mirror);
  bool may_bring_older(std::size_t queue, TimeNs received) REQUIRES(roles::mirror);

  CopySender sender_ GUARDED_BY(roles::mirror);
  unsigned share_ GUARDED_BY(roles::mirror) = 0;  ///< WorkSpec::mirror_share in effect
  const std::atomic<const Snapshot*>& published_;
  const std::vector<CopyQueue*> queues_;
  fastpath::FastPath* const fast_path_;
  /// By queue: the position that must be released for generation marked_.
  std::vector<std::uint64_t> marks_ GUARDED_BY(roles::mirror);
  std::uint64_t marked_ GUARDED_BY(roles::mirror) = 0;
  /// By queue: its worker had no older frames in hand or waiting.
  std::vector<TimeNs> caught_up_ GUARDED_BY(roles::mirror);
  /// Records are pending, but a worker may still append an older one.
  bool held_back_ GUARDED_BY(roles::mirror) = false;

  MirrorThreadCounters counters_;
  std::atomic<std::uint32_t> signal_{0};
  std::atomic<std::uint64_t> drain_requested_{0};
  std::atomic<std::uint64_t> drained_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace vswitch
