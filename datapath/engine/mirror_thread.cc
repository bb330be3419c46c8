// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/mirror_thread.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "datapath/base/steady_clock.h"

namespace vswitch {

namespace {
constexpr std::size_t kRecordsPerPass = 64;  // before their memory goes back to the workers

/// How long a copy waits for a worker that is behind. One that another process keeps off its processor is
/// back after some milliseconds.
constexpr TimeNs kPatience = 20 * (kSecondNs / 1000);
constexpr std::chrono::microseconds kPause{20};  // before looking at that worker again

}  // namespace

MirrorThread::MirrorThread(SenderId sender, const std::atomic<const Snapshot*>& published,
                           std::vector<CopyQueue*> queues, fastpath::FastPath* fast_path)
    : sender_(sender),
      published_(published),
      queues_(std::move(queues)),
      fast_path_(fast_path),
      marks_(queues_.size()),
      caught_up_(queues_.size()) {}

MirrorThread::~MirrorThread() {
  stopping_.store(true, std::memory_order_release);
  wake();
  if (thread_.joinable()) thread_.join();
}

void MirrorThread::start() {
  thread_ = std::thread([this] { run(); });
}

bool MirrorThread::is_idle() const {
  return std::all_of(queues_.begin(), queues_.end(),
                     [](const CopyQueue* queue) { return queue->used() == 0; });
}

void MirrorThread::wake() {
  signal_.fetch_add(1, std::memory_order_release);
  signal_.notify_one();
}

void MirrorThread::run() {
  const RoleScope role(roles::mirror);
  pthread_setname_np(pthread_self(), "mirror");
  for (;;) {
    const std::uint32_t signal = signal_.load(std::memory_order_acquire);
    const bool stopping = stopping_.load(std::memory_order_acquire);
    take_share();
    if (step()) continue;
    if (stopping) return;
    signal_.wait(signal, std::memory_order_acquire);
    counters_.wakeups.add();
  }
}

/// Refused (without CAP_SYS_NICE a share cannot grow): the thread goes on as it is.
void MirrorThread::take_share() {
  const unsigned share = published_.load(std::memory_order_acquire)->work.mirror_share;
  if (std::exchange(share_, share) != share)
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), niceness_for(share));
}

bool MirrorThread::step() {
  mark_queues();
  sender_.begin(
      published_.load(std::memory_order_acquire)->own_copies);  // after mark_queues(): see `published`
  held_back_ = false;
  std::size_t taken = 0;
  for (; taken < kRecordsPerPass; ++taken) {
    CopyQueue* queue = next_queue();
    if (queue == nullptr) break;
    sender_.add(*queue->take(), queue->worker());
  }
  if (taken != 0) {
    counters_.passes.add();
    counters_.frames.add(taken);
    sender_.send_all();
    for (CopyQueue* queue : queues_) queue->release();
  } else if (held_back_) {
    std::this_thread::sleep_for(kPause);
  }
  report_drained();
  if (fast_path_ != nullptr) report_sent();
  return taken != 0 || held_back_ || drained() != drain_requested_.load(std::memory_order_acquire);
}

/// The queue whose next record was received first. A reply never overtakes its request in a capture: while
/// another worker has frames that may have arrived earlier, the record waits.
CopyQueue* MirrorThread::next_queue() {
  std::size_t first = queues_.size();
  TimeNs first_received = CopyQueue::kNotWriting;
  for (std::size_t q = 0; q < queues_.size(); ++q) {
    const auto received = queues_[q]->next_received();
    if (!received || *received >= first_received) continue;
    first = q;
    first_received = *received;
  }
  held_back_ = false;
  if (first == queues_.size()) return nullptr;
  for (std::size_t q = 0; q < queues_.size() && !held_back_; ++q)
    held_back_ = q != first && may_bring_older(q, first_received);
  return held_back_ ? nullptr : queues_[first];
}

/// In this order: a frame waits at a port until a batch has begun, and is in the queue when the batch ends.
bool MirrorThread::may_bring_older(std::size_t queue, TimeNs received) {
  CopyQueue& other = *queues_[queue];
  if (const auto next = other.next_received()) return *next < received;
  if (caught_up_[queue] < received) {
    const TimeNs now = steady_now();
    const TimeNs handled_until = other.handled_until();
    const bool handled = handled_until >= received;
    const bool behind = !handled && other.is_behind();
    if (!handled && other.writing_since() < received) return true;
    if (behind && now - received < kPatience) return true;
    if (!behind) caught_up_[queue] = handled ? handled_until : now;
  }
  const auto next = other.next_received();
  return next && *next < received;
}

void MirrorThread::request_drain(std::uint64_t generation) {
  drain_requested_.store(generation, std::memory_order_release);
  wake();
}

/// Accepts a request to drain, unless the previous one is still in progress.
void MirrorThread::mark_queues() {
  const std::uint64_t requested = drain_requested_.load(std::memory_order_acquire);
  if (marked_ == requested || marked_ != drained()) return;
  for (std::size_t q = 0; q < queues_.size(); ++q) marks_[q] = queues_[q]->written();
  marked_ = requested;
}

void MirrorThread::report_drained() {
  if (marked_ == drained()) return;
  for (std::size_t q = 0; q < queues_.size(); ++q) {
    if (queues_[q]->released() < marks_[q]) return;
  }
  drained_.store(marked_, std::memory_order_release);
}

/// Tells the fast path up to when all copies have been sent.
void MirrorThread::report_sent() {
  for (CopyQueue* queue : queues_) {
    const TimeNs now = steady_now();  // read before the queue is
    if (!queue->next_received()) fast_path_->copies_sent(queue->worker(), now);
  }
}

}  // namespace vswitch
