// SPDX-License-Identifier: Apache-2.0
// vswitchd --release-devices: gives devices back after a daemon was killed, without starting one.
#pragma once

#include <string>
#include <vector>

namespace vswitch {

/// Gives the devices back that daemons of this network namespace kept the host's stack away from, if those daemons
/// have ended. `removes_internal`: also removes the devices that the daemon of this run directory has made for
/// internal ports. Returns a sentence for each device, those that stay included. Throws std::runtime_error if a daemon
/// is running on the run directory, or if the kernel refuses.
std::vector<std::string> release_devices(const std::string& rundir, bool removes_internal);

}  // namespace vswitch
