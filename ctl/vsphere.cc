// SPDX-License-Identifier: Apache-2.0
// Commands that import sessions from vSphere and export them to it.
#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/input_file.h"
#include "ctl/render.h"
#include "schemas/nesting.h"

namespace vswitch::ctl {
namespace {

Json read_json(const std::string& path) {
  const std::string text = read_input(path);
  const std::string name = path == "-" ? "standard input" : path;
  if (nests_deeper_than(kMaxNesting, text)) {
    throw UsageError(name + " has arrays and objects nested more than " + std::to_string(kMaxNesting) +
                     " levels deep");
  }
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) throw UsageError(name + " is not JSON");
  return json;
}

/// JSON of vSphere that contains sessions, as a member of params: one session, a list of them, the
/// configuration of a switch, the output of export-mirrors, or a list of changes.
void put_sessions(Json& params, const Json& given) {
  for (const char* member : {"sessions", "vspanConfigSpec", "vspanSession"}) {
    if (!given.is_object() || !given.contains(member) || !given[member].is_array()) continue;
    return put_sessions(params, given[member]);
  }
  const Json list = given.is_array() ? given : Json::array({given});
  const bool changes = !list.empty() && list[0].is_object() && list[0].contains("operation");
  params[changes ? "vspanConfigSpec" : "sessions"] = list;
}

/// "LEFT=RIGHT" as a member of a map; split at the last '=', because only port names are known to have none.
void add_pair(Json& map, const std::string& option, const std::string& pair) {
  const std::size_t equals = pair.rfind('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == pair.size())
    throw UsageError(option + " " + pair + ": takes vSphere's name, '=' and the port of this switch");
  map[pair.substr(0, equals)] = pair.substr(equals + 1);
}

void pairs(CLI::App& app, const Params& params, const std::string& option, const std::string& key,
           const std::string& form, const std::string& help) {
  app.add_option_function<std::vector<std::string>>(
         option,
         [params, option, key](const std::vector<std::string>& given) {
           for (const std::string& pair : given) add_pair((*params)[key], option, pair);
         },
         help + "; repeatable")
      ->allow_extra_args(false)
      ->type_name(form);
}

Query declare_import(CLI::App& app) {
  const Params params = make_params();
  auto path = std::make_shared<std::string>();
  text(app, params, "bridge", "bridge", "the bridge");
  app.add_option("file", *path,
                 "JSON of sessions (VMwareVspanSession) or changes (vspanConfigSpec), - for stdin")
      ->required();
  pairs(app, params, "--port", "ports", "KEY=PORT",
        "port for a vSphere port key [an interface's external id, or the port's name]");
  pairs(app, params, "--uplink", "uplinks", "NAME=PORT", "port for a vSphere uplink");
  flag(app, params, "--strict", "strict", true, "refuse everything that vSphere refuses");
  flag(app, params, "--dry-run", "dry_run", true, "check everything, change nothing");
  return [params, path] {
    put_sessions(*params, read_json(*path));
    return std::vector<Call>{{"mirror.import", *params}};
  };
}

Query declare_export(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "the bridge");
  text(app, params, "session", "name", "only this session")->required(false);
  return [params] { return std::vector<Call>{{"mirror.export", *params}}; };
}

std::string render_import(const Json& result) {
  Table table({"OPERATION", "SESSION", "KEY", "STATE", "REASON"});
  for (const Json& session : result["sessions"])
    table.add({session["operation"], session["name"], session["key"], session["state"], session["reason"]});
  std::string text = table.empty() ? "no sessions\n" : table.text();
  for (const Json& warning : result["warnings"]) {
    text += printable("warning: " + warning["session"].get<std::string>() + ": " +
                      warning["sentence"].get<std::string>()) +
            '\n';
  }
  return text;
}

/// JSON, with warnings about what was left out: import-mirrors accepts it unchanged.
std::string render_export(const Json& result) {
  return result.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace

const std::vector<Command> kVsphereCommands = {
    {"import-mirrors", "import sessions of vSphere, all or none",
     "br0 vspan.json --port 50=t1 --uplink uplink1=eth0", declare_import, render_import},
    {"export-mirrors", "print sessions as JSON in the form of vSphere", "br0 span0", declare_export,
     render_export},
};

}  // namespace vswitch::ctl
