// SPDX-License-Identifier: Apache-2.0
#include "switchd/api/bridge_settings.h"

namespace vswitch::api {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;

model::Bridge bridge_settings_from(const Json& params) {
  model::Bridge bridge;
  model::take_members(model::bridge_columns(), params, bridge);
  auto& config = bridge.other_config;
  if (params.contains("mac_aging_time")) config["mac-aging-time"] = params["mac_aging_time"].dump();
  if (params.contains("mac_table_size")) config["mac-table-size"] = params["mac_table_size"].dump();
  if (params.contains("forward_bpdu")) config["forward-bpdu"] = params["forward_bpdu"].dump();
  return bridge;
}

Uuid insert_bridge(Transaction& transaction, const std::string& name) {
  const Uuid interface = transaction.insert("Interface");
  transaction.set("Interface", interface, "name", Datum::of(name));
  transaction.set("Interface", interface, "type", Datum::of("internal"));
  const Uuid port = transaction.insert("Port");
  transaction.set("Port", port, "name", Datum::of(name));
  transaction.set("Port", port, "interfaces", Datum::of(interface));
  const Uuid bridge = transaction.insert("Bridge");
  transaction.set("Bridge", bridge, "name", Datum::of(name));
  transaction.set("Bridge", bridge, "ports", Datum::of(port));
  return bridge;
}

void write_settings(Transaction& transaction, const Uuid& row, const model::Bridge& settings) {
  const model::Bridge normal;
  model::write_columns(model::bridge_columns(), settings,
                       model::members_of(model::bridge_columns(), settings), transaction, "Bridge", row);
  auto config = transaction.find("Bridge", row)->map("other_config");
  const auto put = [&config](const char* key, const Json& value, const Json& usual) {
    if (value == usual) {
      config.erase(key);
    } else {
      config[key] = value.dump();
    }
  };
  put("mac-aging-time", settings.mac_aging_seconds(), normal.mac_aging_seconds());
  put("mac-table-size", settings.mac_table_size(), normal.mac_table_size());
  put("forward-bpdu", settings.forward_bpdu(), normal.forward_bpdu());
  transaction.set("Bridge", row, "other_config", Datum::map_of(config));
}

}  // namespace vswitch::api
