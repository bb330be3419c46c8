// SPDX-License-Identifier: Apache-2.0
// The endpoints of sessions and tunnel ports: made when rows ask for them, told of the way there whenever the
// host's routes and neighbours change.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "datapath/tunnel/endpoint.h"
#include "switchd/bridge/desired.h"
#include "switchd/netlink/route_monitor.h"

namespace vswitch {

class Endpoints {
 public:
  struct Entry {
    EndpointSettings settings;
    std::shared_ptr<Endpoint> endpoint;  ///< null: see error
    std::string error;                   ///< why it cannot be made, as a sentence
    Route route;
    bool used = false;

    /// Why nothing reaches it, as a sentence; empty if something does.
    const std::string& trouble() const { return error.empty() ? route.reason : error; }
  };

  explicit Endpoints(RouteMonitor& routes) : routes_(routes) {}

  /// Makes what `desired` asks for, forgets what it does not, and asks for all routes.
  void follow(const Desired& desired);
  /// Asks for all routes again. True when something has changed that rows tell of.
  bool refresh();

  /// To be called about once a second: asks again where packets have become too long for the way, and once a
  /// minute everywhere, as the kernel forgets what routers told it. True as for refresh().
  bool look_after();

  /// By the row of Mirror_Endpoint or Interface; nullptr for one that is refused or not there.
  const Entry* find(const ovsdb::Uuid& row) const;

 private:
  void follow_one(const DesiredEndpoint& desired);

  RouteMonitor& routes_;
  std::map<ovsdb::Uuid, Entry> by_row_;
  int calls_until_refresh_ = 0;  ///< of look_after()
};

}  // namespace vswitch
