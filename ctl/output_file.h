// SPDX-License-Identifier: Apache-2.0
// Files that the tool writes.
#pragma once

#include <string>
#include <string_view>

namespace vswitch::ctl {

/// Writes a file as a whole: a regular file is replaced only once the new one is complete and on disk. Throws
/// UsageError if it cannot be written; the old file is then still there.
void write_output(const std::string& path, std::string_view text);

}  // namespace vswitch::ctl
