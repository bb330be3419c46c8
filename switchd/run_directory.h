// SPDX-License-Identifier: Apache-2.0
// The run directory and the pid file in it, whose lock says that the directory is taken.
//
// The lock is a POSIX one (fcntl) because that is what ovs-appctl asks the kernel about: it reads the pid
// from DIR/ovs-vswitchd.pid, demands that this very process holds a write lock on the file, and then connects
// to DIR/ovs-vswitchd.<pid>.ctl. Such a lock ends with its process however that dies, and also when the
// process closes any descriptor of the file: nobody else in the daemon may open it. It is not inherited over
// fork(): take it in the child.
#pragma once

#include <string>

namespace vswitch {

class RunDirectory {
 public:
  /// Makes the directory (0755) and its parents when missing, takes the lock and removes the operator socket
  /// of the process that had it before. Throws std::runtime_error with a sentence, which names the pid when
  /// another daemon is here.
  explicit RunDirectory(std::string path);
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;
  /// Removes the pid file, then gives up the lock.
  ~RunDirectory();

  const std::string& path() const { return path_; }
  std::string control_socket() const { return path_ + "/db.sock"; }
  std::string operator_socket() const;

 private:
  std::string path_;
  std::string pid_file_;
  int fd_ = -1;
};

}  // namespace vswitch
