// SPDX-License-Identifier: Apache-2.0
// A thread that carries frames between two ports, as simply as can be: for end-to-end tests of the ports
// without the switch.
#pragma once

#include <atomic>
#include <optional>
#include <thread>

#include "datapath/port/port.h"

namespace vswitch::platform {

class Forwarder {
 public:
  /// Carries frames both ways. What goes from `a` to `b` leaves with `push` as its outer tag, what goes from
  /// `b` to `a` loses its outer tag, if `push` is given.
  Forwarder(Port& a, Port& b, std::optional<VlanTag> push = {});
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  std::uint64_t frames() const { return frames_; }
  std::uint64_t gso_packets() const { return gso_packets_; }
  std::uint64_t lost() const { return lost_; }

 private:
  void run();
  void carry(Port& from, Port& to, bool push, bool pop);

  Port& a_;
  Port& b_;
  const std::optional<VlanTag> push_;
  std::atomic<std::uint64_t> frames_{0};
  std::atomic<std::uint64_t> gso_packets_{0};
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace vswitch::platform
