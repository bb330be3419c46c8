// SPDX-License-Identifier: Apache-2.0
// JSON-RPC messages of both versions, in one set of types.
//
// The control socket speaks JSON-RPC 1.0 (RFC 7047, OVSDB) and 2.0 (the session API) side by side. The
// message itself shows its version: it is 2.0 if it has a "jsonrpc" member, else 1.0. The differences are
// kept here:
//
//                   1.0                                    2.0
//     notification  id null or missing                     id missing
//     params        array, required                        array or object, optional
//     result        {"id","result","error":null}           {"jsonrpc","id","result"}
//     error         any non-null JSON value                {"code","message","data"}
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <variant>

#include "schemas/json.h"

namespace vswitch::jsonrpc {

enum class Version : std::uint8_t { v1, v2 };

/// Codes of the JSON-RPC 2.0 specification, section 5.1. Codes of our own are positive and are listed in
/// control.openrpc.json.
inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kInternalError = -32603;

/// A refusal, thrown by handlers or passed to Reply::fail(): a code, a sentence a person can act on, and data
/// naming the field and the offending value. In a 1.0 reply the error is `data`, or the sentence if data is
/// null.
struct Error : std::exception {
  Error(int code_, std::string message_, Json data_ = nullptr)
      : code(code_), message(std::move(message_)), data(std::move(data_)) {}
  const char* what() const noexcept override { return message.c_str(); }

  int code;
  std::string message;
  Json data;
};

/// -32602 for one parameter: data becomes {"field": field, "value": value}.
Error invalid_params(std::string message, const std::string& field, Json value = nullptr);

struct Request {
  Version version = Version::v2;
  Json id;                   ///< null for a notification
  bool wants_reply = false;  ///< false for a notification; 2.0 allows a request with id null
  std::string method;
  Json params;  ///< 1.0: always an array. 2.0: array or object, an empty object when the message has none
};

struct Response {
  Version version = Version::v2;
  Json id;
  Json result;  ///< null if error is set
  Json error;   ///< null if the request succeeded
};

using Message = std::variant<Request, Response>;

/// A JSON value that is not a message. `version` and `id` are set as far as they could be recognized.
struct InvalidMessage : Error {
  InvalidMessage(Version version_, Json id_, std::string message_, Json data_)
      : Error(kInvalidRequest, std::move(message_), std::move(data_)),
        version(version_),
        id(std::move(id_)) {}
  Version version;
  Json id;
};

/// Reads a JSON object as a message. Throws InvalidMessage. The caller splits a 2.0 batch (an array).
Message parse_message(Json value);

Json make_request(Version version, Json id, std::string method, Json params);
Json make_notification(Version version, std::string method, Json params);
Json make_result(Version version, Json id, Json result);
/// The error in the form of the version: see Error.
Json make_error(Version version, Json id, const Error& error);
/// A 1.0 error reply with exactly this error value (a string, or an object with "error" and "details").
Json make_error_v1(Json id, Json error);

/// Compact text. In strings that are not UTF-8 (a device name can be any bytes), U+FFFD replaces the bad
/// bytes.
std::string to_text(const Json& message);

}  // namespace vswitch::jsonrpc
