// SPDX-License-Identifier: Apache-2.0
#include "switchd/db/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

namespace vswitch::ovsdb {
namespace {

constexpr std::string_view kTorn = ".torn-";
constexpr std::size_t kStampLength = 16;  // 20260105T080000Z
constexpr int kMaxOfOneSecond = 100;

std::string stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[kStampLength + 1] = "";
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc);
  return text;
}

/// "20260105T080000Z" and "20260105T080000Z-1", but not a name that somebody gave to a copy worth keeping.
bool is_stamped(std::string_view rest) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (rest.size() < kStampLength || rest[8] != 'T' || rest[kStampLength - 1] != 'Z') return false;
  if (!std::all_of(rest.begin(), rest.begin() + 8, is_digit)) return false;
  if (!std::all_of(rest.begin() + 9, rest.begin() + kStampLength - 1, is_digit)) return false;
  rest.remove_prefix(kStampLength);
  if (rest.empty()) return true;
  return rest.size() > 1 && rest[0] == '-' && std::all_of(rest.begin() + 1, rest.end(), is_digit);
}

/// The copies beside the file, oldest first: their names are their times.
std::vector<std::filesystem::path> torn_copies(const std::string& path) {
  const std::string prefix = std::filesystem::path(path).filename().string() + std::string(kTorn);
  std::vector<std::filesystem::path> copies;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_of(path), error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && is_stamped(std::string_view(name).substr(prefix.size())))
      copies.push_back(entry.path());
  }
  std::sort(copies.begin(), copies.end());
  return copies;
}

/// Disks are finite: a machine that loses power every night must not fill its own.
/// The newest one stays even if its time is the lowest: a machine without power may have lost its clock too.
void remove_oldest_copies(const std::string& path, const std::string& newest) {
  std::vector<std::filesystem::path> copies = torn_copies(path);
  std::erase_if(copies, [&newest](const auto& copy) { return copy.filename() == newest; });
  for (std::size_t i = 0; i + kMaxTornCopies <= copies.size(); ++i) ::unlink(copies[i].c_str());
}

/// Owner and mode of the file it stands for are kept as far as this process is allowed to.
void look_like(int fd, const struct stat& like) {
  // The owner first: a change of it clears set-user-ID bits, and the mode must not open the file to another
  // group for a moment.
  if (::fchown(fd, like.st_uid, like.st_gid) < 0 || ::fchmod(fd, like.st_mode & 07777) < 0) errno = 0;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

bool write_all(int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      if (written == 0) errno = ENOSPC;
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return true;
}

Descriptor write_new_file(const std::string& name, std::string_view bytes, const struct stat* like) {
  Descriptor fd(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (fd.get() < 0) fail("cannot create " + name);
  if (like) look_like(fd.get(), *like);
  if (write_all(fd.get(), bytes, 0) && ::fsync(fd.get()) == 0) return fd;
  const int cause = errno;
  ::unlink(name.c_str());
  errno = cause;
  fail("cannot write " + name);
}

std::string directory_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

void sync_directory(const std::string& path) {
  const Descriptor directory(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) < 0) fail("cannot sync the directory of " + path);
}

std::string keep_torn_copy(const std::string& path, std::string_view bytes, const struct stat& like) {
  const std::string first = path + std::string(kTorn) + stamp();
  std::string name = first;
  for (int more = 1;; ++more) {
    try {
      write_new_file(name, bytes, &like);
      break;
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::file_exists || more == kMaxOfOneSecond) throw;
      name = first + '-' + std::to_string(more);
    }
  }
  sync_directory(path);
  remove_oldest_copies(path, std::filesystem::path(name).filename().string());
  return name;
}

}  // namespace vswitch::ovsdb
