// SPDX-License-Identifier: Apache-2.0
#include "schemas/ovsdb/error.h"

#include "schemas/json.h"

namespace vswitch::ovsdb {

Error::Error(std::string error_, std::string details_, std::string syntax_)
    : error(std::move(error_)), details(std::move(details_)), syntax(std::move(syntax_)) {
  sentence_ = details.empty() ? error : error + ": " + details;
  if (!syntax.empty()) sentence_ += " (in " + syntax.substr(0, 200) + ")";
}

Json Error::to_json() const {
  Json json = {{"error", error}};
  if (!details.empty()) json["details"] = details;
  if (!syntax.empty()) json["syntax"] = syntax;
  return json;
}

Error syntax_error(const Json& where, std::string details) {
  // replace: the text may not be UTF-8, and reporting an error about it must not throw another one.
  return Error("syntax error", std::move(details),
               where.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace vswitch::ovsdb
