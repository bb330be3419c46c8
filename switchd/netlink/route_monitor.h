// SPDX-License-Identifier: Apache-2.0
// The host's path to an address: route, source address, MTU, and whether the next hop answers. Queried from
// the kernel over rtnetlink(7), with a notification whenever the answer may have changed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "datapath/base/drop_reason.h"
#include "datapath/base/ip_address.h"
#include "switchd/netlink/link_monitor.h"

namespace vswitch::netlink {

struct Route {
  DropReason trouble = DropReason::none;  ///< none, no_route, no_neighbour or link_down
  std::string reason;                     ///< the trouble as a sentence
  std::string device;                     ///< output device of the packets; empty without a route
  std::optional<IpAddress> source;        ///< source address of the packets
  std::uint32_t mtu = 0;                  ///< path MTU as far as the host knows it; 0 = unknown

  bool operator==(const Route&) const = default;
};

class RouteMonitor {
 public:
  /// `changed` is called on the io_context after routes, addresses, neighbours or links have changed: once
  /// for all changes reported by then. Nothing is monitored before the first route_to().
  RouteMonitor(boost::asio::io_context& io, const LinkMonitor& links, std::function<void()> changed);
  ~RouteMonitor();

  /// The path to `remote` as of now. An unknown neighbour is resolved; the result is reported as a change.
  /// Throws std::system_error if the kernel refuses the netlink sockets.
  Route route_to(const IpAddress& remote, const std::optional<IpAddress>& local);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vswitch::netlink
