// SPDX-License-Identifier: Apache-2.0
// Knows what the host has put on the way out of its devices, so that the switch can send past it: a queueing
// discipline, an egress filter of tc, a tcx program, an nftables chain at the egress hook, a capture.
//
// The kernel does not notify of tcx programs and of packet sockets: they are listed once a second, and for a second
// after a device has changed every 100 ms, because a capture that makes its device promiscuous, as tcpdump does,
// changes it. Listing the sockets of 1,000 ports takes milliseconds (README.md in datapath/port); never more than a
// twentieth of the time is spent on it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "switchd/netlink/link_monitor.h"

namespace vswitch::netlink {

class EgressMonitor {
 public:
  /// What is there already is known when the constructor returns. `changed` is called on the io_context. All
  /// on one thread. Throws std::system_error if the kernel refuses netlink sockets.
  EgressMonitor(boost::asio::io_context& io, std::function<void()> changed);
  ~EgressMonitor();

  /// What is on the way out of the device, for people: "qdisc htb, capture". Empty if there is nothing.
  std::string on(const Link& link) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vswitch::netlink
