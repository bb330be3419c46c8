// SPDX-License-Identifier: Apache-2.0
// Params of a request, checked against the contract.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>

#include "schemas/json.h"
#include "schemas/jsonrpc/message.h"

namespace vswitch::api {

/// The params with defaults filled in. Throws jsonrpc::Error that names the field and the offending value.
Json checked_params(const std::string& method, const jsonrpc::Request& request);

/// The first of `keys` that is given in `params` and differs from the same member of `object`; "" if none
/// does. Lists of VLANs compare as sets.
std::string first_difference(const Json& params, const Json& object, std::initializer_list<const char*> keys);

}  // namespace vswitch::api
