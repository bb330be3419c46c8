// SPDX-License-Identifier: Apache-2.0
#include "switchd/api/rows.h"

#include "switchd/api/errors.h"

namespace vswitch::api {

const Row& bridge_named(const Database& database, const std::string& name, const std::string& field) {
  if (const Row* row = model::find_bridge(database, name)) return *row;
  throw not_found(field, name, "there is no bridge " + name);
}

model::ByName bridges_asked_for(const Database& database, const Json& params) {
  if (!params.contains("bridge")) return model::bridges(database);
  const Row& bridge = bridge_named(database, params["bridge"]);
  return {{bridge.str("name"), &bridge}};
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

ovsdb::Uuid root_row(const Database& database, ovsdb::Transaction& transaction) {
  const ovsdb::Table& table = database.table("Open_vSwitch");
  return table.size() == 0 ? transaction.insert("Open_vSwitch") : table.begin()->uuid();
}

}  // namespace vswitch::api
