// SPDX-License-Identifier: Apache-2.0
// Commands about the switch as a whole, and about the daemon.
#include <memory>

#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/render.h"

namespace vswitch::ctl {
namespace {

Query declare_version(CLI::App&) {
  return [] { return std::vector<Call>{{"system.info"}}; };
}

std::string privileges_of(const Json& privileges) {
  std::string capabilities;
  for (const Json& one : privileges["capabilities"])
    capabilities += (capabilities.empty() ? "" : ", ") + one.get<std::string>();
  std::string text = "runs as " + printable(privileges["user"].get<std::string>()) + ", capabilities " +
                     (capabilities.empty() ? "none" : capabilities) + ", system calls " +
                     (privileges["system_calls"] == "filtered" ? "filtered" : "not filtered") + "\n";
  for (const Json& sentence : privileges["missing"])
    text += "notice: " + printable(sentence.get<std::string>()) + '\n';
  return text;
}

std::string render_version(const Json& info) {
  return "vswitch-ctl " VSWITCH_VERSION "\n" + info["name"].get<std::string>() + ' ' +
         info["version"].get<std::string>() + ", pid " + info["pid"].dump() + ", since " +
         info["started"].get<std::string>() + ", " + info["workers"].dump() + " workers, " +
         info["bridges"].dump() + " bridges, " + info["ports"].dump() + " ports, " + info["mirrors"].dump() +
         " sessions\n" + "session API " + info["api"].get<std::string>() + ", database schema " +
         info["schema_version"].get<std::string>() + " (Open vSwitch " +
         info["ovs_version"].get<std::string>() + ")\n" + privileges_of(info["privileges"]);
}

Query declare_show_config(CLI::App&) {
  return [] { return std::vector<Call>{{"system.config"}}; };
}

Query declare_set_config(CLI::App& app) {
  const auto settings = std::make_shared<std::vector<std::string>>();
  app.add_option("settings", *settings, "KEY=VALUE, or KEY= to remove one")
      ->required()
      ->type_name("KEY=VALUE");
  return [settings] {
    Json config = Json::object();
    for (const std::string& setting : *settings) {
      const std::size_t equals = setting.find('=');
      if (equals == std::string::npos || equals == 0)
        throw UsageError("'" + setting + "' is not KEY=VALUE, such as worker-threads=2");
      const std::string value = setting.substr(equals + 1);
      config[setting.substr(0, equals)] = value.empty() ? Json() : Json(value);
    }
    return std::vector<Call>{{"system.set_config", {{"config", config}}}};
  };
}

std::string config_notices(const Json& result) {
  std::string text;
  for (const Json& one : result["notices"]) text += "notice: " + printable(one.get<std::string>()) + '\n';
  return text;
}

std::string render_config(const Json& result) {
  std::string text;
  for (const auto& [key, value] : result["config"].items())
    text += printable(key + '=' + value.get<std::string>()) + '\n';
  return (text.empty() ? "no settings: all have their defaults\n" : text) + config_notices(result);
}

Query declare_list_log(CLI::App&) {
  return [] { return std::vector<Call>{{"log.list"}}; };
}

Query declare_set_log(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "level", "level", "off, err, warn, info or dbg")->type_name("LEVEL");
  text(app, params, "area", "area", "only this area of the log; list-log names them")->required(false);
  text(app, params, "--destination", "destination", "console or file [both]")->type_name("WHERE");
  return [params] { return std::vector<Call>{{"log.set", *params}}; };
}

std::string render_levels(const Json& result) {
  Table table({"AREA", "CONSOLE", "FILE"});
  for (const Json& area : result["areas"]) table.add({area["name"], area["console"], area["file"]});
  return table.text();
}

Query declare_compact(CLI::App&) {
  return [] { return std::vector<Call>{{"database.compact"}}; };
}

Query declare_backup(CLI::App&) {
  return [] { return std::vector<Call>{{"database.backup"}}; };
}

std::string render_backup(const Json& result) {
  return result["file"];
}

Query declare_release_devices(CLI::App& app) {
  const auto cleanup = std::make_shared<bool>();
  app.add_flag("--cleanup", *cleanup, "also remove the devices of internal ports that the daemon has made");
  return [cleanup] { return std::vector<Call>(); };
}

std::vector<std::string> release_devices(const CLI::App& app) {
  std::vector<std::string> arguments{"--release-devices"};
  if (app.count("--cleanup") != 0) arguments.emplace_back("--cleanup");
  return arguments;
}

}  // namespace

const std::vector<Command> kSystemCommands = {
    {"show-config", "show the settings of the switch as a whole", "", declare_show_config, render_config},
    {"set-config", "change settings of the switch as a whole",
     "worker-threads=2 mirror-queue-kib=", declare_set_config, config_notices},
    {"list-log", "list the areas of the log with their levels", "", declare_list_log, render_levels},
    {"set-log", "set the level of the log, or of one area", "dbg port", declare_set_log, render_nothing},
    {.name = "compact",
     .summary = "write the database file anew, without its history",
     .example = "",
     .declare = declare_compact,
     .render = render_nothing,
     .progress = "compacting"},
    {"backup", "print the database as a file (vswitchd --db FILE starts with it)", "", declare_backup,
     render_backup},
    {"version", "show the versions of the tool and the daemon, and what the daemon may do", "",
     declare_version, render_version},
    {"release-devices", "give devices back to the host after a daemon was killed, without one", "--cleanup",
     declare_release_devices, render_nothing, nullptr, release_devices},
};

}  // namespace vswitch::ctl
