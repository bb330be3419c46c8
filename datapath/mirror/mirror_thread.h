// SPDX-License-Identifier: Apache-2.0
// Sends the copies: takes them from the workers' queues in the order in which the frames were
// received, finishes checksums, writes each destination's tags
// and accounts for every one.
//
// It runs at a lower priority than the workers (production first). When it cannot keep up the queues fill and
// workers count losses; nothing here is ever waited for by a production frame.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "datapath/mirror/copy_queue.h"

namespace vswitch {

class MirrorThread {
 public:
  static constexpr int kNiceness = 10;

  /// `queues` are read by this thread alone and outlive it.
  MirrorThread(SenderId sender, std::vector<CopyQueue*> queues);
  MirrorThread(const MirrorThread&) = delete;
  MirrorThread& operator=(const MirrorThread&) = delete;
  ~MirrorThread();

  void start();
  /// Any thread: a queue has got something to read.
  void wake();

  /// One pass over the queues in the caller's thread, for tests without threads. False if there is nothing
  /// left to do.
  bool step();

  /// Control thread: drained() becomes `generation` once everything that is in the queues now has been sent,
  /// however much comes behind it.
  void request_drain(std::uint64_t generation);
  std::uint64_t drained() const { return drained_.load(std::memory_order_acquire); }

 private:
  /// What a copy is charged to its session, in the queue of the worker it came through.
  struct Charge {
    std::size_t worker;
    std::int64_t bytes;
  };
  struct PortBatch {
    const PortConfig* port = nullptr;
    std::vector<OutgoingFrame> frames;
    std::vector<const CopyTarget*> targets;  ///< of frames, one by one
    std::vector<Charge> charges;             ///< of frames, one by one
  };

  void run();
  void mark_queues();
  void report_drained();
  CopyQueue* next_queue();
  void add(const CopyRecord& record, std::size_t worker);
  void send_all();
  void account(const PortBatch& batch);

  const SenderId sender_;
  const std::vector<CopyQueue*> queues_;

  std::vector<PortBatch> batches_;  ///< by PortNo
  std::vector<std::size_t> dirty_;  ///< positions in batches_ that hold frames
  std::vector<std::array<std::uint8_t, kMaxHeaderLength>> headers_;
  std::size_t headers_used_ = 0;
  std::vector<std::uint64_t> marks_;  ///< by queue: the position that must be released for generation marked_
  std::uint64_t marked_ = 0;
  bool held_back_ = false;  ///< there are records, but an older one may still come from a worker in mid-batch

  std::atomic<std::uint32_t> signal_{0};
  std::atomic<std::uint64_t> drain_requested_{0};
  std::atomic<std::uint64_t> drained_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace vswitch
