// SPDX-License-Identifier: Apache-2.0
// The sending half of an AF_PACKET port.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "datapath/base/unique_fd.h"
#include "datapath/frame/frame.h"
#include "datapath/port/af_packet_port.h"
#include "datapath/port/xdp_sender.h"

namespace vswitch::af_packet {

/// Sends on the port for one thread.
class Sender {
 public:
  /// `bypasses`: bypass the queueing discipline. `xdp`: alternative path for finished frames, or null. Neither
  /// while `ordinary` is true, which any thread may change and which must outlive the sender. Throws
  /// std::system_error.
  Sender(const AfPacketOptions& options, bool bypasses, XdpSender* xdp, const std::atomic<bool>& ordinary);

  /// As Port::send().
  void send(std::span<OutgoingFrame> frames);
  /// As Port::send_copies().
  void send_copies(std::span<OutgoingFrame> frames);

 private:
  void send_batches(std::span<OutgoingFrame> frames);
  void change_path();
  bool bypass_queueing(bool bypass);
  void send_batch(std::span<OutgoingFrame> frames);
  std::size_t refused(int error, std::span<OutgoingFrame> frames);
  bool start_queueing();

  const int ifindex_;
  const bool bypasses_;
  XdpSender* const xdp_;
  const std::size_t in_flight_;  // bytes that may wait in the device
  const std::atomic<bool>& ordinary_;
  bool on_ordinary_path_ = false;
  UniqueFd fd_;
  std::uint32_t queueing_left_ = 0;  // calls of send() that still use the queueing discipline
};

}  // namespace vswitch::af_packet
