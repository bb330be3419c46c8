// SPDX-License-Identifier: Apache-2.0
// Rows by name.
#include "switchd/model/rows.h"

#include <algorithm>
#include <array>

namespace vswitch::model {
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

PortState state_of(const Row& interface) {
  const std::string* state = interface.value("status", "state");
  if (state == nullptr) return {"waiting", "not set up yet"};
  const auto text = [&interface](const char* key) {
    const std::string* value = interface.value("status", key);
    return value == nullptr ? std::string() : *value;
  };
  if (*state == "up") return {"active", text("warning")};
  // The reason in the row is the message of Open vSwitch, which its clients print; ours is shorter.
  if (text("reason").find("(No such device)") != std::string::npos) {
    return {*state, "no device " + interface.str("name")};
  }
  if (*state == "down" || *state == "waiting" || *state == "error") return {*state, text("reason")};
  return {"error", "unknown state: " + *state};
}

std::string notice_of(const Row& row) {
  // The others say how it is, not what has no effect.
  constexpr std::array<std::string_view, 7> kFacts = {"state",
                                                      "reason",
                                                      "warning",
                                                      "copies_only",
                                                      "driver_name",
                                                      "tunnel_egress_iface",
                                                      "tunnel_egress_iface_carrier"};
  std::string text;
  for (const auto& [key, sentence] : row.map("status")) {
    if (std::find(kFacts.begin(), kFacts.end(), key) == kFacts.end())
      text += (text.empty() ? "" : "; ") + key + ": " + sentence;
  }
  return text;
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

}  // namespace vswitch::model
