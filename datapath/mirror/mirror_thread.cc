// SPDX-License-Identifier: Apache-2.0
#include "datapath/mirror/mirror_thread.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "datapath/frame/checksum.h"

namespace vswitch {

namespace {
constexpr std::size_t kRecordsPerPass = 64;  // before their memory goes back to the workers
constexpr std::size_t kMaxHeaders = 4096;    // copies sent together

/// A copy of at most `snaplen` bytes, tags included. What the sender left to the device needs the whole
/// frame, so it stays undone in what is left: the checksum of a cut super-frame.
OutgoingFrame cut(OutgoingFrame copy, std::size_t snaplen) {
  if (copy.length() <= snaplen) return copy;
  copy.header = copy.header.first(std::min(copy.header.size(), snaplen));
  copy.payload = copy.payload.first(snaplen - copy.header.size());
  copy.offload = {};
  return copy;
}
}  // namespace

MirrorThread::MirrorThread(SenderId sender, std::vector<CopyQueue*> queues)
    : sender_(sender), queues_(std::move(queues)), headers_(kMaxHeaders), marks_(queues_.size()) {}

MirrorThread::~MirrorThread() {
  stopping_.store(true, std::memory_order_release);
  wake();
  if (thread_.joinable()) thread_.join();
}

void MirrorThread::start() {
  thread_ = std::thread([this] { run(); });
}

void MirrorThread::wake() {
  signal_.fetch_add(1, std::memory_order_release);
  signal_.notify_one();
}

void MirrorThread::run() {
  pthread_setname_np(pthread_self(), "mirror");
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()),
              kNiceness);  // refused: the thread runs at the normal priority
  for (;;) {
    const std::uint32_t signal = signal_.load(std::memory_order_acquire);
    const bool stopping = stopping_.load(std::memory_order_acquire);
    if (step()) continue;
    if (stopping) return;
    signal_.wait(signal, std::memory_order_acquire);
  }
}

bool MirrorThread::step() {
  mark_queues();
  held_back_ = false;
  std::size_t taken = 0;
  for (; taken < kRecordsPerPass; ++taken) {
    CopyQueue* queue = next_queue();
    if (queue == nullptr) break;
    add(*queue->take(), queue->worker());
  }
  if (taken != 0) {
    send_all();
    for (CopyQueue* queue : queues_) queue->release();
  } else if (held_back_) {
    std::this_thread::yield();
  }
  report_drained();
  return taken != 0 || held_back_ || drained() != drain_requested_.load(std::memory_order_acquire);
}

/// The queue whose next record was received first. A reply never overtakes its request in a capture: while a
/// worker is in the middle of a batch that began earlier, and has not queued its copies yet, the others'
/// records wait.
CopyQueue* MirrorThread::next_queue() {
  CopyQueue* first = nullptr;
  TimeNs first_received = CopyQueue::kNotWriting;
  TimeNs may_still_come = CopyQueue::kNotWriting;
  for (CopyQueue* queue : queues_) {
    const TimeNs since = queue->writing_since();  // asked before the queue is looked into
    const auto received = queue->next_received();
    if (!received) {
      may_still_come = std::min(may_still_come, since);
    } else if (first == nullptr || *received < first_received) {
      first = queue;
      first_received = *received;
    }
  }
  held_back_ = first != nullptr && may_still_come < first_received;
  return held_back_ ? nullptr : first;
}

void MirrorThread::request_drain(std::uint64_t generation) {
  drain_requested_.store(generation, std::memory_order_release);
  wake();
}

/// Takes up a request to drain, unless the one before is still under way.
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

void MirrorThread::add(const CopyRecord& record, std::size_t worker) {
  Offload offload = record.offload;
  complete_checksum(record.payload, offload);
  for (const CopyTarget& target : record.targets) {
    if (headers_used_ == headers_.size()) send_all();
    const std::size_t at = index(target.port->number);
    if (batches_.size() <= at) batches_.resize(at + 1);
    PortBatch& batch = batches_[at];
    if (batch.port != target.port && !batch.frames.empty())
      send_all();  // the same port before and after a change of settings
    if (batch.frames.empty()) dirty_.push_back(at);
    batch.port = target.port;

    auto& header = headers_[headers_used_++];
    const std::size_t length = write_header(record.dst, record.src, target.tags, header);
    batch.frames.push_back(
        cut(outgoing({header.data(), length}, record.payload, offload), target.session->snaplen));
    batch.targets.push_back(&target);
    batch.charges.push_back({worker, CopyQueue::cost(record.payload.size())});
  }
}

void MirrorThread::send_all() {
  for (const std::size_t at : dirty_) {
    PortBatch& batch = batches_[at];
    batch.port->device->send(sender_, batch.frames);
    account(batch);
    batch.frames.clear();
    batch.targets.clear();
    batch.charges.clear();
  }
  dirty_.clear();
  headers_used_ = 0;
}

void MirrorThread::account(const PortBatch& batch) {
  PortCell& port = batch.port->counters->of(sender_);
  for (std::size_t i = 0; i < batch.frames.size(); ++i) {
    const OutgoingFrame& frame = batch.frames[i];
    const CopyTarget& target = *batch.targets[i];
    DestinationCell& destination = target.session->destinations[target.destination].counters->of(sender_);
    if (frame.outcome == DropReason::none) {
      destination.delivered.add();
      destination.delivered_bytes.add(frame.length());
      port.sent_frames.add();
      port.sent_bytes.add(frame.length());
      port.copies_sent.add();
    } else {
      destination.lost[static_cast<std::size_t>(frame.outcome)].add();
    }
    target.session->queued_bytes->of(batch.charges[i].worker)
        .fetch_sub(batch.charges[i].bytes, std::memory_order_relaxed);
  }
}

}  // namespace vswitch
