// SPDX-License-Identifier: Apache-2.0
#include "datapath/port/af_packet_send.h"

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "datapath/base/socket_buffer.h"
#include "datapath/base/switch_mark.h"
#include "datapath/port/af_packet_socket.h"
#include "datapath/port/device_query.h"
#include "datapath/port/vnet_header.h"

namespace vswitch::af_packet {

namespace {

constexpr std::size_t kSendBytes = 576 * 1024;        // in flight to the device, all senders together
constexpr std::size_t kSendBytesAtLeast = 64 * 1024;  // per sender
constexpr std::size_t kSendBytesAtMost = 192 * 1024;
/// Per sender, in a queueing discipline that somebody has put on the device: its limits count, not ours.
constexpr std::size_t kQueueingBytes = 16 << 20;

/// The kernel looks at links that went down once a second (linkwatch).
constexpr TimeNs kCarrierIsLate = kSecondNs + kSecondNs / 4;

/// The arguments of sendmmsg(2): 8 KiB per thread, not per port.
struct Messages {
  std::array<VnetHeader, kBatchSize> headers = {};
  std::array<std::array<iovec, 3>, kBatchSize> parts = {};  // virtio_net_hdr, Ethernet header, payload
  std::array<mmsghdr, kBatchSize> messages = {};

  Messages() {
    for (std::size_t i = 0; i < kBatchSize; ++i) {
      parts[i][0] = {&headers[i], sizeof headers[i]};
      messages[i].msg_hdr.msg_iov = parts[i].data();
      messages[i].msg_hdr.msg_iovlen = parts[i].size();
    }
  }
};

void give_up(std::span<OutgoingFrame> frames, DropReason reason) {
  for (OutgoingFrame& frame : frames) frame.outcome = reason;
}

}  // namespace

Sender::Sender(const AfPacketOptions& options, bool bypasses, XdpSender* xdp, const Conditions& conditions)
    : ifindex_(options.ifindex),
      bypasses_(bypasses),
      xdp_(xdp),
      in_flight_(std::clamp(kSendBytes / options.senders, kSendBytesAtLeast, kSendBytesAtMost)),
      conditions_(conditions),
      fd_(packet_socket(options.name)) {
  if (bypasses_ && !bypass_queueing(true)) fail("cannot set PACKET_QDISC_BYPASS for " + options.name);
  if (!set_send_buffer(fd_.get(), in_flight_)) fail("cannot set SO_SNDBUF for " + options.name);
  set_option(fd_, SOL_SOCKET, SO_MARK, kSwitchMark, "cannot set SO_MARK for " + options.name);
  bind_to(fd_, ifindex_, 0, options.name);
}

void Sender::send(std::span<OutgoingFrame> frames) {
  if (has_no_link()) return give_up(frames, DropReason::link_down);
  if (conditions_.ordinary.load(std::memory_order_relaxed) != on_ordinary_path_) [[unlikely]]
    change_path();
  if (queueing_left_ > 0 && --queueing_left_ == 0) bypass_queueing(true);
  if (xdp_ != nullptr && !on_ordinary_path_ && queueing_left_ == 0)
    frames = frames.subspan(xdp_->send(frames, fd_.get()));
  send_batches(frames);
}

/// A sender of production frames seldom has copies to send.
void Sender::send_copies(std::span<OutgoingFrame> frames) {
  if (!bypasses_) return send(frames);
  if (has_no_link()) return give_up(frames, DropReason::link_down);
  const bool bypassed = queueing_left_ == 0 && !on_ordinary_path_;
  if (bypassed) bypass_queueing(false);
  send_batches(frames);
  if (bypassed) bypass_queueing(true);
}

/// We may not have been told yet that there is a link again. The kernel's answer is late only when a link goes.
bool Sender::has_no_link() {
  const TimeNs down_since = conditions_.down_since.load(std::memory_order_relaxed);
  if (down_since == 0) [[likely]]
    return false;
  if (has_carrier(fd_.get(), ifindex_))
    return seen_down_ != down_since && steady_now() - down_since < kCarrierIsLate;
  seen_down_ = down_since;
  return true;
}

void Sender::send_batches(std::span<OutgoingFrame> frames) {
  while (!frames.empty()) {
    const std::span<OutgoingFrame> batch = frames.first(std::min(frames.size(), kBatchSize));
    send_batch(batch);
    frames = frames.subspan(batch.size());
  }
}

void Sender::change_path() {
  on_ordinary_path_ = !on_ordinary_path_;
  queueing_left_ = 0;
  set_send_buffer(fd_.get(), on_ordinary_path_ ? kQueueingBytes : in_flight_);
  if (bypasses_) bypass_queueing(!on_ordinary_path_);
}

bool Sender::bypass_queueing(bool bypass) {
  const int value = bypass ? 1 : 0;
  return ::setsockopt(fd_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &value, sizeof value) == 0;
}

void Sender::send_batch(std::span<OutgoingFrame> frames) {
  thread_local Messages to_send;
  auto& [headers, parts, messages] = to_send;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const OutgoingFrame& frame = frames[i];
    headers[i] = vnet_header_from_offload(frame.offload, frame.length());
    // sendmsg(2) reads through iovec only.
    parts[i][1] = {const_cast<std::uint8_t*>(frame.header.data()), frame.header.size()};
    parts[i][2] = {const_cast<std::uint8_t*>(frame.payload.data()), frame.payload.size()};
  }
  std::size_t done = 0;
  while (done < frames.size()) {
    const int sent =
        ::sendmmsg(fd_.get(), &messages[done], static_cast<unsigned>(frames.size() - done), MSG_DONTWAIT);
    if (sent <= 0) {
      done += refused(errno, frames.subspan(done));
      continue;
    }
    for (int i = 0; i < sent; ++i) frames[done++].outcome = DropReason::none;
  }
}

/// Handles the refusal of the first of `frames`. Sets outcomes and returns for how many frames: 0 to try
/// again, all of them if the others would fail the same way.
std::size_t Sender::refused(int error, std::span<OutgoingFrame> frames) {
  const auto all = [&](DropReason reason) {
    give_up(frames, reason);
    return frames.size();
  };
  const auto first = [&](DropReason reason) {
    frames[0].outcome = reason;
    return std::size_t{1};
  };
  switch (error) {
    case EINTR:
      return 0;
    case EMSGSIZE:
      return first(DropReason::too_big);
    case ENETDOWN:
      return all(DropReason::link_down);
    case ENXIO:
    case ENODEV:
      return all(DropReason::port_waiting);
    case EAGAIN:
      return all(DropReason::no_buffers);
    case ENOBUFS:
      if (!has_carrier(fd_.get(), ifindex_)) return all(DropReason::link_down);
      if (frames[0].offload.is_gso() && start_queueing()) return 0;
      return first(DropReason::no_buffers);
    default:
      return first(DropReason::send_error);
  }
}

/// If the queueing discipline is bypassed, the kernel drops a GSO packet that the device cannot segment
/// itself (__dev_direct_xmit() keeps a frame only if validate_xmit_skb_list() left it as one). On the
/// ordinary path the kernel segments it. All frames then take that path, so that they stay in order, until it
/// is time to check whether the device can segment now.
bool Sender::start_queueing() {
  if (!bypasses_ || on_ordinary_path_ || queueing_left_ > 0 || !bypass_queueing(false)) return false;
  queueing_left_ = kBatchesBeforeRetrying;
  return true;
}

}  // namespace vswitch::af_packet
