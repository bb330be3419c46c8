// SPDX-License-Identifier: Apache-2.0
// port.add put del list get set
#include "switchd/model/port.h"

#include "switchd/api/api.h"
#include "switchd/api/errors.h"
#include "switchd/api/methods.h"
#include "switchd/api/normal_form.h"
#include "switchd/api/params.h"
#include "switchd/api/port_settings.h"
#include "switchd/api/revision.h"
#include "switchd/api/rows.h"

namespace vswitch::api {
namespace {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;

/// The objects that the methods of this file use.
struct PortMethods : Methods {
  bridge::CountersView& counters;
};

Json or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}
Json or_null(const std::optional<std::int64_t>& number) {
  return number ? Json(*number) : Json();
}

std::string notice_of(const Row& port, const Row& interface) {
  const std::string of_port = model::notice_of(port);
  const std::string of_interface = model::notice_of(interface);
  return of_port + (of_port.empty() || of_interface.empty() ? "" : "; ") + of_interface;
}

Json port_json(const PortMethods& methods, const Row& bridge, const Row& row) {
  const Database& database = methods.database;
  const Row* interface_row = model::interface_of(database, row);
  if (interface_row == nullptr)
    throw not_found("name", row.str("name"), "port " + row.str("name") + " has no interface");
  const model::Port port = model::read_port(row);
  const model::Interface interface = model::read_interface(*interface_row);
  const model::PortState state = model::state_of(*interface_row);
  const auto ifindex = interface_row->integer("ifindex");
  const auto status = [&](const char* key) {
    const std::string* value = interface_row->value("status", key);
    return value == nullptr ? Json() : Json(*value);
  };
  Json json = model::members_of(model::port_columns(), port);
  json.update(model::members_of(model::interface_columns(), interface));
  if (interface.type.empty()) json["type"] = "system";
  json.update({{"bridge", bridge.str("name")},
               {"name", port.name},
               {"uuid", port.uuid.to_string()},
               {"ofport", or_null(interface.ofport)},
               {"external_ids", interface_row->map("external_ids")},
               {"priority_tags", port.priority_tags()},
               {"qinq_ethtype", port.qinq_ethtype()},
               {"transient", port.transient()},
               {"mac", or_null(interface_row->str("mac_in_use"))},
               {"mtu", or_null(interface_row->integer("mtu"))},
               {"ifindex", ifindex == 0 ? Json() : or_null(ifindex)},
               {"device", status("device")},
               {"state", state.state},
               {"reason", state.reason},
               {"notice", notice_of(row, *interface_row)},
               {"copies_only", status("copies_only")},
               {"egress", status("egress")},
               {"counters", counters_of(methods.counters, *interface_row)},
               {"revision", revision_of_port(database, row)}});
  return json;
}

/// The port and its bridge, or not_found.
struct Place {
  const Row& bridge;
  const Row& port;
};
Place port_named(const Database& database, const std::string& name) {
  const Row* port = model::find_port(database, name);
  const Row* bridge = port == nullptr ? nullptr : model::bridge_with(database, "ports", port->uuid());
  if (bridge == nullptr) throw not_found("name", name, "there is no port " + name);
  return {*bridge, *port};
}

void check_given(const Json& params, Json port) {
  bool concerned = false;
  for (const char* key : {"tag", "trunks", "vlan_mode", "cvlans"}) {
    if (!params.contains(key)) continue;
    port[key] = params[key];
    concerned = true;
  }
  if (concerned) check_vlans(port);
}

void write_port(Transaction& transaction, const Uuid& row, const Json& params) {
  model::Port port = model::read_port(*transaction.find("Port", row));
  model::take_members(model::port_columns(), params, port);
  model::write_columns(model::port_columns(), port, params, transaction, "Port", row);
  if (params.contains("priority_tags")) port.set_priority_tags(params["priority_tags"]);
  if (params.contains("qinq_ethtype")) port.set_qinq_ethtype(params["qinq_ethtype"]);
  if (params.contains("transient")) port.set_transient(params["transient"]);
  transaction.set("Port", row, "other_config", Datum::map_of(port.other_config));
}

Outcome show_port(const PortMethods& methods, const std::string& name) {
  return [methods, name] {
    const Place place = port_named(methods.database, name);
    return port_json(methods, place.bridge, place.port);
  };
}

/// The members given replace those of the map; null removes one.
void change_map(std::map<std::string, std::string>& map, const Json& given) {
  for (const auto& [key, value] : given.items()) {
    if (value.is_null()) {
      map.erase(key);
    } else {
      map[key] = value;
    }
  }
}

void write_interface(Transaction& transaction, const Uuid& row, Json params) {
  model::Interface interface = model::read_interface(*transaction.find("Interface", row));
  if (params.contains("options")) {
    change_map(interface.options, params["options"]);
    params["options"] = interface.options;
  }
  model::take_members(model::interface_columns(), params, interface);
  if (interface.type == "system") interface.type.clear();
  model::write_columns(model::interface_columns(), interface, params, transaction, "Interface", row);
  if (params.contains("external_ids")) {
    auto ids = transaction.find("Interface", row)->map("external_ids");
    change_map(ids, params["external_ids"]);
    transaction.set("Interface", row, "external_ids", Datum::map_of(ids));
  }
  if (!params.contains("options") && !params.contains("type")) return;
  check_options(interface);
  check_ends(transaction.database(), interface);
}

/// port.add for a port that exists: accepted if nothing differs and may_exist was given.
Outcome accept_present(const PortMethods& methods, const Row& bridge, const Row& port, const Json& params) {
  const std::string name = params["name"];
  const Row* place = model::bridge_with(methods.database, "ports", port.uuid());
  if (place == nullptr || place->uuid() != bridge.uuid()) {
    throw conflict("name", name, "port " + name + " is on bridge " + (place ? place->str("name") : "(none)"));
  }
  if (params["may_exist"] != true) {
    throw exists("name", name, "port " + name + " already exists on bridge " + bridge.str("name"));
  }
  Json wanted = params;
  if (wanted["type"] == "") wanted["type"] = "system";
  const std::string field = first_difference(
      wanted, port_json(methods, bridge, port),
      {"type", "options", "tag", "trunks", "vlan_mode", "protected", "priority_tags", "cvlans",
       "qinq_ethtype", "transient", "ofport_request", "mtu_request", "external_ids"});
  if (!field.empty())
    throw exists(field, params[field], "port " + name + " already exists with a different " + field);
  return show_port(methods, name);
}

Outcome add_port(const PortMethods& methods, const Json& params) {
  Database& database = methods.database;
  const Row& bridge = bridge_named(database, params["bridge"]);
  const std::string name = params["name"];
  if (model::find_bridge(database, name) != nullptr) {
    throw conflict("name", name, name + " is a bridge: its own port has that name");
  }
  if (const Row* port = model::find_port(database, name))
    return accept_present(methods, bridge, *port, params);
  if (database.table("Interface").find("name", name) != nullptr) {
    throw conflict("name", name, name + " is an interface of another port");
  }
  check_given(
      params,
      {{"tag", nullptr}, {"trunks", Json::array()}, {"vlan_mode", nullptr}, {"cvlans", Json::array()}});
  Transaction transaction(database);
  const PortRows rows = insert_port(transaction, name);
  write_interface(transaction, rows.interface, params);
  write_port(transaction, rows.port, params);
  transaction.add("Bridge", bridge.uuid(), "ports", Datum::of(rows.port));
  transaction.comment("port.add " + name);
  commit(transaction);
  return show_port(methods, name);
}

/// Throws if the port has other settings than the client has read.
void check_port_revision(const Database& database, const Row* port, const std::string& name,
                         const Json& params) {
  const auto present = port == nullptr ? std::nullopt : std::optional(revision_of_port(database, *port));
  check_revision(params, present, "port " + name, "port.get");
}

/// The rows of a port that port.put is to change, or to create: then there are none.
const Row* port_to_change(const Database& database, const Row& bridge, const std::string& name) {
  const Row* port = model::find_port(database, name);
  if (port == nullptr) {
    if (database.table("Interface").find("name", name) != nullptr)
      throw conflict("name", name, name + " is an interface of another port");
    return nullptr;
  }
  const Row* place = model::bridge_with(database, "ports", port->uuid());
  if (place == nullptr || place->uuid() != bridge.uuid()) {
    throw conflict("bridge", bridge.str("name"),
                   "port " + name + " is on bridge " + (place ? place->str("name") : "(none)") +
                       ": delete it there first (port.del)");
  }
  if (port->uuids("interfaces").size() != 1)
    throw refused("name", name, "port " + name + " is a bond: only OVSDB clients can change it");
  return port;
}

/// A type stays as long as its port.
void check_type(const std::string& name, const std::string& present, const std::string& wanted) {
  if (present == wanted) return;
  const auto word = [](const std::string& type) { return type.empty() ? "system" : type; };
  throw refused("type", wanted,
                "port " + name + " is of type " + word(present) + ", not " + word(wanted) +
                    ", and a type cannot be changed: delete the port first (port.del)");
}

Outcome put_port(const PortMethods& methods, const Json& params) {
  Database& database = methods.database;
  const Row& bridge = bridge_named(database, params["bridge"]);
  const std::string name = params["name"];
  const Row* port = port_to_change(database, bridge, name);
  check_port_revision(database, port, name, params);
  PortSettings wanted = port_settings_from(name, params);
  if (name == bridge.str("name") && wanted.interface.type.empty()) wanted.interface.type = "internal";
  Json before = Json::object();
  if (port != nullptr) {
    const Row* interface = model::interface_of(database, *port);
    const PortSettings present = read_port_settings(*port, *interface);
    check_type(name, present.interface.type, wanted.interface.type);
    wanted.interface.uuid = interface->uuid();
    before = normal_form(present);
  }
  const Json changes = differences(before, normal_form(wanted));
  const bool creates = port == nullptr, changes_it = creates || !changes.empty();
  if (changes_it) {
    check_settings(wanted);
    check_ends(database, wanted.interface);
  }
  if (changes_it && params["dry_run"] != true) {
    Transaction transaction(database);
    PortRows rows;
    if (creates) {
      rows = insert_port(transaction, name);
      transaction.add("Bridge", bridge.uuid(), "ports", Datum::of(rows.port));
    } else {
      rows = {port->uuid(), wanted.interface.uuid};
    }
    write_settings(transaction, rows, wanted);
    transaction.comment("port.put " + name);
    commit(transaction);
  }
  return [methods, name, creates, changes_it, changes]() -> Json {
    const bool is_there = model::find_port(methods.database, name) != nullptr;
    Json result = {{"changed", changes_it}, {"created", creates}, {"changes", changes}};
    if (is_there) result["port"] = show_port(methods, name)();
    return result;
  };
}

Outcome set_port(const PortMethods& methods, const Json& params) {
  Database& database = methods.database;
  const std::string name = params["name"];
  const Place place = port_named(database, name);
  check_port_revision(database, &place.port, name, params);
  check_given(params, port_json(methods, place.bridge, place.port));
  Transaction transaction(database);
  write_port(transaction, place.port.uuid(), params);
  write_interface(transaction, model::interface_of(database, place.port)->uuid(), params);
  transaction.comment("port.set " + name);
  commit(transaction);
  return show_port(methods, name);
}

Outcome del_port(Database& database, const Json& params) {
  const std::string name = params["name"];
  if (params.contains("bridge")) bridge_named(database, params["bridge"]);
  if (params["if_exists"] == true && model::find_port(database, name) == nullptr) {
    return [] { return Json{{"removed", false}}; };
  }
  const Place place = port_named(database, name);
  const std::string& bridge = place.bridge.str("name");
  if (params.contains("bridge") && params["bridge"] != bridge) {
    throw refused("bridge", params["bridge"], "port " + name + " is on bridge " + bridge);
  }
  check_port_revision(database, &place.port, name, params);
  if (name == bridge) {
    throw refused("name", name,
                  name + " is the bridge's own port, which is deleted with it: delete the bridge instead");
  }
  Transaction transaction(database);
  transaction.remove("Bridge", place.bridge.uuid(), "ports", Datum::of(place.port.uuid()));
  transaction.comment("port.del " + name);
  commit(transaction);
  return [] { return Json{{"removed", true}}; };
}

Outcome del_transient_ports(Database& database) {
  return [removed = remove_transient_ports(database)] { return Json{{"removed", removed}}; };
}

Json list_ports(const PortMethods& methods, const Json& params) {
  const Database& database = methods.database;
  Json ports = Json::array();
  for (const auto& [bridge_name, bridge] : bridges_asked_for(database, params)) {
    for (const auto& [name, port] : model::ports_of(database, *bridge))
      ports.push_back(port_json(methods, *bridge, *port));
  }
  return {{"ports", ports}};
}

}  // namespace

void add_port_methods(Methods& methods, bridge::CountersView& counters) {
  const PortMethods shared{methods, counters};
  methods.change("port.add", [shared](const Json& params) { return add_port(shared, params); });
  methods.change("port.put", [shared](const Json& params) { return put_port(shared, params); });
  methods.change("port.set", [shared](const Json& params) { return set_port(shared, params); });
  methods.change("port.del", [shared](const Json& params) { return del_port(shared.database, params); });
  methods.change("port.del_transient",
                 [shared](const Json&) { return del_transient_ports(shared.database); });
  methods.read("port.get", [shared](const Json& params) { return show_port(shared, params["name"])(); });
  methods.read("port.list", [shared](const Json& params) { return list_ports(shared, params); });
}

}  // namespace vswitch::api

namespace vswitch {

std::vector<std::string> remove_transient_ports(ovsdb::Database& database) {
  std::vector<std::string> names;
  ovsdb::Transaction transaction(database);
  for (const auto& [bridge_name, bridge] : model::bridges(database)) {
    for (const auto& [name, row] : model::ports_of(database, *bridge)) {
      if (name == bridge_name || !model::read_port(*row).transient()) continue;
      transaction.remove("Bridge", bridge->uuid(), "ports", ovsdb::Datum::of(row->uuid()));
      names.push_back(name);
    }
  }
  if (names.empty()) return names;
  transaction.comment("transient ports are removed");
  api::commit(transaction);
  return names;
}

}  // namespace vswitch
