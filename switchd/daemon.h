// SPDX-License-Identifier: Apache-2.0
// The daemon as a whole: the order in which its parts are created; they are destroyed in reverse.
//
//     log -> run directory (its lock) -> database -> switch -> handlers -> control sockets -> settings of the
//     database in the datapath -> operator sockets -> ready
//
// The database is served while its settings are being applied: clients that depend on the switch wait for
// cur_cfg, or for the answer of the session API. Sockets are closed first, so no client meets half a daemon;
// the lock is taken first and released last, so a successor never meets the devices or the file of its
// predecessor.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "wire/tls.h"

namespace vswitch {

struct DaemonOptions {
  std::string rundir = "/run/vswitch";
  std::string database = "/var/lib/vswitch/conf.db";
  std::vector<std::string> remotes;            ///< besides DIR/db.sock, in the notation of parse_remote()
  std::vector<std::string> read_only_remotes;  ///< the same, for clients that may only read
  wire::TlsFiles tls;            ///< empty, or db:Open_vSwitch,SSL,COLUMN: those of the table SSL
  std::string group;             ///< group of the sockets, a name or number; empty: the daemon's own
  unsigned workers = 0;          ///< forwarding threads; 0: as set in the database
  bool kernel_fast_path = true;  ///< false: none, whatever is set in the database
  bool delete_transient_ports = false;
};

class Daemon {
 public:
  /// Creates everything, and returns when the settings of the database are in the datapath. Throws
  /// std::exception with a sentence, after destroying what was created.
  explicit Daemon(const DaemonOptions& options) REQUIRES(roles::control);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  /// Runs until SIGTERM, SIGINT or the operator's `exit`. SIGHUP opens the log file again.
  void run() REQUIRES(roles::control);

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace vswitch
