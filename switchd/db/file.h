// SPDX-License-Identifier: Apache-2.0
// What the database needs of files: whole writes, new files that nobody has prepared, and syncs.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace vswitch::ovsdb {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  int get() const { return fd_; }

 private:
  int fd_;
};

/// Throws std::system_error of errno.
[[noreturn]] void fail(const std::string& what);

/// False with errno if not everything could be written.
bool write_all(int fd, std::string_view bytes, std::uint64_t offset);

/// A new file with these bytes, on disk once the directory is synced, open for reading and writing. Throws
/// std::system_error if there is anything of this name, a symbolic link included, or if it cannot be written;
/// then it is removed. Owner and mode are those of `like` as far as this process may set them, 0640 without.
Descriptor write_new_file(const std::string& name, std::string_view bytes, const struct stat* like);

/// "." for a path without a directory.
std::string directory_of(const std::string& path);
/// Makes new names in the directory of a path durable. Throws std::system_error.
void sync_directory(const std::string& path);

/// Keeps bytes that are about to be cut off a file, as `<path>.torn-<time>` with owner and mode of the file.
/// Returns the name, once the copy is on disk. Only the newest kMaxTornCopies are kept. Throws
/// std::system_error.
std::string keep_torn_copy(const std::string& path, std::string_view bytes, const struct stat& like);
inline constexpr std::size_t kMaxTornCopies = 16;

}  // namespace vswitch::ovsdb
