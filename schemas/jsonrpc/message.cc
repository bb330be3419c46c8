// SPDX-License-Identifier: Apache-2.0
#include "schemas/jsonrpc/message.h"

#include <utility>

namespace vswitch::jsonrpc {
namespace {

Json take(Json& object, const char* member) {
  const auto it = object.find(member);
  return it == object.end() ? Json() : std::move(*it);
}

Message parse_v1(Json& object) {
  const Json id = take(object, "id");
  const auto invalid = [&id](const std::string& why, Json data = nullptr) {
    return InvalidMessage(Version::v1, id, why, std::move(data));
  };
  const bool has_outcome = object.contains("result") || object.contains("error");
  Json method = take(object, "method");
  Json params = take(object, "params");
  Json result = take(object, "result");
  Json error = take(object, "error");
  if (method.is_null()) {
    if (id.is_null() || !has_outcome || !params.is_null() || !(result.is_null() || error.is_null())) {
      throw invalid("a message needs a \"method\", or an \"id\" with one of \"result\" and \"error\"");
    }
    return Response{Version::v1, id, std::move(result), std::move(error)};
  }
  if (!method.is_string())
    throw invalid("\"method\" must be a string", {{"field", "method"}, {"value", method}});
  if (!params.is_array())
    throw invalid("\"params\" must be an array", {{"field", "params"}, {"value", params}});
  if (!result.is_null() || !error.is_null()) throw invalid("a request has no \"result\" and no \"error\"");
  return Request{Version::v1, id, !id.is_null(), method.get<std::string>(), std::move(params)};
}

Message parse_v2(Json& object) {
  const bool has_id = object.contains("id");
  Json id = take(object, "id");
  if (!id.is_string() && !id.is_number() && !id.is_null()) {
    throw InvalidMessage(Version::v2, nullptr, "\"id\" must be a string, a number or null",
                         {{"field", "id"}, {"value", id}});
  }
  const auto invalid = [&id](const std::string& why, Json data) {
    return InvalidMessage(Version::v2, id, why, std::move(data));
  };
  const Json& version = object["jsonrpc"];
  if (version != "2.0") {
    throw invalid("\"jsonrpc\" must be \"2.0\" (leave it out for JSON-RPC 1.0)",
                  {{"field", "jsonrpc"}, {"value", version}});
  }
  if (!object.contains("method") && has_id && object.contains("result") != object.contains("error")) {
    return Response{Version::v2, std::move(id), take(object, "result"), take(object, "error")};
  }
  Json method = take(object, "method");
  if (!method.is_string())
    throw invalid("\"method\" must be a string", {{"field", "method"}, {"value", method}});
  const bool has_params = object.contains("params");
  Json params = has_params ? take(object, "params") : Json::object();
  if (!params.is_structured()) {
    throw invalid("\"params\" must be an object or an array", {{"field", "params"}, {"value", params}});
  }
  return Request{Version::v2, std::move(id), has_id, method.get<std::string>(), std::move(params)};
}

}  // namespace

Error invalid_params(std::string message, const std::string& field, Json value) {
  return Error(kInvalidParams, std::move(message), {{"field", field}, {"value", std::move(value)}});
}

Message parse_message(Json value) {
  if (!value.is_object()) {
    throw InvalidMessage(Version::v1, nullptr, "a message must be a JSON object", nullptr);
  }
  return value.contains("jsonrpc") ? parse_v2(value) : parse_v1(value);
}

Json make_request(Version version, Json id, std::string method, Json params) {
  Json message = make_notification(version, std::move(method), std::move(params));
  message["id"] = std::move(id);
  return message;
}

Json make_notification(Version version, std::string method, Json params) {
  Json message = {{"method", std::move(method)}, {"params", std::move(params)}};
  if (version == Version::v1) {
    message["id"] = nullptr;
  } else {
    message["jsonrpc"] = "2.0";
  }
  return message;
}

Json make_result(Version version, Json id, Json result) {
  Json message = {{"id", std::move(id)}, {"result", std::move(result)}};
  if (version == Version::v1) {
    message["error"] = nullptr;
  } else {
    message["jsonrpc"] = "2.0";
  }
  return message;
}

Json make_error(Version version, Json id, const Error& error) {
  if (version == Version::v1) {
    return make_error_v1(std::move(id), error.data.is_null() ? Json(error.message) : error.data);
  }
  Json object = {{"code", error.code}, {"message", error.message}};
  if (!error.data.is_null()) object["data"] = error.data;
  return {{"jsonrpc", "2.0"}, {"id", std::move(id)}, {"error", std::move(object)}};
}

Json make_error_v1(Json id, Json error) {
  return {{"id", std::move(id)}, {"result", nullptr}, {"error", std::move(error)}};
}

std::string to_text(const Json& message) {
  return message.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace vswitch::jsonrpc
