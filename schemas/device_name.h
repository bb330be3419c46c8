// SPDX-License-Identifier: Apache-2.0
// Names that ports and bridges can have: those of network devices.
#pragma once

#include <string>
#include <string_view>

namespace vswitch {

/// Why no port with a device can have this name, as a sentence; empty if one can. A patch port has no device:
/// it may have any name.
std::string device_name_trouble(std::string_view name);

}  // namespace vswitch
