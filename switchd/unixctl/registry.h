// SPDX-License-Identifier: Apache-2.0
// Operator commands: what stock ovs-appctl sends to DIR/ovs-vswitchd.<pid>.ctl, JSON-RPC 1.0 with strings as
// params and one string as the answer (ovs-vswitchd(8), "RUNTIME MANAGEMENT COMMANDS"). Texts known from Open
// vSwitch are kept exactly: scripts match them.
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "switchd/control/dispatcher.h"

namespace vswitch::unixctl {

using Args = std::span<const std::string>;

/// A refusal; ovs-appctl prints the message and exits with status 2.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The answer to a command. A line break is added if the text does not end with one: ovs-appctl prints it as
/// it is.
class Answer {
 public:
  explicit Answer(control::Reply reply) : reply_(std::move(reply)) {}
  void operator()(std::string text) const;
  void fail(std::string text) const;

 private:
  control::Reply reply_;
};

class Registry {
 public:
  using Command = std::function<std::string(Args)>;        ///< returns the text or throws Refused
  using AsyncCommand = std::function<void(Args, Answer)>;  ///< args are valid during the call only
  static constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

  /// list-commands is registered from the start.
  Registry();

  /// usage: the arguments in ovs-appctl's notation, such as "[bridge]", printed by list-commands; may be
  /// empty.
  void add(const std::string& name, const std::string& usage, std::size_t min_args, std::size_t max_args,
           Command command);
  void add_async(const std::string& name, const std::string& usage, std::size_t min_args,
                 std::size_t max_args, AsyncCommand command);

  /// Handles the 1.0 requests of this dispatcher.
  void serve(control::Dispatcher& dispatcher);

  void run(const std::string& name, Args args, const Answer& answer) const;

  /// The commands whose names begin with `prefix`, a line each: the name, padded to `width`, and its usage.
  std::string list_commands(std::string_view prefix, std::size_t width) const;

 private:
  struct Entry {
    std::string usage;
    std::size_t min_args, max_args;
    AsyncCommand command;
  };
  std::map<std::string, Entry> commands_;
};

}  // namespace vswitch::unixctl
