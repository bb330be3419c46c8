// SPDX-License-Identifier: Apache-2.0
// The run directory and the pid file in it, whose lock marks the directory as taken.
//
// The lock is a POSIX one (fcntl) because ovs-appctl asks the kernel about that kind: it reads the pid from
// DIR/ovs-vswitchd.pid, requires that this very process holds a write lock on the file, and then connects to
// DIR/ovs-vswitchd.<pid>.ctl. Such a lock ends with its process however that dies, and also if the process
// closes any descriptor of the file: nothing else in the daemon may open it. It is not inherited over fork():
// take it in the child.
//
// vswitchd is the switch and its database server in one, so it goes by both names: `ovs-appctl -t
// ovsdb-server` finds it as well.
#pragma once

#include <deque>
#include <string>
#include <vector>

namespace vswitch {

class RunDirectory {
 public:
  /// Creates the directory (0755 at most) and its parents if missing, takes the locks and removes the operator
  /// sockets of the process that had it before. Throws std::runtime_error with a sentence, which names the
  /// pid if another daemon is running here.
  explicit RunDirectory(std::string path);

  const std::string& path() const { return path_; }
  std::string control_socket() const { return path_ + "/db.sock"; }
  /// For clients that may only read: any user of the host.
  std::string read_only_socket() const { return path_ + "/db-ro.sock"; }
  /// One for each name of the daemon.
  std::vector<std::string> operator_sockets() const;

 private:
  /// DIR/NAME.pid, locked.
  class PidFile {
   public:
    PidFile(const std::string& directory, const std::string& name);
    PidFile(const PidFile&) = delete;
    PidFile& operator=(const PidFile&) = delete;
    /// Removes the file, then releases the lock.
    ~PidFile();

   private:
    std::string path_;
    int fd_;
  };

  std::string path_;
  std::deque<PidFile> pid_files_;
};

}  // namespace vswitch
