// SPDX-License-Identifier: Apache-2.0
// The forwarding loop of the platform tests.
#include "tests/platform/forwarder.h"

#include <poll.h>

#include <array>
#include <cstring>

namespace vswitch::platform {

Forwarder::Forwarder(Port& a, Port& b, std::optional<VlanTag> push)
    : a_(a), b_(b), push_(push), thread_([this] { run(); }) {}

Forwarder::~Forwarder() {
  stop_ = true;
  thread_.join();
}

void Forwarder::run() {
  while (!stop_) {
    pollfd waiting[2] = {{a_.receive_fd(), POLLIN, 0}, {b_.receive_fd(), POLLIN, 0}};
    ::poll(waiting, 2, 20);
    if (waiting[0].revents != 0) carry(a_, b_, push_.has_value(), false);
    if (waiting[1].revents != 0) carry(b_, a_, false, push_.has_value());
  }
}

void Forwarder::carry(Port& from, Port& to, bool push, bool pop) {
  std::array<RawFrame, kBatchSize> batch;
  std::array<OutgoingFrame, kBatchSize> out;
  std::array<std::array<std::uint8_t, kMaxHeaderLength>, kBatchSize> headers;
  const std::size_t count = from.receive(batch);
  if (count == 0) return;
  for (std::size_t i = 0; i < count; ++i) {
    const RawFrame& raw = batch[i];
    std::size_t length = kAddressesLength;
    std::memcpy(headers[i].data(), raw.bytes.data(), length);
    const auto write_tag = [&](VlanTag tag) {
      const std::uint8_t bytes[] = {
          static_cast<std::uint8_t>(tag.tpid >> 8), static_cast<std::uint8_t>(tag.tpid),
          static_cast<std::uint8_t>(tag.tci >> 8), static_cast<std::uint8_t>(tag.tci)};
      std::memcpy(headers[i].data() + length, bytes, sizeof bytes);
      length += sizeof bytes;
    };
    if (push) write_tag(*push_);
    if (raw.stripped_tag && !pop) write_tag(*raw.stripped_tag);
    out[i] = OutgoingFrame{};
    out[i].header = std::span(headers[i]).first(length);
    out[i].payload = raw.bytes.subspan(kAddressesLength);
    out[i].offload = raw.offload;
    if (raw.offload.needs_checksum) {
      out[i].offload.checksum_start =
          static_cast<std::uint16_t>(out[i].offload.checksum_start + length - kAddressesLength);
    }
    gso_packets_ += raw.offload.is_gso();
  }
  to.send(SenderId{0}, std::span(out).first(count));
  for (std::size_t i = 0; i < count; ++i) lost_ += out[i].outcome != DropReason::none;
  frames_ += count;
  from.release();
}

}  // namespace vswitch::platform
