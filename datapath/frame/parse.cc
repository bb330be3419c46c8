// SPDX-License-Identifier: Apache-2.0
// From bytes to Frame, and from addresses and tags back to bytes.
#include <algorithm>

#include "datapath/frame/frame.h"

namespace vswitch {

namespace {

VlanTag read_tag(std::span<const std::uint8_t> bytes, std::size_t at) {
  return {.tpid = u16_at(bytes, at), .tci = u16_at(bytes, at + 2)};
}

/// Makes the offload's offsets relative to the payload instead of the frame. False if they do not lie inside
/// it.
bool rebase(Offload& offload, std::size_t payload_at, std::size_t payload_length) {
  if (offload.needs_checksum) {
    if (offload.checksum_start < payload_at) return false;
    offload.checksum_start = static_cast<std::uint16_t>(offload.checksum_start - payload_at);
    if (std::size_t{offload.checksum_start} + offload.checksum_offset + 2 > payload_length) return false;
  }
  const std::size_t hint = offload.header_length;
  offload.header_length = static_cast<std::uint16_t>(hint > payload_at ? hint - payload_at : 0);
  return true;
}

}  // namespace

std::optional<VlanTag> Frame::inner_tag() const {
  if (payload.size() < kTagLength + kEtherTypeLength || !is_vlan_tpid(ether_type())) return std::nullopt;
  return read_tag(payload, 0);
}

ParseResult parse(const RawFrame& raw) {
  ParseResult result;
  if (raw.congested) {
    result.drop = DropReason::congestion_mark;
    return result;
  }
  if (raw.truncated) {
    result.drop = DropReason::receive_truncated;
    return result;
  }
  if (raw.bytes.size() < kMinFrameLength) {
    result.drop = DropReason::malformed;
    return result;
  }
  Frame& frame = result.frame;
  std::copy_n(raw.bytes.begin(), 6, frame.dst.octets.begin());
  std::copy_n(raw.bytes.begin() + 6, 6, frame.src.octets.begin());
  std::size_t payload_at = kAddressesLength;
  if (raw.stripped_tag) {
    frame.tag = raw.stripped_tag;
  } else if (is_vlan_tpid(u16_at(raw.bytes, payload_at)) &&
             raw.bytes.size() >= kMinFrameLength + kTagLength) {
    frame.tag = read_tag(raw.bytes, payload_at);
    payload_at += kTagLength;
  }
  frame.payload = raw.bytes.subspan(payload_at);
  frame.offload = raw.offload;
  frame.arrived = raw.arrived;
  if (!rebase(frame.offload, payload_at, frame.payload.size())) result.drop = DropReason::malformed;
  return result;
}

std::size_t write_header(const MacAddr& dst, const MacAddr& src, const TagList& tags,
                         std::span<std::uint8_t, kMaxHeaderLength> out) {
  auto at = std::copy(dst.octets.begin(), dst.octets.end(), out.begin());
  at = std::copy(src.octets.begin(), src.octets.end(), at);
  for (std::uint8_t i = 0; i < tags.count; ++i) {
    const VlanTag& tag = tags.tags[i];
    for (unsigned value : {tag.tpid >> 8, tag.tpid & 0xff, tag.tci >> 8, tag.tci & 0xff}) {
      *at++ = static_cast<std::uint8_t>(value);
    }
  }
  return static_cast<std::size_t>(at - out.begin());
}

OutgoingFrame outgoing(std::span<const std::uint8_t> header, std::span<const std::uint8_t> payload,
                       Offload offload) {
  const auto shift = [&header](std::uint16_t& position) {
    position = static_cast<std::uint16_t>(position + header.size());
  };
  if (offload.needs_checksum) shift(offload.checksum_start);
  if (offload.header_length != 0) shift(offload.header_length);
  return {.header = header, .payload = payload, .offload = offload};
}

}  // namespace vswitch
