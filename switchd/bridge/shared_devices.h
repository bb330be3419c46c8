// SPDX-License-Identifier: Apache-2.0
// Devices of ports that somebody else uses, too. Looked at when they become ports, and then in turns, because
// the other one may come later.
#pragma once

#include <map>
#include <string>

#include "switchd/bridge/attachments.h"
#include "switchd/bridge/desired.h"
#include "switchd/netlink/device_users.h"

namespace vswitch::bridge {

class SharedDevices {
 public:
  /// Looks at some of the devices of the ports: at new ones first, and if `all_in_turn` at some of the others.
  /// What has changed is logged. True if something has.
  bool look(const Desired& desired, const Attachments& attachments, bool all_in_turn);

  /// A sentence about the other users of a port's device; empty if there are none.
  std::string of(const std::string& port) const;

 private:
  struct Device {
    int ifindex = 0;
    std::string users;  ///< a sentence
  };

  netlink::DeviceUsers users_;
  std::map<std::string, Device> devices_;  ///< by port
  std::string last_;                       ///< the port looked at last
};

}  // namespace vswitch::bridge
