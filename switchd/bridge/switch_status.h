// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "datapath/snapshot/registry.h"
#include "switchd/bridge/attachments.h"
#include "switchd/bridge/desired.h"
#include "switchd/bridge/endpoints.h"
#include "switchd/bridge/ofports.h"
#include "switchd/bridge/recorders.h"
#include "switchd/bridge/session_state.h"
#include "switchd/bridge/shared_devices.h"
#include "switchd/netlink/host_addresses.h"
#include "switchd/netlink/link_monitor.h"

namespace vswitch::bridge {

/// The result of the last walk: the basis of status, statistics and queries.
struct SwitchStatus {
  const Desired& desired;
  const Attachments& attachments;
  const Endpoints& endpoints;
  const netlink::LinkMonitor& links;
  const SnapshotRegistry& registry;
  const std::vector<SessionStatus>& sessions;
  const Ofports& ofports;
  netlink::HostAddressCache& host_addresses;
  const SharedDevices& shared_devices;
  const Recorders& recorders;
};

}  // namespace vswitch::bridge
