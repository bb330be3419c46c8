// SPDX-License-Identifier: Apache-2.0
// The answer to `echo`, from text to text. It needs no handler and no database, so any thread can give it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schemas/jsonrpc/message.h"

namespace vswitch::control {

struct Echo {
  jsonrpc::Version version;
  std::string answer;  ///< as text
};

/// The echo that a message asks for; nullopt if it is anything else, and for what is not a valid message. Any
/// thread.
std::optional<Echo> echo_of(std::string_view message);

}  // namespace vswitch::control
