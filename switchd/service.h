// SPDX-License-Identifier: Apache-2.0
// What a process does to be a service: notify systemd, go to the background, raise its limits.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace vswitch {

/// Sends a state such as "READY=1" to the service manager (sd_notify(3)). Does nothing if NOTIFY_SOCKET is
/// not set, and never fails: the daemon does not depend on a listener.
void notify_service_manager(const std::string& state);

/// Half of the time within which the service manager wants to hear "WATCHDOG=1" (sd_watchdog_enabled(3)); nullopt if it
/// does not.
std::optional<std::chrono::microseconds> watchdog_interval();

/// Raises the soft limit of open files to the hard limit: a switch has several sockets per port and worker.
void raise_open_files_limit();
/// The soft limit.
std::size_t open_files_limit();

/// --detach: the parent waits until the child serves, and then exits with status 0, so that a script's next
/// line finds the daemon. If the child ends before that, the parent exits with its status, and the reason is
/// on standard error.
class Detach {
 public:
  /// Forks; returns in the child only. Call it before any thread or io_context exists.
  static Detach go();
  /// A foreground process: the others do nothing.
  Detach() = default;
  Detach(Detach&& other) noexcept;
  ~Detach();

  /// Standard input, output and error become /dev/null.
  void leave_terminal();
  /// Releases the parent.
  void ready();

 private:
  explicit Detach(int pipe) : pipe_(pipe) {}
  int pipe_ = -1;
};

}  // namespace vswitch
