// SPDX-License-Identifier: Apache-2.0
// The daemon as a whole: what is made in which order, and taken down in the reverse one.
//
//     log -> run directory (its lock) -> database -> switch -> handlers -> control sockets -> settings of the
//     database in the datapath -> operator sockets -> ready
//
// The database is served while its settings are being applied: who waits for the switch waits for cur_cfg, or
// for the answer of the session API. Sockets go first, so that no client meets half a daemon; the lock comes
// first and goes last, so that a successor never meets the devices or the file of its predecessor.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vswitch {

struct DaemonOptions {
  std::string rundir = "/run/vswitch";
  std::string database = "/var/lib/vswitch/conf.db";
  std::vector<std::string> remotes;  ///< besides DIR/db.sock, in the notation of parse_remote()
  std::string group;                 ///< of the sockets, a name or number; empty leaves the daemon's own
  unsigned workers = 0;              ///< forwarding threads; 0 = what the database says
};

class Daemon {
 public:
  /// Makes everything, and returns when what the database says is in the datapath. Throws std::exception with
  /// a sentence; what was made is gone then.
  explicit Daemon(const DaemonOptions& options);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  /// Works until SIGTERM, SIGINT or the operator's `exit`. SIGHUP opens the log file again.
  void run();

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace vswitch
