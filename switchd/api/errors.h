// SPDX-License-Identifier: Apache-2.0
// The refusals of the session API: code, sentence, and data with reason, field and value (ErrorData in
// control.openrpc.json).
#pragma once

#include <string>

#include "schemas/jsonrpc/message.h"

namespace vswitch::api {

inline constexpr int kNotFound = 1001;
inline constexpr int kExists = 1002;
inline constexpr int kConflict = 1003;
inline constexpr int kRefused = 1004;
inline constexpr int kUnavailable = 1005;
inline constexpr int kUnsupported = 1006;
inline constexpr int kChanged = 1008;

jsonrpc::Error invalid(const std::string& field, Json value, std::string sentence);
jsonrpc::Error not_found(const std::string& field, Json value, std::string sentence);
jsonrpc::Error exists(const std::string& field, Json value, std::string sentence);
jsonrpc::Error conflict(const std::string& field, Json value, std::string sentence);
jsonrpc::Error refused(const std::string& field, Json value, std::string sentence);
/// data.revision is the present one, null if there is no such object.
jsonrpc::Error changed_meanwhile(Json if_revision, Json present, std::string sentence);
jsonrpc::Error unavailable(std::string sentence);
jsonrpc::Error unsupported(const std::string& field, Json value, std::string sentence);

}  // namespace vswitch::api
