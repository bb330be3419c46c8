// SPDX-License-Identifier: Apache-2.0
// system.info, system.stats and rpc.discover
#include <unistd.h>

#include <ctime>

#include "datapath/drop_reason.h"
#include "schemas/openrpc.h"
#include "switchd/api/methods.h"
#include "switchd/api/rows.h"

namespace vswitch::api {
namespace {

constexpr const char* kOvsVersion = "3.1.0";  // whose schema (8.3.1) schemas/vswitch.ovsschema extends

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
          {"ovs_version", kOvsVersion},
          {"schema_version", database.schema().version},
          {"pid", ::getpid()},
          {"started", started},
          {"workers", methods.view.workers()},
          {"bridges", database.table("Bridge").size()},
          {"ports", database.table("Port").size()},
          {"mirrors", database.table("Mirror").size()}};
}

Json port_stats(const Methods& methods, const Row& bridge, const Row& port) {
  SwitchView::Counters counters;
  if (const Row* interface = interface_of(methods.database, port)) {
    counters = methods.view.interface_counters(interface->uuid());
    if (counters.empty()) counters = interface->counters("statistics");
  }
  Json stats = {{"bridge", bridge.str("name")}, {"name", port.str("name")}};
  for (const char* key : {"rx_packets", "rx_bytes", "rx_dropped", "rx_errors", "tx_packets", "tx_bytes",
                          "tx_dropped", "tx_errors", "tx_copies"}) {
    stats[key] = counters[key];
  }
  return stats;
}

/// The sentence of a drop reason; copies are counted under copy_<reason>.
std::string meaning_of(std::string_view reason) {
  constexpr std::string_view kCopy = "copy_";
  const bool copy = reason.starts_with(kCopy);
  if (copy) reason.remove_prefix(kCopy.size());
  for (std::size_t i = 0; i < kDropReasonCount; ++i) {
    const auto candidate = static_cast<DropReason>(i);
    if (name(candidate) == reason) return (copy ? "a copy: " : "") + std::string(sentence(candidate));
  }
  return std::string(reason);
}

Json stats(const Methods& methods) {
  Json ports = Json::array();
  for (const auto& [bridge_name, bridge] : bridges(methods.database)) {
    for (const auto& [port_name, port] : ports_of(methods.database, *bridge)) {
      ports.push_back(port_stats(methods, *bridge, *port));
    }
  }
  Json drops = Json::array();
  for (const auto& [reason, count] : methods.view.drops()) {
    if (count != 0) drops.push_back({{"reason", reason}, {"count", count}, {"meaning", meaning_of(reason)}});
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
