// SPDX-License-Identifier: Apache-2.0
// Files and directories in places where others may write too.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace vswitch {

/// Creates a directory and its missing parents. Others may read them at most (0755), whatever the umask is.
std::error_code make_directories(const std::filesystem::path& path);

/// open(2) that follows a symbolic link at the end of the path only if it belongs to root or to the user of
/// this process: a link of anybody else could lead into a file that only this process may write. Then -1 with
/// ELOOP. O_CLOEXEC is implied.
int open_past_own_link(const std::string& path, int flags, mode_t mode);

}  // namespace vswitch
