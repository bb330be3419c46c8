// SPDX-License-Identifier: Apache-2.0
// The contract's violations as errors of the API, and params as columns.
#include "switchd/api/params.h"

#include <vector>

#include "schemas/openrpc.h"
#include "switchd/api/errors.h"

namespace vswitch::api {
namespace {

ovsdb::Atom as_atom(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<std::int64_t>();
  return value.get<std::string>();
}

std::set<Json> as_json_set(const Json& list) {
  return {list.begin(), list.end()};
}

}  // namespace

Json checked_params(const std::string& method, const jsonrpc::Request& request) {
  Json params = request.params;
  if (params.is_array() && params.empty()) params = Json::object();
  if (params.is_array()) throw invalid("", params, "parameters go by name: params has to be an object");
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

ovsdb::Datum as_set(const Json& values) {
  std::vector<ovsdb::Atom> atoms;
  if (values.is_array()) {
    for (const Json& value : values) atoms.push_back(as_atom(value));
  } else if (!values.is_null()) {
    atoms.push_back(as_atom(values));
  }
  return ovsdb::Datum::set(std::move(atoms));
}

}  // namespace vswitch::api
