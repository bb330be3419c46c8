// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/echo.h"

#include <utility>
#include <variant>

namespace vswitch::control {

std::optional<Echo> echo_of(std::string_view message) {
  if (!message.starts_with('{') || message.find("\"echo\"") == std::string_view::npos) return std::nullopt;
  try {
    jsonrpc::Message parsed = jsonrpc::parse_message(Json::parse(message));
    auto* request = std::get_if<jsonrpc::Request>(&parsed);
    if (!request || !request->wants_reply || request->method != "echo") return std::nullopt;
    return Echo{request->version, jsonrpc::to_text(jsonrpc::make_result(
                                      request->version, std::move(request->id), std::move(request->params)))};
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const jsonrpc::Error&) {
    return std::nullopt;
  }
}

}  // namespace vswitch::control
