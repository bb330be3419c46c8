// SPDX-License-Identifier: Apache-2.0
// vswitch-ctl: the tool in front of the session API.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <thread>

#include "ctl/program.h"

namespace {

/// In place of this program: the one beside it, or else in PATH.
int become_vswitchd(const std::vector<std::string>& arguments) {
  std::vector<char*> argv{const_cast<char*>("vswitchd")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) ::execv((self.parent_path() / "vswitchd").c_str(), argv.data());
  ::execvp(argv.front(), argv.data());
  throw vswitch::ctl::NoDaemon("cannot run vswitchd, which does this: " + std::string(std::strerror(errno)),
                               "install it beside vswitch-ctl, or in PATH");
}

/// A descriptor that the caller has closed would be that of the next file or socket: what is printed would go to the
/// daemon. It becomes one that refuses what it is for.
void fill_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
      // The lowest free one, which is this.
      if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
        std::_Exit(vswitch::ctl::kFailed);
    }
  }
}

vswitch::ctl::Screen size_of_terminal() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {};
  return {size.ws_col, size.ws_row};
}

}  // namespace

int main(int argc, char** argv) {
  namespace ctl = vswitch::ctl;
  fill_standard_descriptors();
  ctl::World world{
      .out = std::cout,
      .err = std::cerr,
      .environment =
          [](const char* name) {
            const char* value = std::getenv(name);
            return value == nullptr ? std::nullopt : std::optional<std::string>(value);
          },
      .connect = {},  // below: it needs the keys
      .sleep = [](std::chrono::duration<double> time) { std::this_thread::sleep_for(time); },
      .run_vswitchd = become_vswitchd,
      .terminal = ::isatty(STDOUT_FILENO) == 1,
      .size = size_of_terminal,
  };
  world.connect = [&world](const std::string& daemon, std::chrono::milliseconds timeout) {
    return ctl::connect_to(daemon, timeout, world.keys);
  };
  return ctl::run({argv + 1, argv + argc}, world);
}
