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

/// What one thread needs to send on the port.
class Sender {
 public:
  /// `bypasses`: past the queueing discipline. `xdp`: another way for finished frames, or null.
  Sender(const AfPacketOptions& options, bool bypasses, XdpSender* xdp);

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
  std::uint32_t queueing_left_ = 0;  // calls of send() that go through the queueing discipline
};

}  // namespace vswitch::af_packet
