// SPDX-License-Identifier: Apache-2.0
// A command of the tool as data: its arguments become calls, the result becomes text. Neither half needs a
// daemon.
//
// The path of a command: program.cc picks the Command by its name, declare() binds its arguments, the Query
// it returns makes the calls, the contract checks them (wrong values are wrong usage, even without a daemon),
// client.cc sends them, render() prints. Each noun has a file with its table rows.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/json.h"

namespace vswitch::ctl {

class Caller;
struct World;

/// One request of the session API.
struct Call {
  std::string method;
  Json params = Json::object();
  double waits = 0;   ///< seconds the daemon may take in addition to --timeout
  bool once = false;  ///< with --watch: made before the first iteration, and its result is not shown
  /// Members that render() finds in the result besides those of the daemon: what the arguments say about the
  /// text. --json prints the result without them.
  Json for_render = Json::object();
  std::string output = {};  ///< file that the text goes to instead of standard output

  bool operator==(const Call&) const = default;
};

/// What is wrong with the arguments, as a sentence: exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Returns the calls for the arguments; called after parsing. May throw UsageError.
using Query = std::function<std::vector<Call>()>;

struct Command {
  std::string_view name;
  std::string_view summary;
  std::string_view example;  ///< arguments of typical calls, one per line, for --help
  Query (*declare)(CLI::App&);
  /// Text for people; every line ends with a newline. The results of several calls are merged into one
  /// object.
  std::string (*render)(const Json& result);
  /// For commands with --watch: the same, with rates if it counts. `before` is the result `seconds` earlier, null at
  /// first and with another daemon.
  std::string (*watch)(const Json& result, const Json& before, double seconds) = nullptr;
  /// For commands that need no daemon and make no calls: the arguments, besides --rundir, with which the program
  /// vswitchd does the work. `app` has been parsed.
  std::vector<std::string> (*local)(const CLI::App& app) = nullptr;
  /// For commands whose exit status says what they have found; otherwise it is 0 after an answer.
  int (*status)(const Json& result) = nullptr;
  /// For commands that have something to print if no daemon answers; `why` is the sentence.
  std::string (*without_daemon)(const std::string& why) = nullptr;
  /// For commands with --follow: the text of one event.
  std::string (*event)(const Json& event) = nullptr;
  /// For commands that go on beside their first call: does everything from there on. Returns the exit status. `call`
  /// has the rest of the arguments in for_render.
  int (*run)(Caller& daemon, const Call& call, World& world, bool json) = nullptr;
  /// Lines for standard error, about what the text does not have.
  std::string (*remarks)(const Json& result) = nullptr;
  /// For commands whose exit status depends on the answer, while errors have their usual one.
  int (*outcome)(const Json& result) = nullptr;
  /// What the daemon is doing if the answer takes longer than a second: "applying".
  std::string_view progress = "";
};

/// --watch for a table without rates.
template <std::string (*render)(const Json&)>
std::string refresh(const Json& result, const Json& /*before*/, double /*seconds*/) {
  return render(result);
}

// The tables, one file each.
extern const std::vector<Command> kBridgeCommands;    // bridge.cc
extern const std::vector<Command> kPortCommands;      // port.cc
extern const std::vector<Command> kMirrorCommands;    // mirror.cc
extern const std::vector<Command> kDocumentCommands;  // document.cc
extern const std::vector<Command> kVsphereCommands;   // vsphere.cc
extern const std::vector<Command> kExplainCommands;   // explain.cc
extern const std::vector<Command> kFdbCommands;       // fdb.cc
extern const std::vector<Command> kStatsCommands;     // stats.cc
extern const std::vector<Command> kCaptureCommands;   // capture.cc
extern const std::vector<Command> kHealthCommands;    // health.cc
extern const std::vector<Command> kSystemCommands;    // system.cc

/// All of them, in the order --help shows.
std::vector<const Command*> commands();

}  // namespace vswitch::ctl
