// SPDX-License-Identifier: Apache-2.0
#include "switchd/service.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

namespace vswitch {
namespace {

// The rest of the parent's life: one byte means that the child serves, end of file without it means that the
// child has ended.
[[noreturn]] void wait_for_child(int pipe, pid_t child) {
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::read(pipe, &byte, 1);
  } while (got < 0 && errno == EINTR);
  if (got == 1) ::_exit(0);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) ::_exit(WEXITSTATUS(status));
  std::fprintf(stderr, "vswitchd: the daemon ended before it was ready%s\n",
               WIFSIGNALED(status) ? ", killed by a signal" : "");
  ::_exit(1);
}

}  // namespace

void notify_service_manager(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (!path || (path[0] != '/' && path[0] != '@') || std::strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&address),
           length);
  ::close(fd);
}

std::optional<std::chrono::microseconds> watchdog_interval() {
  const char* limit = std::getenv("WATCHDOG_USEC");
  const char* process = std::getenv("WATCHDOG_PID");
  if (limit == nullptr || (process != nullptr && std::strtol(process, nullptr, 10) != ::getpid()))
    return std::nullopt;
  const std::chrono::microseconds interval(std::strtoll(limit, nullptr, 10) / 2);
  return interval.count() > 0 ? std::optional(interval) : std::nullopt;
}

void raise_open_files_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::size_t open_files_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

Detach Detach::go() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child > 0) {
    ::close(ends[1]);
    wait_for_child(ends[0], child);
  }
  ::close(ends[0]);
  ::setsid();
  return Detach(ends[1]);
}

Detach::Detach(Detach&& other) noexcept : pipe_(std::exchange(other.pipe_, -1)) {}

Detach::~Detach() {
  if (pipe_ >= 0) ::close(pipe_);
}

void Detach::leave_terminal() {
  if (pipe_ < 0) return;
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
  if (null > STDERR_FILENO) ::close(null);
}

void Detach::ready() {
  if (pipe_ < 0) return;
  while (::write(pipe_, "R", 1) < 0 && errno == EINTR) {
  }
  ::close(std::exchange(pipe_, -1));
}

}  // namespace vswitch
