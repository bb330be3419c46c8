// SPDX-License-Identifier: Apache-2.0
// bridge.add put del list get set
#include "switchd/model/bridge.h"

#include "switchd/api/bridge_settings.h"
#include "switchd/api/errors.h"
#include "switchd/api/methods.h"
#include "switchd/api/normal_form.h"
#include "switchd/api/params.h"
#include "switchd/api/revision.h"
#include "switchd/api/rows.h"

namespace vswitch::api {
namespace {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;

model::PortState state_of_bridge(const Database& database, const Row& bridge) {
  const model::ByName ports = model::ports_of(database, bridge);
  const auto own = ports.find(bridge.str("name"));
  const Row* interface = own == ports.end() ? nullptr : model::interface_of(database, *own->second);
  if (interface == nullptr) {
    return bridge.str("datapath_id").empty() ? model::PortState{"waiting", "not set up yet"}
                                             : model::PortState{"active", ""};
  }
  model::PortState state = model::state_of(*interface);
  // A bridge forwards regardless of whether the host uses the bridge's own port.
  if (state.state == "down") state = {"active", ""};
  return state;
}

Json bridge_json(const Database& database, const Row& row) {
  const model::Bridge bridge = model::read_bridge(row);
  Json ports = Json::array();
  for (const auto& [name, port] : model::ports_of(database, row)) {
    if (name != bridge.name) ports.push_back(name);
  }
  Json mirrors = Json::array();
  for (const auto& [name, mirror] : model::mirrors_of(database, row)) mirrors.push_back(name);
  const model::PortState state = state_of_bridge(database, row);
  const std::string& datapath_id = row.str("datapath_id");
  Json json = model::members_of(model::bridge_columns(), bridge);
  json.update({{"name", bridge.name},
               {"uuid", row.uuid().to_string()},
               {"datapath_id", datapath_id.empty() ? Json() : Json(datapath_id)},
               {"mac_aging_time", bridge.mac_aging_seconds()},
               {"mac_table_size", bridge.mac_table_size()},
               {"forward_bpdu", bridge.forward_bpdu()},
               {"ports", ports},
               {"mirrors", mirrors},
               {"state", state.state},
               {"reason", state.reason},
               {"notice", model::notice_of(row)},
               {"revision", revision_of_bridge(row)}});
  return json;
}

void write_given(Transaction& transaction, const Uuid& row, const Json& params) {
  model::Bridge bridge = model::read_bridge(*transaction.find("Bridge", row));
  model::take_members(model::bridge_columns(), params, bridge);
  model::write_columns(model::bridge_columns(), bridge, params, transaction, "Bridge", row);
  auto& config = bridge.other_config;
  if (params.contains("mac_aging_time")) config["mac-aging-time"] = params["mac_aging_time"].dump();
  if (params.contains("mac_table_size")) config["mac-table-size"] = params["mac_table_size"].dump();
  if (params.contains("forward_bpdu")) config["forward-bpdu"] = params["forward_bpdu"].dump();
  transaction.set("Bridge", row, "other_config", Datum::map_of(config));
}

Outcome show_bridge(Database& database, const std::string& name) {
  return [&database, name] { return bridge_json(database, bridge_named(database, name, "name")); };
}

void check_free(const Database& database, const std::string& name) {
  if (database.table("Interface").find("name", name) == nullptr &&
      model::find_port(database, name) == nullptr)
    return;
  throw conflict("name", name,
                 "a port named " + name + " already exists, and the bridge's own port needs that name");
}

/// Throws if the bridge has other settings than the client has read.
void check_bridge_revision(const Row* bridge, const Json& params) {
  const auto present = bridge == nullptr ? std::nullopt : std::optional(revision_of_bridge(*bridge));
  check_revision(params, present, "bridge " + params["name"].get<std::string>(), "bridge.get");
}

Outcome add_bridge(Database& database, const Json& params) {
  const std::string name = params["name"];
  if (const Row* present = model::find_bridge(database, name)) {
    if (params["may_exist"] != true) throw exists("name", name, "bridge " + name + " already exists");
    const std::string field =
        first_difference(params, bridge_json(database, *present),
                         {"fail_mode", "mac_aging_time", "mac_table_size", "flood_vlans", "forward_bpdu"});
    if (!field.empty())
      throw exists(field, params[field], "bridge " + name + " already exists with a different " + field);
    return show_bridge(database, name);
  }
  check_free(database, name);
  Transaction transaction(database);
  const Uuid bridge = insert_bridge(transaction, name);
  write_given(transaction, bridge, params);
  transaction.add("Open_vSwitch", root_row(database, transaction), "bridges", Datum::of(bridge));
  transaction.comment("bridge.add " + name);
  commit(transaction);
  return show_bridge(database, name);
}

/// The bridge has the settings of the params, and the defaults of those that are not given.
Outcome put_bridge(Database& database, const Json& params) {
  const std::string name = params["name"];
  const Row* present = model::find_bridge(database, name);
  check_bridge_revision(present, params);
  if (present == nullptr) check_free(database, name);
  const model::Bridge wanted = bridge_settings_from(params);
  const Json before = present == nullptr ? Json::object() : normal_form(model::read_bridge(*present));
  const Json changes = differences(before, normal_form(wanted));
  const bool creates = present == nullptr, changes_it = creates || !changes.empty();
  if (changes_it && params["dry_run"] != true) {
    Transaction transaction(database);
    const Uuid bridge = creates ? insert_bridge(transaction, name) : present->uuid();
    write_settings(transaction, bridge, wanted);
    if (creates)
      transaction.add("Open_vSwitch", root_row(database, transaction), "bridges", Datum::of(bridge));
    transaction.comment("bridge.put " + name);
    commit(transaction);
  }
  return [&database, name, creates, changes_it, changes]() -> Json {
    const bool is_there = model::find_bridge(database, name) != nullptr;
    Json result = {{"changed", changes_it}, {"created", creates}, {"changes", changes}};
    if (is_there) result["bridge"] = show_bridge(database, name)();
    return result;
  };
}

Outcome set_bridge(Database& database, const Json& params) {
  const Row& bridge = bridge_named(database, params["name"], "name");
  check_bridge_revision(&bridge, params);
  Transaction transaction(database);
  write_given(transaction, bridge.uuid(), params);
  transaction.comment("bridge.set " + bridge.str("name"));
  const std::string name = bridge.str("name");
  commit(transaction);
  return show_bridge(database, name);
}

Outcome del_bridge(Database& database, const Json& params) {
  const std::string name = params["name"];
  if (params["if_exists"] == true && model::find_bridge(database, name) == nullptr) {
    return [] { return Json{{"removed", false}}; };
  }
  const Row& row = bridge_named(database, name, "name");
  check_bridge_revision(&row, params);
  const Uuid bridge = row.uuid();
  Transaction transaction(database);
  transaction.remove("Open_vSwitch", root_row(database, transaction), "bridges", Datum::of(bridge));
  transaction.comment("bridge.del " + name);
  commit(transaction);
  return [] { return Json{{"removed", true}}; };
}

}  // namespace

void add_bridge_methods(Methods& methods) {
  Database& database = methods.database;
  methods.change("bridge.add", [&database](const Json& params) { return add_bridge(database, params); });
  methods.change("bridge.put", [&database](const Json& params) { return put_bridge(database, params); });
  methods.change("bridge.set", [&database](const Json& params) { return set_bridge(database, params); });
  methods.change("bridge.del", [&database](const Json& params) { return del_bridge(database, params); });
  methods.read("bridge.get",
               [&database](const Json& params) { return show_bridge(database, params["name"])(); });
  methods.read("bridge.list", [&database](const Json& params) {
    Json list = Json::array();
    for (const auto& [name, bridge] : bridges_asked_for(database, params))
      list.push_back(bridge_json(database, *bridge));
    return Json{{"bridges", list}};
  });
}

}  // namespace vswitch::api
