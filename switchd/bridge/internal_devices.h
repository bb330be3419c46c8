// SPDX-License-Identifier: Apache-2.0
// The devices of internal ports: taps that are the host's, and outlive the daemon.
//
// Whose. A device that the switch makes is persistent and marked by its alias, which `ip link` shows:
//     vswitch port=c1 rundir=/run/vswitch
// The next daemon takes it over, whatever it is called by then, and removes it if its row has gone meanwhile. A tap
// without a mark was made by somebody else: it is used, and left as it is when its row goes.
//
// Where. A device may be renamed and moved to other network namespaces: the port goes on, because it uses the
// tap's file. There it is not persistent: nobody could take it over, so it must not outlive the daemon.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "switchd/bridge/attachment.h"
#include "switchd/bridge/desired.h"
#include "switchd/netlink/link_monitor.h"
#include "switchd/netlink/links_elsewhere.h"

namespace vswitch::bridge {

/// The alias of the device that a switch made for a port.
std::string device_mark(const std::string& port, const std::string& rundir);

class InternalDevices {
 public:
  /// `changed`: a device in another namespace may have changed.
  InternalDevices(boost::asio::io_context& io, netlink::LinkMonitor& links, std::string rundir,
                  std::function<void()> changed)
      : links_(links), elsewhere_(io, std::move(changed)), rundir_(std::move(rundir)) {}

  /// Takes over the device of the interface, or makes one. Throws std::runtime_error with a sentence.
  Open open(const DesiredInterface& interface);
  /// Looks where the device is now, and updates `open`. False if it is gone.
  bool locate(const std::string& interface, Open& open);
  /// nullptr if the device is gone.
  const netlink::Link* link(const Open& open) const;
  /// Its row has gone: lets go of a device that somebody else has made; remove_given_up() removes others. Then
  /// the name is free.
  void give_up(Open& open);
  void remove_given_up();
  /// Removes the devices of this run directory that no program has open and whose port is not in `wanted`. Returns a
  /// sentence about each.
  std::vector<std::string> remove_leftovers(const std::set<std::string>& wanted);

 private:
  /// The name of the device that an earlier daemon made for the interface, or that of the interface.
  std::string name_of_device(const std::string& interface) const;

  netlink::LinkMonitor& links_;
  netlink::LinksElsewhere elsewhere_;
  const std::string rundir_;
  std::vector<netlink::Link> given_up_;
};

}  // namespace vswitch::bridge
