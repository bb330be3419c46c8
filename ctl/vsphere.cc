// SPDX-License-Identifier: Apache-2.0
// Commands that import sessions from vSphere and export them to it.
#include <cctype>
#include <set>

#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/json_file.h"
#include "ctl/render.h"
#include "schemas/openrpc.h"

namespace vswitch::ctl {
namespace {

/// An object with a member that only sessions have.
bool is_session(const Json& object) {
  static const std::set<std::string> kOthersToo = {
      "key",      "name",      "description", "enabled",     "samplingRate",
      "netstack", "_typeName", "_vimtype",    "dynamicType", "dynamicProperty"};
  const Json& known = openrpc::control().document()["components"]["schemas"]["VspanSession"]["properties"];
  for (const auto& [name, value] : object.items()) {
    if (known.contains(name) && !kOthersToo.contains(name)) return true;
  }
  return false;
}

/// The members as the JSON API spells them: older tools write those of Go, which begin with a capital.
Json with_small_initials(const Json& value) {
  if (value.is_array()) {
    Json list = Json::array();
    for (const Json& item : value) list.push_back(with_small_initials(item));
    return list;
  }
  if (!value.is_object()) return value;
  Json object = Json::object();
  for (const auto& [name, member] : value.items()) {
    std::string small = name;
    if (!small.empty()) small[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(small[0])));
    object[small] = with_small_initials(member);
  }
  return object;
}

/// What a file holds, wherever it is: objects of vSphere are given as they are, within the configuration of
/// a switch, or as the answer of its property collector.
struct Found {
  Json sessions = Json::array();
  Json changes = Json::array();  ///< vspanConfigSpec

  void look_into(const Json& value) {
    if (value.is_object() && value.contains("operation") && value.contains("vspanSession")) {
      changes.push_back(value);
    } else if (value.is_object() && is_session(value)) {
      sessions.push_back(value);
    } else if (value.is_structured()) {
      for (const auto& [name, member] : value.items()) {
        const bool listed = value.is_object() && (name == "vspanSession" || name == "sessions");
        if (listed && member.is_array()) {
          sessions.insert(sessions.end(), member.begin(), member.end());
        } else {
          look_into(member);
        }
      }
    }
  }
};

void put_sessions(Json& params, const Json& given, const std::string& path) {
  Found found;
  found.look_into(with_small_initials(given));
  if (!found.sessions.empty() && !found.changes.empty())
    throw UsageError(path + " holds both sessions and changes of sessions: give one kind at a time");
  if (!found.changes.empty()) {
    params["vspanConfigSpec"] = found.changes;
  } else {
    params["sessions"] = found.sessions;
  }
  if (found.sessions.empty() && found.changes.empty() && !given.empty()) {
    throw UsageError(path +
                     " holds no session of vSphere: no vspanSession, no vspanConfigSpec, and no object with "
                     "members such as sessionType or destinationPort");
  }
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
  repeated(
      app, option,
      [params, option, key](const std::vector<std::string>& given) {
        for (const std::string& pair : given) add_pair((*params)[key], option, pair);
      },
      form, help + "; repeatable");
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
    put_sessions(*params, read_json(*path), *path);
    return std::vector<Call>{{"mirror.import", *params}};
  };
}

Query declare_export(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "the bridge");
  text(app, params, "session", "name", "only this session")->required(false);
  return [params] { return std::vector<Call>{{"mirror.export", *params}}; };
}

constexpr std::size_t kReasonColumns = 20;

std::string render_import(const Json& result) {
  Table table({"OPERATION", "SESSION", "KEY", Column("STATE").states(),
               Column("REASON").cut(1, kReasonColumns).wrap()});
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
    {.name = "import-mirrors",
     .summary = "import sessions of vSphere, all or none",
     .example = "br0 vspan.json --port 50=t1 --uplink uplink1=eth0",
     .declare = declare_import,
     .render = render_import,
     .progress = "importing"},
    {"export-mirrors", "print sessions as JSON in the form of vSphere", "br0 span0", declare_export,
     render_export},
};

}  // namespace vswitch::ctl
