// SPDX-License-Identifier: Apache-2.0
// What a process does to be a service: tell systemd, go to the background, raise its limits.
#pragma once

#include <string>

namespace vswitch {

/// Sends a state such as "READY=1" to the service manager (sd_notify(3)). Does nothing when NOTIFY_SOCKET is
/// not set, and never fails: whether anybody listens is not the daemon's business.
void notify_service_manager(const std::string& state);

/// Raises the soft limit of open files to the hard one: a switch has several sockets a port and worker.
void raise_open_files_limit();

/// --detach: the parent stays until the child says that it serves, and ends with status 0 then, so that a
/// script's next line finds the daemon. When the child ends before, the parent has its status and the reason
/// is on standard error.
class Detach {
 public:
  /// Forks; returns in the child only. To be called before any thread or io_context exists.
  static Detach go();
  /// A foreground process: ready() does nothing.
  Detach() = default;
  Detach(Detach&& other) noexcept;
  ~Detach();

  /// Lets the parent go, and the terminal: standard input, output and error become /dev/null.
  void ready();

 private:
  explicit Detach(int pipe) : pipe_(pipe) {}
  int pipe_ = -1;
};

}  // namespace vswitch
