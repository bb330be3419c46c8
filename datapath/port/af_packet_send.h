// SPDX-License-Identifier: Apache-2.0
// The sending half of an AF_PACKET port.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "datapath/base/steady_clock.h"
#include "datapath/base/unique_fd.h"
#include "datapath/frame/frame.h"
#include "datapath/port/af_packet_port.h"
#include "datapath/port/xdp_sender.h"

namespace vswitch::af_packet {

/// What is known of the device; any thread may change it.
struct Conditions {
  std::atomic<bool> ordinary = false;   ///< Port::use_ordinary_path()
  std::atomic<TimeNs> down_since = {};  ///< 0: the link is up, as far as is known (Port::set_link())
};

/// Sends on the port for one thread.
class Sender {
 public:
  /// `bypasses`: bypass the queueing discipline. `xdp`: alternative path for finished frames, or null. Neither
  /// on the ordinary path. `conditions` must outlive the sender. Throws std::system_error.
  Sender(const AfPacketOptions& options, bool bypasses, XdpSender* xdp, const Conditions& conditions);

  /// As Port::send().
  void send(std::span<OutgoingFrame> frames);
  /// As Port::send_copies().
  void send_copies(std::span<OutgoingFrame> frames);

 private:
  bool has_no_link();
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
  const Conditions& conditions_;
  bool on_ordinary_path_ = false;
  TimeNs seen_down_ = 0;  // Conditions::down_since when the kernel said that the link is down
  UniqueFd fd_;
  std::uint32_t queueing_left_ = 0;  // calls of send() that still use the queueing discipline
};

}  // namespace vswitch::af_packet
