// SPDX-License-Identifier: Apache-2.0
// The contract files, compiled into the programs: the file in schemas/ is the only copy (cmake/embed.cmake).
#pragma once

#include <string_view>

namespace vswitch::embedded {

extern const std::string_view vswitch_ovsschema;     ///< schemas/vswitch.ovsschema
extern const std::string_view control_openrpc_json;  ///< schemas/control.openrpc.json

}  // namespace vswitch::embedded
