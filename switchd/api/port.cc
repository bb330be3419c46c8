// SPDX-License-Identifier: Apache-2.0
// port.add del list get set
#include "switchd/api/errors.h"
#include "switchd/api/methods.h"
#include "switchd/api/params.h"
#include "switchd/api/rows.h"
#include "switchd/bridge/tunnel_settings.h"

namespace vswitch::api {
namespace {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;

/// What the methods of this file look at.
struct PortMethods : Methods {
  bridge::CountersView& counters;
};

constexpr const char* kNever = "never";
constexpr const char* kServiceTag = "802.1ad";

Json or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}
Json or_null(const std::optional<std::int64_t>& number) {
  return number ? Json(*number) : Json();
}

std::string setting(const Row& port, const char* key, const char* normal) {
  const std::string* text = port.value("other_config", key);
  return text == nullptr ? normal : *text;
}

/// other_config:priority-tags also knows the older values false and true.
std::string priority_tags(const Row& port) {
  const std::string text = setting(port, "priority-tags", kNever);
  if (text == "true" || text == "if-nonzero") return "if-nonzero";
  return text == "always" ? "always" : kNever;
}

Json to_json(const PortMethods& methods, const Row& bridge, const Row& port) {
  const Database& database = methods.database;
  const Row* interface = interface_of(database, port);
  if (interface == nullptr)
    throw not_found("name", port.str("name"), "port " + port.str("name") + " has no interface");
  const PortState state = state_of(*interface);
  const std::string& type = interface->str("type");
  const auto ifindex = interface->integer("ifindex");
  return {{"bridge", bridge.str("name")},
          {"name", port.str("name")},
          {"uuid", port.uuid().to_string()},
          {"type", type.empty() ? "system" : type},
          {"options", interface->map("options")},
          {"ofport", or_null(interface->integer("ofport"))},
          {"ofport_request", or_null(interface->integer("ofport_request"))},
          {"tag", or_null(port.integer("tag"))},
          {"trunks", port.integers("trunks")},
          {"vlan_mode", or_null(port.str("vlan_mode"))},
          {"protected", port.boolean("protected").value_or(false)},
          {"priority_tags", priority_tags(port)},
          {"cvlans", port.integers("cvlans")},
          {"qinq_ethtype", setting(port, "qinq-ethtype", kServiceTag) == "802.1q" ? "802.1q" : kServiceTag},
          {"mac", or_null(interface->str("mac_in_use"))},
          {"mtu", or_null(interface->integer("mtu"))},
          {"ifindex", ifindex == 0 ? Json() : or_null(ifindex)},
          {"state", state.state},
          {"reason", state.reason},
          {"counters", counters_of(methods.counters, *interface)}};
}

/// The port and its bridge, or not_found.
struct Place {
  const Row& bridge;
  const Row& port;
};
Place port_named(const Database& database, const std::string& name) {
  const Row* port = find_port(database, name);
  const Row* bridge = port == nullptr ? nullptr : bridge_with(database, "ports", port->uuid());
  if (bridge == nullptr) throw not_found("name", name, "there is no port " + name);
  return {*bridge, *port};
}

/// Settings that contradict each other, in the port as it would become.
void check_vlans(const Json& port) {
  const Json& mode_given = port["vlan_mode"];
  const bool tagged = !port["tag"].is_null();
  const std::string mode = !mode_given.is_null() ? mode_given.get<std::string>()
                           : tagged              ? "access"
                                                 : "trunk";
  const bool tunnel = mode == "dot1q-tunnel";
  if (mode == "trunk" && tagged) {
    throw conflict("tag", port["tag"],
                   "a trunk port has no tag: take vlan_mode native-tagged or native-untagged");
  }
  if ((tunnel || mode.starts_with("native")) && !tagged) {
    throw conflict("tag", nullptr, "vlan_mode " + mode + " needs a tag");
  }
  if ((mode == "access" || tunnel) && !port["trunks"].empty()) {
    throw conflict("trunks", port["trunks"],
                   (tunnel ? "a " : "an ") + mode +
                       " port has no trunks: take vlan_mode native-tagged or native-untagged for both");
  }
  if (!tunnel && !port["cvlans"].empty()) {
    throw conflict("cvlans", port["cvlans"], "only vlan_mode dot1q-tunnel has cvlans");
  }
}

void check_settings(const Json& params, Json port) {
  bool concerned = false;
  for (const char* key : {"tag", "trunks", "vlan_mode", "cvlans"}) {
    if (!params.contains(key)) continue;
    port[key] = params[key];
    concerned = true;
  }
  if (concerned) check_vlans(port);
}

/// A key that is left out at its default, so that rows look as other clients would make them.
void put(std::map<std::string, std::string>& config, const char* key, const Json& value, const char* normal) {
  if (value == normal) {
    config.erase(key);
  } else {
    config[key] = value.get<std::string>();
  }
}

void write_settings(Transaction& transaction, const Uuid& port, const Uuid& interface, const Json& params) {
  for (const char* column : {"tag", "trunks", "vlan_mode", "cvlans", "protected"}) {
    if (params.contains(column)) transaction.set("Port", port, column, as_set(params[column]));
  }
  auto other_config = transaction.find("Port", port)->map("other_config");
  if (params.contains("priority_tags")) put(other_config, "priority-tags", params["priority_tags"], kNever);
  if (params.contains("qinq_ethtype")) put(other_config, "qinq-ethtype", params["qinq_ethtype"], kServiceTag);
  transaction.set("Port", port, "other_config", Datum::map_of(other_config));
  if (params.contains("ofport_request")) {
    transaction.set("Interface", interface, "ofport_request", as_set(params["ofport_request"]));
  }
}

Outcome show(const PortMethods& methods, const std::string& name) {
  return [methods, name] {
    const Place place = port_named(methods.database, name);
    return to_json(methods, place.bridge, place.port);
  };
}

/// Throws what is wrong with the options of a tunnel, or that there are any elsewhere.
void check_options(const Row& interface, const Json& options) {
  if (bridge::is_tunnel_type(interface.str("type"))) {
    const bridge::DesiredEndpoint tunnel = bridge::read_tunnel(interface);
    if (!tunnel.refusal.empty()) throw invalid("options", options, tunnel.refusal);
  } else if (!options.empty()) {
    throw invalid("options", options, "options are for ports of type gre, erspan and vxlan");
  }
}

/// Throws if there is another tunnel between the same ends.
void check_ends(const Database& database, const Row& interface) {
  if (!bridge::is_tunnel_type(interface.str("type"))) return;
  const bridge::TunnelEnds ends = bridge::ends_of(bridge::read_tunnel(interface).settings);
  for (const Row& other : database.table("Interface")) {
    if (other.uuid() == interface.uuid() || !bridge::is_tunnel_type(other.str("type"))) continue;
    const bridge::DesiredEndpoint tunnel = bridge::read_tunnel(other);
    if (!tunnel.refusal.empty() || bridge::ends_of(tunnel.settings) != ends) continue;
    throw conflict(
        "options", interface.map("options"),
        "tunnel " + other.str("name") + " has the same remote_ip, local_ip and key: give another key");
  }
}

void write_options(Transaction& transaction, const Database& database, const Uuid& interface,
                   const Json& options) {
  transaction.set("Interface", interface, "options",
                  Datum::map_of(options.get<std::map<std::string, std::string>>()));
  check_options(*transaction.find("Interface", interface), options);
  check_ends(database, *transaction.find("Interface", interface));
}

/// add of a port that is there: fine if nothing differs and may_exist was given.
Outcome accept_present(const PortMethods& methods, const Row& bridge, const Row& port, const Json& params) {
  const std::string name = params["name"];
  const Row* place = bridge_with(methods.database, "ports", port.uuid());
  if (place == nullptr || place->uuid() != bridge.uuid()) {
    throw conflict("name", name, "port " + name + " is on bridge " + (place ? place->str("name") : "(none)"));
  }
  if (params["may_exist"] != true) {
    throw exists("name", name, "there is a port " + name + " on bridge " + bridge.str("name") + " already");
  }
  Json wanted = params;
  if (wanted["type"] == "") wanted["type"] = "system";
  const std::string field = first_difference(wanted, to_json(methods, bridge, port),
                                             {"type", "options", "tag", "trunks", "vlan_mode", "protected",
                                              "priority_tags", "cvlans", "qinq_ethtype", "ofport_request"});
  if (!field.empty()) throw exists(field, params[field], "port " + name + " exists with another " + field);
  return show(methods, name);
}

Outcome add(const PortMethods& methods, const Json& params) {
  Database& database = methods.database;
  const Row& bridge = bridge_named(database, params["bridge"]);
  const std::string name = params["name"];
  if (find_bridge(database, name) != nullptr) {
    throw conflict("name", name, name + " is a bridge: its own port has that name");
  }
  if (const Row* port = find_port(database, name)) return accept_present(methods, bridge, *port, params);
  if (database.table("Interface").find("name", name) != nullptr) {
    throw conflict("name", name, name + " is an interface of another port");
  }
  check_settings(
      params,
      {{"tag", nullptr}, {"trunks", Json::array()}, {"vlan_mode", nullptr}, {"cvlans", Json::array()}});
  Transaction transaction(database);
  const Uuid interface = transaction.insert("Interface");
  transaction.set("Interface", interface, "name", Datum::of(name));
  if (params["type"] != "" && params["type"] != "system")
    transaction.set("Interface", interface, "type", Datum::of(params["type"].get<std::string>()));
  write_options(transaction, database, interface, params["options"]);
  const Uuid port = transaction.insert("Port");
  transaction.set("Port", port, "name", Datum::of(name));
  transaction.set("Port", port, "interfaces", Datum::of(interface));
  write_settings(transaction, port, interface, params);
  transaction.add("Bridge", bridge.uuid(), "ports", Datum::of(port));
  transaction.comment("port.add " + name);
  commit(transaction);
  return show(methods, name);
}

Outcome set(const PortMethods& methods, const Json& params) {
  Database& database = methods.database;
  const std::string name = params["name"];
  const Place place = port_named(database, name);
  check_settings(params, to_json(methods, place.bridge, place.port));
  Transaction transaction(database);
  const Uuid interface = interface_of(database, place.port)->uuid();
  write_settings(transaction, place.port.uuid(), interface, params);
  if (params.contains("options")) write_options(transaction, database, interface, params["options"]);
  transaction.comment("port.set " + name);
  commit(transaction);
  return show(methods, name);
}

Outcome del(Database& database, const Json& params) {
  const std::string name = params["name"];
  if (params.contains("bridge")) bridge_named(database, params["bridge"]);
  if (params["if_exists"] == true && find_port(database, name) == nullptr) {
    return [] { return Json{{"removed", false}}; };
  }
  const Place place = port_named(database, name);
  const std::string& bridge = place.bridge.str("name");
  if (params.contains("bridge") && params["bridge"] != bridge) {
    throw refused("bridge", params["bridge"], "port " + name + " is on bridge " + bridge);
  }
  if (name == bridge) {
    throw refused("name", name,
                  name + " is the bridge's own port, which goes with it: delete the bridge instead");
  }
  Transaction transaction(database);
  transaction.remove("Bridge", place.bridge.uuid(), "ports", Datum::of(place.port.uuid()));
  transaction.comment("port.del " + name);
  commit(transaction);
  return [] { return Json{{"removed", true}}; };
}

Json list(const PortMethods& methods, const Json& params) {
  const Database& database = methods.database;
  Json ports = Json::array();
  for (const auto& [bridge_name, bridge] : bridges_asked_for(database, params)) {
    for (const auto& [name, port] : ports_of(database, *bridge))
      ports.push_back(to_json(methods, *bridge, *port));
  }
  return {{"ports", ports}};
}

}  // namespace

void add_port_methods(Methods& methods, bridge::CountersView& counters) {
  const PortMethods shared{methods, counters};
  methods.change("port.add", [shared](const Json& params) { return add(shared, params); });
  methods.change("port.set", [shared](const Json& params) { return set(shared, params); });
  methods.change("port.del", [shared](const Json& params) { return del(shared.database, params); });
  methods.read("port.get", [shared](const Json& params) { return show(shared, params["name"])(); });
  methods.read("port.list", [shared](const Json& params) { return list(shared, params); });
}

}  // namespace vswitch::api
