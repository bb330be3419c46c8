// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/next_frame.h"

#include <algorithm>
#include <array>

#include "datapath/frame/checksum.h"

namespace vswitch {

namespace {

/// The fields that filters see in a frame that arrives on the port. A frame that the port does not admit is
/// shown as on the wire: the user wants to know why it is not mirrored.
FlowKey key_of(const PortConfig& in, const Frame& frame) {
  TagList wire;
  if (frame.tag) wire.push_back(*frame.tag);
  const auto inner = frame.inner_tag();
  const auto tags = arrive(in.vlan, wire, inner ? inner->vid() : VlanId{0});
  return {frame, tags.value_or(BridgeTags{.outer = frame.tag, .inner = {}})};
}

std::vector<std::uint8_t> bytes_of(const Frame& frame) {
  TagList wire;
  if (frame.tag) wire.push_back(*frame.tag);
  std::array<std::uint8_t, kMaxHeaderLength> header{};
  const std::size_t length = write_header(frame.dst, frame.src, wire, header);
  std::vector<std::uint8_t> bytes(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(length));
  bytes.insert(bytes.end(), frame.payload.begin(), frame.payload.end());
  Offload offload = frame.offload;
  complete_checksum(std::span(bytes).subspan(length), offload);
  return bytes;
}

}  // namespace

std::optional<std::uint64_t> NextFrames::ask(Wanted wanted) {
  const MutexLock lock(mutex_);
  if (requests_.size() >= kMaxRequests) return std::nullopt;
  requests_.push_back({++last_number_, std::move(wanted)});
  note_waiting();
  return last_number_;
}

void NextFrames::forget(std::uint64_t request) {
  const MutexLock lock(mutex_);
  std::erase_if(requests_, [request](const Request& one) { return one.number == request; });
  std::erase_if(caught_, [request](const Caught& one) { return one.request == request; });
  note_waiting();
}

void NextFrames::note_waiting() {
  waiting_.store(requests_.size(), std::memory_order_relaxed);
  on_waiting_(!requests_.empty());
}

std::vector<NextFrames::Caught> NextFrames::take() {
  const MutexLock lock(mutex_);
  return std::exchange(caught_, {});
}

void NextFrames::look(const PortConfig& in, std::span<const RawFrame> frames) {
  if (catch_wanted(in, frames)) on_catch_();
}

bool NextFrames::catch_wanted(const PortConfig& in, std::span<const RawFrame> frames) {
  const MutexLock lock(mutex_);
  const std::size_t before = requests_.size();
  const auto concerns = [&](const Request& request) {
    return request.wanted.bridge == in.bridge->name &&
           (request.wanted.port.empty() || request.wanted.port == in.name);
  };
  if (std::none_of(requests_.begin(), requests_.end(), concerns)) return false;
  for (const RawFrame& raw : frames) {
    const ParseResult parsed = parse(raw);
    if (parsed.drop != DropReason::none) continue;
    const FlowKey key = key_of(in, parsed.frame);
    std::erase_if(requests_, [&](const Request& request) REQUIRES(mutex_) {
      if (!concerns(request) || (request.wanted.match && !request.wanted.match->matches(key))) return false;
      caught_.push_back({request.number, in.name, bytes_of(parsed.frame)});
      return true;
    });
    if (requests_.empty()) break;
  }
  if (requests_.size() == before) return false;
  note_waiting();
  return true;
}

}  // namespace vswitch
