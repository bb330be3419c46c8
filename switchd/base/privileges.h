// SPDX-License-Identifier: Apache-2.0
// What this process may do beyond an ordinary one, and giving up what a switch does not need.
//
// Capabilities belong to threads: they are given up before the second thread starts, so that the daemon has been
// without the others from its first file on, however it was started.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace vswitch::privileges {

/// What the switch needs. `use` completes "without CAP_..., ".
struct Capability {
  const char* name;  ///< as in capabilities(7), without CAP_ and in lower case
  unsigned number;
  bool of_the_host;  ///< the kernel asks for it in the initial user namespace
  const char* without;
};
const std::vector<Capability>& needed();

/// By name or number; nullopt if there is none of this name.
std::optional<gid_t> group_called(const std::string& name);

struct Request {
  std::string user;       ///< to become this one; empty: see confine()
  std::string group;      ///< a group of the sockets: the process joins it, so that it may give them to it
  std::string rundir;     ///< if it is created here, it belongs to the user
  std::string directory;  ///< of the database
};

/// Keeps needed() of what this process has, and nothing else: as effective, permitted and bounding set, without
/// inheritable and ambient ones, and without a way to gain any by execve(2). Raises before that what an ordinary process
/// may not raise later: locked memory (AF_XDP), and the limit of setpriority(2) to that of a usual process.
///
/// If it runs as root in the initial user namespace, it becomes the user of the request; without one, "vswitch" if
/// `directory` belongs to it, as the package makes it. Otherwise it stays who it is.
///
/// Call it while the process has one thread. Throws std::runtime_error with a sentence.
void confine(const Request& request);

/// What the process is now, as the kernel says.
struct State {
  std::string user;  ///< name, or number if it has none
  std::vector<std::string>
      capabilities;       ///< effective, as Capability::name; also those that the switch does not need
  bool filtered = false;  ///< system calls are (system_calls.h)
};
State state();

/// One sentence for each capability that the switch needs and this process lacks.
std::vector<std::string> missing();

}  // namespace vswitch::privileges
