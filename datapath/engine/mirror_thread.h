// SPDX-License-Identifier: Apache-2.0
// Sends the copies: takes them from the workers' queues in the order in which the frames were received,
// finishes checksums, writes each destination's tags, segments or truncates, encapsulates, and accounts for
// every copy.
//
// It runs at a lower priority than the workers (production first). If it cannot keep up, the queues fill and
// workers count losses; a production frame never waits for anything here.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <thread>
#include <unordered_map>
#include <vector>

#include "datapath/base/counters.h"
#include "datapath/base/thread_annotations.h"
#include "datapath/engine/copy_queue.h"
#include "datapath/engine/threads.h"
#include "datapath/tunnel/pieces.h"

namespace vswitch {

struct MirrorThreadCounters {
  Counter wakeups;  ///< after it had slept
  Counter passes;   ///< with something to do
  Counter frames;   ///< taken from the queues, each with all its copies
};

class MirrorThread {
 public:
  /// Next to a busy worker on the same processor it gets one fiftieth of it (sched(7), "The nice value").
  static constexpr int kNiceness = 17;

  /// Only this thread reads `queues`, which must outlive it, as must `published`: the snapshot in effect, which
  /// stays valid until drained() has reached the generation that replaced it.
  MirrorThread(SenderId sender, const std::atomic<const Snapshot*>& published,
               std::vector<CopyQueue*> queues);
  MirrorThread(const MirrorThread&) = delete;
  MirrorThread& operator=(const MirrorThread&) = delete;
  ~MirrorThread();

  void start() REQUIRES(roles::control);
  /// A queue has something to read. Any thread.
  void wake();

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
  /// The charge of a copy to its session, in the queue of the worker it came through.
  struct Charge {
    std::size_t worker;
    std::int64_t bytes;
  };
  /// A copy that is pending in a batch, as one or more pieces.
  struct Waiting {
    const CopyTarget* target;
    Charge charge;
    std::size_t pieces;
    DropReason lost;  ///< not none: it is already lost
    TimeNs received;
  };
  /// Copies that are sent together, by one device or to one endpoint.
  struct Batch {
    const PortConfig* port = nullptr;
    tunnel::TunnelEndpoint* endpoint = nullptr;
    tunnel::Pieces pieces;
    std::vector<Waiting> copies;
  };

  void run();
  void mark_queues() REQUIRES(roles::mirror);
  void report_drained() REQUIRES(roles::mirror);
  CopyQueue* next_queue() REQUIRES(roles::mirror);
  bool may_bring_older(std::size_t queue, TimeNs received) REQUIRES(roles::mirror);
  void add(const CopyRecord& record, std::size_t worker) REQUIRES(roles::mirror);
  Batch& batch_for(const CopyTarget& target) REQUIRES(roles::mirror);
  DropReason add_pieces(Batch& batch, const CopyRecord& record, const CopyTarget& target,
                        const Offload& offload) REQUIRES(roles::mirror);
  void send_all() REQUIRES(roles::mirror);
  void account(const Batch& batch, const Waiting& copy, std::span<const OutgoingFrame> pieces);

  const SenderId sender_;
  const std::atomic<const Snapshot*>& published_;
  const std::vector<CopyQueue*> queues_;
  const tunnel::OwnCopies* own_copies_ = nullptr;  ///< of the snapshot in effect; valid during a pass

  std::deque<Batch> port_batches_ GUARDED_BY(roles::mirror);  ///< by PortNo
  std::unordered_map<const tunnel::TunnelEndpoint*, Batch> endpoint_batches_ GUARDED_BY(roles::mirror);
  std::vector<Batch*> dirty_ GUARDED_BY(roles::mirror);  ///< those that hold copies
  std::size_t pieces_waiting_ GUARDED_BY(roles::mirror) = 0;
  /// Added to a time of reception gives the time since 1970.
  TimeNs unix_offset_ GUARDED_BY(roles::mirror) = 0;
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
