// SPDX-License-Identifier: Apache-2.0
// Refusals of the session API.
#include "switchd/api/errors.h"

#include <utility>

namespace vswitch::api {
namespace {

jsonrpc::Error make(int code, const char* reason, const std::string& field, Json value,
                    std::string sentence) {
  return {code, std::move(sentence), {{"reason", reason}, {"field", field}, {"value", std::move(value)}}};
}

}  // namespace

jsonrpc::Error invalid(const std::string& field, Json value, std::string sentence) {
  return make(jsonrpc::kInvalidParams, "invalid", field, std::move(value), std::move(sentence));
}
jsonrpc::Error not_found(const std::string& field, Json value, std::string sentence) {
  return make(kNotFound, "not_found", field, std::move(value), std::move(sentence));
}
jsonrpc::Error exists(const std::string& field, Json value, std::string sentence) {
  return make(kExists, "exists", field, std::move(value), std::move(sentence));
}
jsonrpc::Error conflict(const std::string& field, Json value, std::string sentence) {
  return make(kConflict, "conflict", field, std::move(value), std::move(sentence));
}
jsonrpc::Error refused(const std::string& field, Json value, std::string sentence) {
  return make(kRefused, "refused", field, std::move(value), std::move(sentence));
}
jsonrpc::Error changed_meanwhile(Json if_revision, Json present, std::string sentence) {
  jsonrpc::Error error =
      make(kChanged, "changed", "if_revision", std::move(if_revision), std::move(sentence));
  error.data["revision"] = std::move(present);
  return error;
}
jsonrpc::Error unavailable(std::string sentence) {
  return make(kUnavailable, "unavailable", "", nullptr, std::move(sentence));
}
jsonrpc::Error unsupported(const std::string& field, Json value, std::string sentence) {
  return make(kUnsupported, "unsupported", field, std::move(value), std::move(sentence));
}

}  // namespace vswitch::api
