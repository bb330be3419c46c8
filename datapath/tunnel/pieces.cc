// SPDX-License-Identifier: Apache-2.0
#include "datapath/tunnel/pieces.h"

#include <algorithm>
#include <array>

#include "datapath/frame/checksum.h"
#include "datapath/frame/segment.h"
#include "datapath/tunnel/inherit.h"

namespace vswitch::tunnel {

Fit fit_to_path(std::size_t length, std::size_t snaplen, std::size_t longest, MtuPolicy policy) {
  const std::size_t wanted = std::min(length, snaplen);
  if (wanted <= longest) return {.bytes = wanted};
  switch (policy) {
    case MtuPolicy::truncate:
      return {.bytes = longest, .cut_to_mtu = true};
    case MtuPolicy::fragment:
      return {.bytes = wanted, .fragmented = true};
    case MtuPolicy::drop:
      break;
  }
  return {.is_too_long = true};
}

std::span<std::uint8_t> HeaderArena::take(std::size_t bytes) {
  if (used_ + bytes > kBlock) {
    ++full_;
    used_ = 0;
  }
  if (full_ == blocks_.size()) blocks_.push_back(std::make_unique<std::uint8_t[]>(kBlock));
  const std::span<std::uint8_t> taken(blocks_[full_].get() + used_, bytes);
  used_ += bytes;
  return taken;
}

void HeaderArena::clear() {
  full_ = 0;
  used_ = 0;
}

void Pieces::clear() {
  pieces_.clear();
  arena_.clear();
}

DropReason Pieces::add(const OutgoingFrame& frame, const Shape& shape) {
  const std::size_t before = pieces_.size();
  // A device accepts a GSO packet as it is. A truncated or tunnelled one must be finished here.
  const bool as_it_is = shape.endpoint == nullptr && !shape.segment_gso && frame.length() <= shape.snaplen;
  const DropReason reason =
      frame.offload.is_gso() && !as_it_is ? add_segments(frame, shape) : add_whole(frame, shape);
  if (reason == DropReason::none) return reason;
  pieces_.resize(before);
  if (shape.endpoint != nullptr) shape.endpoint->next_sequence();  // the other end sees the gap
  return reason;
}

DropReason Pieces::add_whole(const OutgoingFrame& frame, const Shape& shape) {
  // The checksum is finished in a copy, because the payload is shared.
  std::size_t copied = 0;
  Offload offload = frame.offload;
  if (shape.endpoint != nullptr && offload.needs_checksum)
    copied = std::size_t{offload.checksum_start} + offload.checksum_offset + 2 - frame.header.size();
  if (copied > Segmenter::kMaxHeaders) return DropReason::not_segmentable;
  const std::size_t room =
      shape.endpoint != nullptr ? encapsulation_length(shape.endpoint->settings().encapsulation) : 0;
  const std::span<std::uint8_t> header = arena_.take(room + frame.header.size() + copied);
  auto end =
      std::copy(frame.header.begin(), frame.header.end(), header.begin() + static_cast<std::ptrdiff_t>(room));
  std::copy_n(frame.payload.begin(), copied, end);
  if (copied != 0) complete_checksum(header.subspan(room), frame.payload.subspan(copied), offload);
  return add_piece(header, frame.payload.subspan(copied), shape, offload);
}

DropReason Pieces::add_segments(const OutgoingFrame& frame, const Shape& shape) {
  Offload offload = frame.offload;
  offload.checksum_start = static_cast<std::uint16_t>(offload.checksum_start - frame.header.size());
  if (!shape.segment_gso) offload.gso_size = 0xffff;  // one segment: all of it, with its checksum
  const Segmenter segmenter(frame.payload, offload);
  if (!segmenter.valid()) return DropReason::not_segmentable;
  const std::size_t room =
      shape.endpoint != nullptr ? encapsulation_length(shape.endpoint->settings().encapsulation) : 0;
  for (std::size_t i = 0; i < segmenter.count(); ++i) {
    const std::span<std::uint8_t> header =
        arena_.take(room + frame.header.size() + segmenter.header_length());
    std::copy(frame.header.begin(), frame.header.end(), header.begin() + static_cast<std::ptrdiff_t>(room));
    segmenter.write_headers(i, header.subspan(room + frame.header.size()));
    if (const DropReason reason = add_piece(header, segmenter.data(i), shape, {}); reason != DropReason::none)
      return reason;
  }
  return DropReason::none;
}

/// `header` begins with room for the encapsulation.
DropReason Pieces::add_piece(std::span<std::uint8_t> header, std::span<const std::uint8_t> payload,
                             const Shape& shape, Offload offload) {
  TunnelEndpoint* endpoint = shape.endpoint;
  const Encapsulation* how = endpoint != nullptr ? &endpoint->settings().encapsulation : nullptr;
  const std::size_t room = how != nullptr ? encapsulation_length(*how) : 0;
  const std::size_t length = header.size() - room + payload.size();
  Fit fit{.bytes = std::min<std::size_t>(length, shape.snaplen)};
  if (endpoint != nullptr)
    fit = fit_to_path(length, shape.snaplen, endpoint->longest_frame(), shape.mtu_policy);
  if (fit.is_too_long) return DropReason::too_big;
  if (length > fit.bytes) {
    header = header.first(std::min(header.size(), room + fit.bytes));
    payload = payload.first(fit.bytes - (header.size() - room));
    offload = {};
  }
  if (endpoint != nullptr) {
    CopyFacts facts = shape.facts;
    facts.truncated = length > fit.bytes;
    facts.length = length;
    facts.sequence = endpoint->next_sequence();
    const std::array<std::span<const std::uint8_t>, 2> frame = {header.subspan(room), payload};
    write_encapsulation(*how, facts, frame, header.first(room));
  }
  pieces_.push_back({.header = header, .payload = payload, .offload = offload, .cut_to_mtu = fit.cut_to_mtu});
  if (endpoint != nullptr && endpoint->settings().inherits()) {
    const OuterFields outer = outer_fields(endpoint->settings(), header.subspan(room), payload);
    pieces_.back().ttl = outer.ttl;
    pieces_.back().tos = outer.tos;
  }
  return DropReason::none;
}

}  // namespace vswitch::tunnel
