// SPDX-License-Identifier: Apache-2.0
// Open_vSwitch.statistics: the resources that the machine and this process use, for
// other_config:enable-statistics=true.
#pragma once

#include <map>
#include <string>

namespace vswitch::bridge {

/// The keys of ovs-vswitchd.conf.db(5): cpu, load_average, memory, process_vswitchd and file_systems, in the
/// same units (kilobytes and milliseconds). Values that cannot be determined are left out.
std::map<std::string, std::string> system_statistics();

}  // namespace vswitch::bridge
