// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/mirror_thread.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <thread>

#include "datapath/frame/checksum.h"

namespace vswitch {

namespace {
constexpr std::size_t kRecordsPerPass = 64;  // before their memory goes back to the workers
constexpr std::size_t kMaxPieces = 4096;     // sent together, or those of one copy
constexpr std::size_t kMaxEndpoints = 8192;  // remembered, past and present

/// How long a copy waits for a worker that is behind. One that another process keeps off its processor is
/// back after some milliseconds.
constexpr TimeNs kPatience = 20 * (kSecondNs / 1000);
constexpr std::chrono::microseconds kPause{20};  // before looking at that worker again

TimeNs steady_time() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecondNs + time.tv_nsec;
}

/// Frames carry steady time, capture formats the time since 1970.
TimeNs unix_offset() {
  const auto now = [](clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<TimeNs>(time.tv_sec) * kSecondNs + time.tv_nsec;
  };
  return now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC);
}

/// Those who read a port that carries only copies are sensors: they expect frames as on a wire.
bool segments_gso(const CompiledSession& session, const PortConfig* port,
                  const tunnel::TunnelEndpoint* endpoint) {
  if (session.gso_packets == GsoPackets::by_destination) return endpoint != nullptr || port->only_copies;
  return session.gso_packets == GsoPackets::segment;
}

}  // namespace

MirrorThread::MirrorThread(SenderId sender, const std::atomic<const Snapshot*>& published,
                           std::vector<CopyQueue*> queues)
    : sender_(sender),
      published_(published),
      queues_(std::move(queues)),
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

void MirrorThread::wake() {
  signal_.fetch_add(1, std::memory_order_release);
  signal_.notify_one();
}

void MirrorThread::run() {
  const RoleScope role(roles::mirror);
  pthread_setname_np(pthread_self(), "mirror");
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()),
              kNiceness);  // refused: the thread runs at the normal priority
  for (;;) {
    const std::uint32_t signal = signal_.load(std::memory_order_acquire);
    const bool stopping = stopping_.load(std::memory_order_acquire);
    if (step()) continue;
    if (stopping) return;
    signal_.wait(signal, std::memory_order_acquire);
    counters_.wakeups.add();
  }
}

bool MirrorThread::step() {
  mark_queues();
  own_copies_ =
      &published_.load(std::memory_order_acquire)->own_copies;  // after mark_queues(): see `published`
  held_back_ = false;
  unix_offset_ = unix_offset();
  std::size_t taken = 0;
  for (; taken < kRecordsPerPass; ++taken) {
    CopyQueue* queue = next_queue();
    if (queue == nullptr) break;
    add(*queue->take(), queue->worker());
  }
  if (taken != 0) {
    counters_.passes.add();
    counters_.frames.add(taken);
    send_all();
    for (CopyQueue* queue : queues_) queue->release();
    if (endpoint_batches_.size() > kMaxEndpoints) endpoint_batches_.clear();
  } else if (held_back_) {
    std::this_thread::sleep_for(kPause);
  }
  report_drained();
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
    const TimeNs now = steady_time();
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

void MirrorThread::add(const CopyRecord& record, std::size_t worker) {
  Offload offload = record.offload;
  complete_checksum(record.payload, offload);
  for (const CopyTarget& target : record.targets) {
    if (pieces_waiting_ >= kMaxPieces) send_all();
    Batch& batch = batch_for(target);
    const std::size_t before = batch.pieces.size();
    const DropReason lost = add_pieces(batch, record, target, offload);
    const std::size_t pieces = batch.pieces.size() - before;
    pieces_waiting_ += pieces;
    batch.copies.push_back({.target = &target,
                            .charge = {worker, CopyQueue::cost(record.payload.size())},
                            .pieces = pieces,
                            .lost = lost,
                            .received = record.received});
  }
}

MirrorThread::Batch& MirrorThread::batch_for(const CopyTarget& target) {
  tunnel::TunnelEndpoint* endpoint = target.session->destinations[target.destination].endpoint.get();
  if (endpoint == nullptr && port_batches_.size() <= index(target.port->number))
    port_batches_.resize(index(target.port->number) + 1);
  Batch& batch =
      endpoint == nullptr ? port_batches_[index(target.port->number)] : endpoint_batches_[endpoint];
  if (batch.port != target.port && !batch.copies.empty())
    send_all();  // the same port before and after a change of settings
  if (batch.copies.empty()) dirty_.push_back(&batch);
  batch.port = target.port;
  batch.endpoint = endpoint;
  return batch;
}

/// The payload, and everything else shared with other copies, is not modified.
DropReason MirrorThread::add_pieces(Batch& batch, const CopyRecord& record, const CopyTarget& target,
                                    const Offload& offload) {
  const CompiledSession& session = *target.session;
  if (batch.endpoint != nullptr && own_copies_->contains(record.payload)) return DropReason::own_copy;
  if (target.port != nullptr && target.port->endpoint != nullptr &&
      target.port->own_packets.contains(record.payload))
    return DropReason::own_copy;
  std::array<std::uint8_t, kMaxHeaderLength> header;
  const std::size_t length = write_header(record.dst, record.src, target.tags, header);
  const OutgoingFrame frame = outgoing({header.data(), length}, record.payload, offload);
  tunnel::Pieces::Shape shape{.segment_gso = segments_gso(session, batch.port, batch.endpoint),
                              .snaplen = target.snaplen,
                              .endpoint = batch.endpoint,
                              .mtu_policy = session.mtu_policy,
                              .facts = {.tag = target.origin.tag,
                                        .tag_removed = session.tags.strip_vlan,
                                        .delivered = target.origin.delivered,
                                        .unix_time_ns = record.received + unix_offset_}};
  const DropReason lost = batch.pieces.add(frame, shape);
  const bool was_asked_for = session.gso_packets == GsoPackets::segment;
  if (lost != DropReason::not_segmentable || batch.endpoint != nullptr || was_asked_for) return lost;
  shape.segment_gso = false;  // of a kind that only the kernel can segment: better whole than lost
  return batch.pieces.add(frame, shape);
}

void MirrorThread::send_all() {
  for (Batch* batch : dirty_) {
    const std::span<OutgoingFrame> pieces = batch->pieces.all();
    batch->endpoint != nullptr ? batch->endpoint->send(pieces) : batch->port->device->send(sender_, pieces);
    std::span<const OutgoingFrame> rest = pieces;
    for (const Waiting& copy : batch->copies) {
      account(*batch, copy, rest.first(copy.pieces));
      rest = rest.subspan(copy.pieces);
    }
    batch->pieces.clear();
    batch->copies.clear();
  }
  dirty_.clear();
  pieces_waiting_ = 0;
}

/// A copy is delivered if all its pieces have been sent; otherwise it is lost, for the reason of the first
/// piece that was not.
void MirrorThread::account(const Batch& batch, const Waiting& copy, std::span<const OutgoingFrame> pieces) {
  const CopyTarget& target = *copy.target;
  const MirrorDestination& to = target.session->destinations[target.destination];
  DestinationCell& destination = to.counters->of(sender_);
  PortCell* port = batch.port != nullptr ? &batch.port->counters->of(sender_) : nullptr;
  const std::size_t encapsulation =
      batch.endpoint != nullptr ? tunnel::encapsulation_length(batch.endpoint->settings().encapsulation) : 0;
  DropReason lost = copy.lost;
  bool cut_to_mtu = false;
  for (const OutgoingFrame& piece : pieces) {
    cut_to_mtu |= piece.cut_to_mtu;
    if (piece.outcome != DropReason::none) {
      if (lost == DropReason::none) lost = piece.outcome;
      continue;
    }
    const std::size_t bytes = piece.length() - encapsulation;
    destination.sent_packets.add();
    destination.delivered_bytes.add(bytes);
    if (port == nullptr) continue;
    port->sent_frames.add();
    port->sent_bytes.add(bytes);
    port->copies_sent.add();
  }
  if (lost == DropReason::none && cut_to_mtu) {
    destination.truncated.add();
    destination.truncated_at.store(copy.received, std::memory_order_relaxed);
  }
  lost == DropReason::none ? destination.delivered.add()
                           : destination.lost[static_cast<std::size_t>(lost)].add();
  target.session->queued_bytes->of(copy.charge.worker)
      .fetch_sub(copy.charge.bytes, std::memory_order_relaxed);
}

}  // namespace vswitch
