// SPDX-License-Identifier: Apache-2.0
// Files that the user names: whatever the path turns out to be, there is a sentence about it.
#pragma once

#include <string>

namespace vswitch::ctl {

/// A descriptor for reading a file, or a fifo that somebody writes to (`<(...)` of a shell is one). The caller
/// closes it. Throws UsageError if it cannot be opened, if it is a directory, a device or a socket, or if
/// nobody opens the fifo for writing within a second.
int open_input(const std::string& path);

/// The bytes of a file, or of standard input if the path is "-". Throws UsageError as open_input(), if reading
/// fails, and if it is larger than the largest request.
std::string read_input(const std::string& path);

}  // namespace vswitch::ctl
