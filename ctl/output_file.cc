// SPDX-License-Identifier: Apache-2.0
#include "ctl/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ctl/command.h"

namespace vswitch::ctl {
namespace {

constexpr mode_t kMode = 0666;  // less what the user's umask takes

[[noreturn]] void refuse_output(const std::string& path, int error) {
  throw UsageError("cannot write " + path + ": " + std::strerror(error));
}

/// Returns the error, 0 if all was written.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

}  // namespace

void write_output(const std::string& path, std::string_view text) {
  struct stat status {};
  const bool is_there = ::stat(path.c_str(), &status) == 0;
  const bool replaces = !is_there || S_ISREG(status.st_mode);
  const std::string file = replaces ? path + ".new-" + std::to_string(::getpid()) : path;
  const int fd =
      ::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | (replaces ? O_CREAT | O_EXCL : 0), kMode);
  if (fd < 0) refuse_output(path, errno);
  if (replaces && is_there) ::fchmod(fd, status.st_mode & 07777);
  int error = write_all(fd, text);
  if (error == 0 && replaces && ::fsync(fd) != 0) error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && replaces && ::rename(file.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return;
  if (replaces) ::unlink(file.c_str());
  refuse_output(path, error);
}

}  // namespace vswitch::ctl
