// SPDX-License-Identifier: Apache-2.0
// What a shell can offer for the word that is being typed: `vswitch-ctl __complete WORD...`, which the scripts in
// ctl/completion call. Commands and options are those that the commands declare, values are those of the contract, and
// names come from the daemon.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

namespace vswitch::ctl {

/// What the daemon and the host know. Empty if no daemon answers: then there is nothing to offer.
struct Names {
  std::function<std::vector<std::string>()> bridges;
  /// Of one bridge; of all if it is empty.
  std::function<std::vector<std::string>(const std::string& bridge)> ports;
  std::function<std::vector<std::string>(const std::string& bridge)> sessions;
  std::function<std::vector<std::string>()> log_areas;
  /// Devices of the host that are no ports.
  std::function<std::vector<std::string>()> devices;
};

/// A line for each candidate: the word, and after a tab what it is, if there is something to say. A single line ":files"
/// or ":directories" if the shell is to complete those. `app` has declared all commands; the last of `words` is the one
/// that is being typed, and may be empty.
std::vector<std::string> complete(const CLI::App& app, const std::vector<std::string>& words,
                                  const Names& names);

}  // namespace vswitch::ctl
