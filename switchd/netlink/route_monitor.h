// SPDX-License-Identifier: Apache-2.0
// The host's way to an address: route, source address, MTU, and whether the next host on it answers. Asked of
// the kernel over rtnetlink(7), with a word whenever the answer may have changed.
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
  std::string device;                     ///< by which packets leave; empty without a route
  std::optional<IpAddress> source;        ///< the address they carry
  std::uint32_t mtu = 0;                  ///< of the path as far as the host knows it; 0 = unknown

  bool operator==(const Route&) const = default;
};

class RouteMonitor {
 public:
  /// `changed` is called on the io_context after routes, addresses, neighbours or links have changed: once
  /// for all changes that have been told by then. Nothing is listened to before the first route_to().
  RouteMonitor(boost::asio::io_context& io, const LinkMonitor& links, std::function<void()> changed);
  ~RouteMonitor();

  /// The way to `remote` as of now. A neighbour that is not known is asked for; the answer is a change.
  /// Throws std::system_error when the kernel refuses the netlink sockets.
  Route route_to(const IpAddress& remote, const std::optional<IpAddress>& local);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vswitch::netlink
