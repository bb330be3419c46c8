// SPDX-License-Identifier: Apache-2.0
// system.config, system.set_config, log.* and database.*: what an operator does to the daemon itself.
#include <optional>

#include "switchd/api/errors.h"
#include "switchd/api/methods.h"
#include "switchd/api/rows.h"
#include "switchd/base/log.h"
#include "switchd/db/storage.h"

namespace vswitch::api {
namespace {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;

/// The objects that the methods of this file use.
struct MaintenanceMethods : Methods {
  bridge::DatapathView& datapath;
};

Json config_json(const MaintenanceMethods& methods) {
  Json config = Json::object();
  for (const Row& root : methods.database.table("Open_vSwitch")) config.update(root.map("other_config"));
  return {{"config", config}, {"notices", methods.datapath.datapath_state().complaints}};
}

Outcome set_config(const MaintenanceMethods& methods, const Json& params) {
  Database& database = methods.database;
  Transaction transaction(database);
  const Uuid root = root_row(database, transaction);
  std::map<std::string, std::string> config = transaction.find("Open_vSwitch", root)->map("other_config");
  for (const auto& [key, value] : params["config"].items()) {
    if (value.is_null()) {
      config.erase(key);
    } else {
      config[key] = value.get<std::string>();
    }
  }
  transaction.set("Open_vSwitch", root, "other_config", Datum::map_of(config));
  transaction.comment("system.set_config");
  commit(transaction);
  return [methods] { return config_json(methods); };
}

Json levels_json() {
  Json areas = Json::array();
  for (const log::ModuleLevel& module : log::list()) {
    const auto level = [&module](log::Destination destination) {
      return log::to_string(module.levels[static_cast<std::size_t>(destination)]);
    };
    areas.push_back({{"name", module.name},
                     {"console", level(log::Destination::console)},
                     {"file", level(log::Destination::file)}});
  }
  return {{"areas", areas}};
}

Json set_level(const Json& params) {
  log::Level level = log::Level::info;
  log::parse_level(params["level"].get<std::string>(), level);
  std::optional<log::Destination> destination;
  if (params.contains("destination"))
    destination = params["destination"] == "console" ? log::Destination::console : log::Destination::file;
  const std::string area = params.value("area", "");
  if (!log::set_level(area, level, destination))
    throw not_found("area", area, "the log has no area " + area + "; log.list names them");
  return levels_json();
}

}  // namespace

void add_maintenance_methods(Methods& methods, bridge::DatapathView& datapath) {
  const MaintenanceMethods shared{methods, datapath};
  methods.read("system.config", [shared](const Json&) { return config_json(shared); });
  methods.change("system.set_config", [shared](const Json& params) { return set_config(shared, params); });
  methods.read("log.list", [](const Json&) { return levels_json(); });
  methods.act("log.set", set_level);
  methods.act("database.compact", [shared](const Json&) {
    shared.database.compact();
    return Json::object();
  });
  methods.read("database.backup", [shared](const Json&) {
    return Json{{"file", ovsdb::file_contents(shared.database)}};
  });
}

}  // namespace vswitch::api
