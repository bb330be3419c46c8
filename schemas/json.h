// SPDX-License-Identifier: Apache-2.0
// The one JSON type of the project.
#pragma once

#include <nlohmann/json.hpp>

namespace vswitch {

using Json = nlohmann::json;

}  // namespace vswitch
