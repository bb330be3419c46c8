// SPDX-License-Identifier: Apache-2.0
// The contract's violations as errors of the API.
#include "switchd/api/params.h"

#include "schemas/openrpc.h"
#include "switchd/api/errors.h"

namespace vswitch::api {
namespace {

std::set<Json> as_json_set(const Json& list) {
  return {list.begin(), list.end()};
}

}  // namespace

Json checked_params(const std::string& method, const jsonrpc::Request& request) {
  Json params = request.params;
  if (params.is_array() && params.empty()) params = Json::object();
  if (params.is_array()) throw invalid("", params, "parameters go by name: params must be an object");
  const auto violation = openrpc::control().check_params(method, params);
  if (!violation) return params;
  if (violation->unsupported) throw unsupported(violation->field, violation->value, violation->sentence);
  throw invalid(violation->field, violation->value, violation->sentence);
}

std::string first_difference(const Json& params, const Json& object,
                             std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (!params.contains(key)) continue;
    const Json& wanted = params[key];
    const Json& present = object[key];
    const bool same = wanted.is_array() ? as_json_set(wanted) == as_json_set(present) : wanted == present;
    if (!same) return key;
  }
  return {};
}

}  // namespace vswitch::api
