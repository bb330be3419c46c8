// SPDX-License-Identifier: Apache-2.0
// JSON in files that the user names.
#pragma once

#include <string>

#include "schemas/json.h"

namespace vswitch::ctl {

/// The value in a file, or on standard input if the path is "-". Throws UsageError as read_input(), with line and
/// column if it is not JSON, and if it is nested too deeply.
Json read_json(const std::string& path);

/// The same for a document that people write: two members of one name are an error, because one of them would
/// be lost.
Json read_json_without_repeats(const std::string& path);

}  // namespace vswitch::ctl
