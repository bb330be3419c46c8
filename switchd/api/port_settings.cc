// SPDX-License-Identifier: Apache-2.0
#include "switchd/api/port_settings.h"

#include "switchd/api/errors.h"
#include "switchd/model/tunnel_settings.h"

namespace vswitch::api {

using ovsdb::Datum;
using ovsdb::Transaction;

PortSettings read_port_settings(const Row& port, const Row& interface) {
  return {model::read_port(port), model::read_interface(interface), interface.map("external_ids")};
}

PortSettings port_settings_from(const std::string& name, const Json& params) {
  PortSettings settings;
  settings.port.name = settings.interface.name = name;
  model::take_members(model::port_columns(), params, settings.port);
  model::take_members(model::interface_columns(), params, settings.interface);
  if (settings.interface.type == "system") settings.interface.type.clear();
  if (params.contains("priority_tags")) settings.port.set_priority_tags(params["priority_tags"]);
  if (params.contains("qinq_ethtype")) settings.port.set_qinq_ethtype(params["qinq_ethtype"]);
  if (params.contains("transient")) settings.port.set_transient(params["transient"]);
  if (params.contains("external_ids"))
    settings.external_ids = params["external_ids"].get<std::map<std::string, std::string>>();
  return settings;
}

void check_settings(const PortSettings& settings) {
  check_vlans(model::members_of(model::port_columns(), settings.port));
  check_options(settings.interface);
}

void check_vlans(const Json& port) {
  const Json& mode_given = port["vlan_mode"];
  const bool tagged = !port["tag"].is_null();
  const std::string mode = !mode_given.is_null() ? mode_given.get<std::string>()
                           : tagged              ? "access"
                                                 : "trunk";
  const bool tunnel = mode == "dot1q-tunnel";
  if (mode == "trunk" && tagged) {
    throw conflict("tag", port["tag"],
                   "a trunk port cannot have a tag: use vlan_mode native-tagged or native-untagged");
  }
  if ((tunnel || mode.starts_with("native")) && !tagged) {
    throw conflict("tag", nullptr, "vlan_mode " + mode + " needs a tag");
  }
  if ((mode == "access" || tunnel) && !port["trunks"].empty()) {
    throw conflict("trunks", port["trunks"],
                   (tunnel ? "a " : "an ") + mode +
                       " port cannot have trunks: use vlan_mode native-tagged or native-untagged for both");
  }
  if (!tunnel && !port["cvlans"].empty()) {
    throw conflict("cvlans", port["cvlans"], "cvlans require vlan_mode dot1q-tunnel");
  }
}

void check_options(const model::Interface& interface) {
  if (model::is_tunnel_type(interface.type)) {
    const model::DesiredEndpoint tunnel = model::tunnel_of(interface);
    if (!tunnel.refusal.empty()) throw invalid("options", interface.options, tunnel.refusal);
  } else if (interface.type == "patch") {
    if (!interface.options.contains("peer"))
      throw invalid("options", interface.options,
                    "a patch port needs the option peer: the name of the patch port at the other end");
  } else if (!interface.options.empty()) {
    throw invalid("options", interface.options,
                  "options are for ports of type patch, gre, erspan, vxlan and geneve");
  }
}

void check_ends(const Database& database, const model::Interface& interface) {
  if (!model::is_tunnel_type(interface.type)) return;
  const model::TunnelEnds ends = model::ends_of(model::tunnel_of(interface).settings);
  for (const Row& row : database.table("Interface")) {
    if (row.uuid() == interface.uuid || !model::is_tunnel_type(row.str("type"))) continue;
    const model::DesiredEndpoint tunnel = model::tunnel_of(model::read_interface(row));
    if (!tunnel.refusal.empty() || model::ends_of(tunnel.settings) != ends) continue;
    throw conflict(
        "options", interface.options,
        "tunnel " + row.str("name") + " has the same remote_ip, local_ip and key: give another key");
  }
}

PortRows insert_port(Transaction& transaction, const std::string& name) {
  const PortRows rows{transaction.insert("Port"), transaction.insert("Interface")};
  transaction.set("Interface", rows.interface, "name", Datum::of(name));
  transaction.set("Port", rows.port, "name", Datum::of(name));
  transaction.set("Port", rows.port, "interfaces", Datum::of(rows.interface));
  return rows;
}

void write_settings(Transaction& transaction, const PortRows& rows, const PortSettings& settings) {
  model::Port present = model::read_port(*transaction.find("Port", rows.port));
  present.set_priority_tags(settings.port.priority_tags());
  present.set_qinq_ethtype(settings.port.qinq_ethtype());
  present.set_transient(settings.port.transient());
  transaction.set("Port", rows.port, "other_config", Datum::map_of(present.other_config));
  model::write_columns(model::port_columns(), settings.port,
                       model::members_of(model::port_columns(), settings.port), transaction, "Port",
                       rows.port);
  model::write_columns(model::interface_columns(), settings.interface,
                       model::members_of(model::interface_columns(), settings.interface), transaction,
                       "Interface", rows.interface);
  transaction.set("Interface", rows.interface, "external_ids", Datum::map_of(settings.external_ids));
}

}  // namespace vswitch::api
