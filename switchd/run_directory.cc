// SPDX-License-Identifier: Apache-2.0
#include "switchd/run_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "switchd/base/files.h"

namespace vswitch {
namespace {

std::system_error failed(const std::string& what) {
  return {errno, std::generic_category(), what};
}

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::string owner_of_lock(int fd) {
  struct flock lock = whole_file();
  const bool known = ::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0;
  return known ? "pid " + std::to_string(lock.l_pid) : "a process in another pid namespace";
}

bool same_file(int fd, const std::string& path) {
  struct stat opened {
  }, named{};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

// A daemon that is just ending unlinks the file between our open() and our lock. The locked file then has no
// name: try again.
int open_and_lock(const std::string& path) {
  for (;;) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) throw failed("cannot open the pid file " + path);
    struct flock lock = whole_file();
    if (::fcntl(fd, F_SETLK, &lock) != 0) {
      const std::string owner = owner_of_lock(fd);
      ::close(fd);
      throw std::runtime_error(path + ": a daemon is already running on this run directory (" + owner + ")");
    }
    if (same_file(fd, path)) return fd;
    ::close(fd);
  }
}

constexpr std::array<const char*, 2> kNames = {"ovs-vswitchd", "ovsdb-server"};

std::string operator_socket_of(const std::string& directory, const std::string& name, pid_t pid) {
  return directory + '/' + name + '.' + std::to_string(pid) + ".ctl";
}

// The pid of a daemon that did not exit cleanly; 0 if there is none.
pid_t previous_pid(int fd) {
  char text[24] = "";
  return ::pread(fd, text, sizeof text - 1, 0) > 0 ? static_cast<pid_t>(std::strtol(text, nullptr, 10)) : 0;
}

}  // namespace

RunDirectory::PidFile::PidFile(const std::string& directory, const std::string& name)
    : path_(directory + '/' + name + ".pid"), fd_(open_and_lock(path_)) {
  if (const pid_t previous = previous_pid(fd_); previous > 0)
    ::unlink(operator_socket_of(directory, name, previous).c_str());
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd_, 0) != 0 ||
      ::pwrite(fd_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    const auto why = failed("cannot write the pid file " + path_);
    ::close(fd_);
    throw why;
  }
}

RunDirectory::PidFile::~PidFile() {
  ::unlink(path_.c_str());
  ::close(fd_);
}

RunDirectory::RunDirectory(std::string path) : path_(std::move(path)) {
  if (const std::error_code error = make_directories(path_))
    throw std::system_error(error, "cannot make the run directory " + path_);
  for (const char* name : kNames) pid_files_.emplace_back(path_, name);
}

std::vector<std::string> RunDirectory::operator_sockets() const {
  std::vector<std::string> sockets;
  sockets.reserve(std::size(kNames));
  for (const char* name : kNames) sockets.push_back(operator_socket_of(path_, name, ::getpid()));
  return sockets;
}

}  // namespace vswitch
