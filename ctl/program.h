// SPDX-License-Identifier: Apache-2.0
// The tool from its arguments to its exit status, with everything outside of it passed in.
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ctl/client.h"
#include "ctl/screen.h"

namespace vswitch::ctl {

/// Exit status, as the contract defines it, and kFailed: the tool met something that nobody has foreseen, so it
/// cannot say what the daemon has done. kDiffers: a dry run would change something.
enum Status : int { kDone = 0, kRefused = 1, kWrongUsage = 2, kNoDaemon = 3, kFailed = 4, kDiffers = 5 };

/// The environment of the program.
struct World {
  std::ostream& out;
  std::ostream& err;
  std::function<std::optional<std::string>(const char*)> environment;
  std::function<std::unique_ptr<Caller>(const std::string& socket_path, std::chrono::milliseconds timeout)>
      connect;
  std::function<void(std::chrono::duration<double>)> sleep;  ///< between two iterations of --watch
  /// Runs vswitchd to its end. Returns its exit status; throws NoDaemon if it cannot be found.
  std::function<int(const std::vector<std::string>& arguments)> run_vswitchd;
  wire::TlsFiles keys = {};           ///< for connect() to ssl:, as the options name them
  bool terminal = false;              ///< out is a terminal: --watch redraws it, and tables fit it
  std::function<Screen()> size = {};  ///< of the terminal now, 0 if not known; without colours
};

/// `arguments` without the program's name.
int run(std::vector<std::string> arguments, World& world);

}  // namespace vswitch::ctl
