// SPDX-License-Identifier: Apache-2.0
// The sending half of an AF_PACKET port.
#pragma once

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
  /// `bypasses`: bypass the queueing discipline. `xdp`: alternative path for finished frames, or null. Throws
  /// std::system_error.
  Sender(const AfPacketOptions& options, bool bypasses, XdpSender* xdp);

  /// As Port::send().
  void send(std::span<OutgoingFrame> frames);

 private:
  bool bypass_queueing(bool bypass);
  void send_batch(std::span<OutgoingFrame> frames);
  std::size_t refused(int error, std::span<OutgoingFrame> frames);
  bool start_queueing();

  const int ifindex_;
  const bool bypasses_;
  XdpSender* const xdp_;
  UniqueFd fd_;
  std::uint32_t queueing_left_ = 0;  // calls of send() that still use the queueing discipline
};

}  // namespace vswitch::af_packet
