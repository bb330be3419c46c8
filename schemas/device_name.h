// SPDX-License-Identifier: Apache-2.0
// Valid names of ports and bridges: those of network devices.
#pragma once

#include <string>
#include <string_view>

namespace vswitch {

/// Says why a port with a device cannot have this name, as a sentence; empty if it can. A patch port has no
/// device: it may have any name.
std::string device_name_trouble(std::string_view name);

}  // namespace vswitch
