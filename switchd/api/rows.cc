// SPDX-License-Identifier: Apache-2.0
// Rows by name.
#include "switchd/api/rows.h"

#include <algorithm>
#include <array>

#include "switchd/api/errors.h"

namespace vswitch::api {
namespace {

ByName referenced(const Database& database, const Row& bridge, std::string_view column,
                  std::string_view table) {
  ByName found;
  for (const ovsdb::Uuid& uuid : bridge.uuids(column)) {
    if (const Row* row = database.find(table, uuid)) found.emplace(row->str("name"), row);
  }
  return found;
}

}  // namespace

const Row& bridge_named(const Database& database, const std::string& name, const std::string& field) {
  if (const Row* row = find_bridge(database, name)) return *row;
  throw not_found(field, name, "there is no bridge " + name);
}

const Row* find_bridge(const Database& database, const std::string& name) {
  return database.table("Bridge").find("name", name);
}

const Row* find_port(const Database& database, const std::string& name) {
  return database.table("Port").find("name", name);
}

const Row* bridge_with(const Database& database, std::string_view column, const ovsdb::Uuid& row) {
  for (const Row& bridge : database.table("Bridge")) {
    if (bridge[column].contains(row)) return &bridge;
  }
  return nullptr;
}

const Row* interface_of(const Database& database, const Row& port) {
  const std::vector<ovsdb::Uuid> interfaces = port.uuids("interfaces");
  return interfaces.empty() ? nullptr : database.find("Interface", interfaces.front());
}

ByName bridges(const Database& database) {
  ByName found;
  for (const Row& bridge : database.table("Bridge")) found.emplace(bridge.str("name"), &bridge);
  return found;
}

ByName ports_of(const Database& database, const Row& bridge) {
  return referenced(database, bridge, "ports", "Port");
}

ByName mirrors_of(const Database& database, const Row& bridge) {
  return referenced(database, bridge, "mirrors", "Mirror");
}

ByName bridges_asked_for(const Database& database, const Json& params) {
  if (!params.contains("bridge")) return bridges(database);
  const Row& bridge = bridge_named(database, params["bridge"]);
  return {{bridge.str("name"), &bridge}};
}

PortState state_of(const Row& interface) {
  const std::string* state = interface.value("status", "state");
  if (state == nullptr) return {"waiting", "not set up yet"};
  const auto text = [&interface](const char* key) {
    const std::string* value = interface.value("status", key);
    return value == nullptr ? std::string() : *value;
  };
  if (*state == "up") return {"active", text("warning")};
  // The sentence of Open vSwitch, which its clients print, is the reason in the row; ours is shorter.
  if (text("reason").find("(No such device)") != std::string::npos) {
    return {*state, "no device " + interface.str("name")};
  }
  if (*state == "down" || *state == "waiting" || *state == "error") return {*state, text("reason")};
  return {"error", "its state is unknown: " + *state};
}

Json counters_of(bridge::CountersView& view, const Row& interface) {
  bridge::CounterMap counters = view.interface_counters(interface.uuid());
  if (counters.empty()) counters = interface.counters("statistics");
  Json json = Json::object();
  for (const char* key : {"rx_packets", "rx_bytes", "rx_dropped", "rx_errors", "tx_packets", "tx_bytes",
                          "tx_dropped", "tx_errors", "tx_copies"}) {
    json[key] = counters[key];
  }
  return json;
}

MirrorState state_of_mirror(const Row& mirror) {
  constexpr std::array<std::string_view, 6> kStates = {"active",   "degraded", "waiting",
                                                       "disabled", "expired",  "error"};
  const std::string* state = mirror.value("status", "state");
  const std::string* reason = mirror.value("status", "reason");
  if (state != nullptr && std::find(kStates.begin(), kStates.end(), *state) != kStates.end()) {
    return {*state, reason == nullptr ? "" : *reason};
  }
  if (mirror.boolean("enabled") == false) return {"disabled", ""};
  return {"waiting", "not set up yet"};
}

}  // namespace vswitch::api
