// SPDX-License-Identifier: Apache-2.0
// Who else uses the devices of the switch: a Linux bridge, bond or team to which they belong, another vswitchd,
// an Open vSwitch. Two switches on one device each forward what the other has forwarded already.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "switchd/netlink/netlink_socket.h"

namespace vswitch::netlink {

class DeviceUsers {
 public:
  /// Throws std::system_error if a netlink socket cannot be opened.
  DeviceUsers() = default;

  /// Call it before looks at several devices: reads once what concerns all of them.
  void begin(const std::vector<int>& ifindexes);
  /// A sentence about the other users of the device; empty if there are none. 0.1 ms.
  std::string look(int ifindex);

 private:
  /// "the Linux bridge lb0"; empty if the device belongs to none.
  std::string master_of(int ifindex);
  /// "vswitchd pid 71 (run directory /run/vswitch)" for the filters of living others; see host_isolation.h.
  std::vector<std::string> switches_on(int ifindex);

  NetlinkSocket netlink_;
  NetlinkSocket sockets_{NETLINK_SOCK_DIAG};
  std::map<int, unsigned long> known_inodes_;  ///< of their packet sockets at the last look, by device
  std::map<int, std::string> open_vswitches_;  ///< those with a packet socket on a device
};

}  // namespace vswitch::netlink
