// SPDX-License-Identifier: Apache-2.0
// The endpoints of sessions and tunnel ports: created when rows ask for them, and updated with their path
// whenever the host's routes and neighbours change.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "datapath/base/thread_annotations.h"
#include "datapath/tunnel/tunnel_endpoint.h"
#include "switchd/bridge/desired.h"
#include "switchd/netlink/route_monitor.h"

namespace vswitch::bridge {

class Endpoints {
 public:
  struct Entry {
    tunnel::TunnelEndpointSettings settings;
    std::shared_ptr<tunnel::TunnelEndpoint> endpoint;  ///< null: see error
    std::string error;                                 ///< why it cannot be created, as a sentence
    netlink::Route route;
    bool used = false;

    /// Why nothing reaches it, as a sentence; empty if packets do.
    const std::string& trouble() const { return error.empty() ? route.reason : error; }
  };

  explicit Endpoints(netlink::RouteMonitor& routes) : routes_(routes) {}

  /// Creates the endpoints that `desired` asks for, removes the others, and looks up all routes.
  void reconcile(const Desired& desired) REQUIRES(roles::control);
  /// Looks up all routes again. True if something has changed that rows report.
  bool refresh() REQUIRES(roles::control);

  /// Call about once a second: looks up routes again if packets are too long for the path, and all routes
  /// once a minute, because the kernel forgets the path MTU that routers reported. Returns the same as
  /// refresh().
  bool poll() REQUIRES(roles::control);

  /// By the row of Mirror_Endpoint or Interface; nullptr if it is refused or does not exist.
  const Entry* find(const ovsdb::Uuid& row) const;

 private:
  void reconcile_one(const DesiredEndpoint& desired);

  netlink::RouteMonitor& routes_;
  std::map<ovsdb::Uuid, Entry> by_row_;
  int calls_until_refresh_ = 0;  ///< of poll()
};

}  // namespace vswitch::bridge
