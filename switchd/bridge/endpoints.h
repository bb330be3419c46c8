// SPDX-License-Identifier: Apache-2.0
// The endpoints of sessions and tunnel ports: made when rows ask for them, told of the way there whenever the
// host's routes and neighbours change.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "datapath/tunnel/tunnel_endpoint.h"
#include "switchd/bridge/desired.h"
#include "switchd/netlink/route_monitor.h"

namespace vswitch::bridge {

class Endpoints {
 public:
  struct Entry {
    tunnel::TunnelEndpointSettings settings;
    std::shared_ptr<tunnel::TunnelEndpoint> endpoint;  ///< null: see error
    std::string error;                                 ///< why it cannot be made, as a sentence
    netlink::Route route;
    bool used = false;

    /// Why nothing reaches it, as a sentence; empty if something does.
    const std::string& trouble() const { return error.empty() ? route.reason : error; }
  };

  explicit Endpoints(netlink::RouteMonitor& routes) : routes_(routes) {}

  /// Makes what `desired` asks for, forgets what it does not, and asks for all routes.
  void reconcile(const Desired& desired);
  /// Asks for all routes again. True when something has changed that rows tell of.
  bool refresh();

  /// To be called about once a second: asks again where packets have become too long for the way, and once a
  /// minute everywhere, as the kernel forgets what routers told it. True as for refresh().
  bool poll();

  /// By the row of Mirror_Endpoint or Interface; nullptr for one that is refused or not there.
  const Entry* find(const ovsdb::Uuid& row) const;

 private:
  void reconcile_one(const DesiredEndpoint& desired);

  netlink::RouteMonitor& routes_;
  std::map<ovsdb::Uuid, Entry> by_row_;
  int calls_until_refresh_ = 0;  ///< of poll()
};

}  // namespace vswitch::bridge
