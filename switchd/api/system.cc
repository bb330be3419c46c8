// SPDX-License-Identifier: Apache-2.0
// system.info, system.stats and rpc.discover
#include <unistd.h>

#include <ctime>

#include "schemas/openrpc.h"
#include "switchd/api/methods.h"
#include "switchd/api/rows.h"

namespace vswitch::api {
namespace {

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[sizeof "2026-01-05T08:00:00Z"];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

Json info(const Methods& methods, const std::string& started) {
  const Database& database = methods.database;
  return {{"name", "vswitchd"},
          {"version", VSWITCH_VERSION},
          {"api", openrpc::control().document()["info"]["version"]},
          {"ovs_version", VSWITCH_OVS_VERSION},
          {"schema_version", database.schema().version},
          {"pid", ::getpid()},
          {"started", started},
          {"workers", methods.view.workers()},
          {"bridges", database.table("Bridge").size()},
          {"ports", database.table("Port").size()},
          {"mirrors", database.table("Mirror").size()}};
}

Json stats(const Methods& methods) {
  Json ports = Json::array();
  for (const auto& [bridge_name, bridge] : bridges(methods.database)) {
    for (const auto& [port_name, port] : ports_of(methods.database, *bridge)) {
      const Row* interface = interface_of(methods.database, *port);
      if (interface == nullptr) continue;
      ports.push_back(counters_of(methods.view, *interface));
      ports.back().update({{"bridge", bridge_name}, {"name", port_name}});
    }
  }
  Json drops = Json::array();
  for (const auto& [reason, count] : methods.view.drops()) {
    if (count != 0)
      drops.push_back({{"reason", reason}, {"count", count}, {"meaning", meaning_of_drop(reason)}});
  }
  return {{"ports", ports}, {"drops", drops}};
}

}  // namespace

void add_system_methods(Methods& methods) {
  const Methods shared = methods;
  const std::string started = now_utc();
  methods.read("system.info", [shared, started](const Json&) { return info(shared, started); });
  methods.read("system.stats", [shared](const Json&) { return stats(shared); });
  methods.read("rpc.discover", [](const Json&) { return openrpc::control().document(); });
}

}  // namespace vswitch::api
