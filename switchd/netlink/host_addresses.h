// SPDX-License-Identifier: Apache-2.0
// The IP addresses that the host has on its devices.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "datapath/base/ip_address.h"
#include "datapath/base/types.h"

namespace vswitch::netlink {

/// By name of the device; without IPv6 link-local addresses, which every device has (getifaddrs(3)).
using HostAddresses = std::map<std::string, std::vector<IpAddress>>;

HostAddresses read_host_addresses();

/// Reads them again at most once a second. Control thread.
class HostAddressCache {
 public:
  /// `now`: steady time.
  const HostAddresses& at(TimeNs now);

 private:
  HostAddresses addresses_;
  TimeNs read_at_ = 0;
};

}  // namespace vswitch::netlink
