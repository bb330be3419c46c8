// SPDX-License-Identifier: Apache-2.0
#include "switchd/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <string_view>

namespace vswitch {
namespace {

bool exists_as_directory(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

/// Where a link of root or of our own leads; empty for anybody else's. Owner and target are read from one
/// descriptor, so they belong to the same link.
std::filesystem::path target_of_own_link(const std::filesystem::path& path) {
  const int link = ::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (link < 0) return {};
  struct stat status {};
  std::array<char, PATH_MAX> target;
  const bool known = ::fstat(link, &status) == 0;
  const ssize_t length = ::readlinkat(link, "", target.data(), target.size());
  ::close(link);
  const bool own = known && (status.st_uid == 0 || status.st_uid == ::geteuid());
  if (!own || length <= 0) return {};
  return path.parent_path() / std::string_view(target.data(), static_cast<std::size_t>(length));
}

}  // namespace

std::error_code make_directories(const std::filesystem::path& path) {
  if (path.empty() || exists_as_directory(path)) return {};
  if (const std::error_code error = make_directories(path.parent_path())) return error;
  if (::mkdir(path.c_str(), 0755) == 0) return {};
  const int cause = errno;
  if (exists_as_directory(path)) return {};  // another process made it meanwhile
  return {cause == EEXIST ? ENOTDIR : cause, std::generic_category()};
}

int open_past_own_link(const std::string& path, int flags, mode_t mode) {
  const int fd = ::open(path.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd >= 0 || errno != ELOOP) return fd;
  const std::filesystem::path target = target_of_own_link(path);
  if (!target.empty()) return ::open(target.c_str(), flags | O_CLOEXEC, mode);
  errno = ELOOP;
  return -1;
}

}  // namespace vswitch
