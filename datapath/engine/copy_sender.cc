// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/copy_sender.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "datapath/frame/checksum.h"

namespace vswitch {

namespace {

constexpr std::size_t kMaxPieces = 4096;     // sent together, or those of one copy
constexpr std::size_t kMaxEndpoints = 8192;  // remembered, past and present
constexpr std::size_t kMaxCaptures = 64;     // the same

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
  if (session.gso_packets == GsoPackets::by_destination)
    return endpoint != nullptr || port == nullptr || port->only_copies;
  return session.gso_packets == GsoPackets::segment;
}

}  // namespace

void CopySender::begin(const tunnel::OwnCopies& own_copies) {
  own_copies_ = &own_copies;
  unix_offset_ = unix_offset();
}

void CopySender::add(const CopyRecord& record, std::optional<std::size_t> worker) {
  Offload offload = record.offload;
  complete_checksum(record.payload, offload);
  for (const CopyTarget& target : record.targets) {
    if (pieces_waiting_ >= kMaxPieces) send_all();
    Batch& batch = batch_for(target);
    const std::size_t before = batch.pieces.size();
    const DropReason lost = add_pieces(batch, record, target, offload);
    const std::size_t pieces = batch.pieces.size() - before;
    pieces_waiting_ += pieces;
    batch.copies.push_back({.target = target,
                            .charged_to = worker,
                            .charge = CopyQueue::cost(record.payload.size()),
                            .pieces = pieces,
                            .lost = lost,
                            .received = record.received});
  }
}

CopySender::Batch& CopySender::batch_of(const MirrorDestination& destination, const PortConfig* port) {
  if (destination.capture != nullptr) return capture_batches_[destination.capture.get()];
  if (destination.endpoint != nullptr) return endpoint_batches_[destination.endpoint.get()];
  if (port_batches_.size() <= index(port->number)) port_batches_.resize(index(port->number) + 1);
  return port_batches_[index(port->number)];
}

CopySender::Batch& CopySender::batch_for(const CopyTarget& target) {
  const MirrorDestination& destination = target.session->destinations[target.destination];
  Batch& batch = batch_of(destination, target.port);
  if (batch.port != target.port && !batch.copies.empty())
    send_all();  // the same port before and after a change of settings
  if (batch.copies.empty()) dirty_.push_back(&batch);
  batch.port = target.port;
  batch.endpoint = destination.endpoint.get();
  batch.capture = destination.capture.get();
  return batch;
}

/// The payload, and everything else shared with other copies, is not modified.
DropReason CopySender::add_pieces(Batch& batch, const CopyRecord& record, const CopyTarget& target,
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
                              .snaplen = batch.capture == nullptr ? target.snaplen : kWholeFrame,
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

void CopySender::send_all() {
  for (Batch* batch : dirty_) {
    const std::span<OutgoingFrame> pieces = batch->pieces.all();
    if (batch->capture != nullptr) {
      send_captured(*batch, pieces);
    } else {
      batch->endpoint != nullptr ? batch->endpoint->send(pieces)
                                 : batch->port->device->send_copies(sender_, pieces);
    }
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
  if (endpoint_batches_.size() > kMaxEndpoints) endpoint_batches_.clear();
  if (capture_batches_.size() > kMaxCaptures) capture_batches_.clear();
}

/// The capture truncates: it says how long the frames were.
void CopySender::send_captured(const Batch& batch, std::span<OutgoingFrame> pieces) {
  captured_.clear();
  for (const Waiting& copy : batch.copies) {
    for (OutgoingFrame& piece : pieces.first(copy.pieces))
      captured_.push_back({.frame = &piece,
                           .snaplen = copy.target.snaplen,
                           .unix_time_ns = copy.received + unix_offset_,
                           .port = copy.target.origin.port->name,
                           .delivered = copy.target.origin.delivered});
    pieces = pieces.subspan(copy.pieces);
  }
  batch.capture->send(captured_);
}

/// A copy is delivered if all its pieces have been sent; otherwise it is lost, for the reason of the first
/// piece that was not.
void CopySender::account(const Batch& batch, const Waiting& copy, std::span<const OutgoingFrame> pieces) {
  const CopyTarget& target = copy.target;
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
    std::size_t bytes = piece.length() - encapsulation;
    if (batch.capture != nullptr) bytes = std::min(bytes, std::size_t{target.snaplen});
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
  if (copy.charged_to)
    target.session->queued_bytes->of(*copy.charged_to).fetch_sub(copy.charge, std::memory_order_relaxed);
}

}  // namespace vswitch
