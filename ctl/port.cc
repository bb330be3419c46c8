// SPDX-License-Identifier: Apache-2.0
// Commands about ports.
#include <algorithm>

#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/nearest.h"
#include "ctl/render.h"
#include "schemas/openrpc.h"

namespace vswitch::ctl {
namespace {

struct Pair {
  std::string key, value;
};
Pair key_and_value(const std::string& option, const std::string& setting, const std::string& example) {
  const std::size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0)
    throw UsageError(option + " " + setting + ": takes KEY=VALUE, such as " + example);
  return {setting.substr(0, equals), setting.substr(equals + 1)};
}

/// The contract has the list.
void check_option_name(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, schema] :
       openrpc::control().document()["components"]["schemas"]["InterfaceOptions"]["properties"].items())
    names.push_back(known);
  if (std::find(names.begin(), names.end(), name) == names.end())
    throw UsageError("--option " + name + ": there is no such option" + did_you_mean(name, names));
}

void declare_port_settings(CLI::App& app, const Params& params) {
  repeated(
      app, "--option",
      [params](const std::vector<std::string>& settings) {
        for (const std::string& setting : settings) {
          const auto [key, value] = key_and_value("--option", setting, "remote_ip=10.0.0.1");
          check_option_name(key);
          (*params)["options"][key] = value.empty() ? Json() : Json(value);
        }
      },
      "KEY=VALUE",
      "of a tunnel: remote_ip, local_ip, key, dst_port, ttl, tos, csum, seq, erspan_ver ...; of a patch "
      "port: peer (KEY= removes one); repeatable");
  repeated(
      app, "--external-id",
      [params](const std::vector<std::string>& settings) {
        for (const std::string& setting : settings) {
          const auto [key, value] = key_and_value("--external-id", setting, "iface-id=vm-7");
          (*params)["external_ids"][key] = value.empty() ? Json() : Json(value);
        }
      },
      "KEY=VALUE",
      "external_ids of the interface, by which others know the port: iface-id, attached-mac, "
      "vsphere-port-key ... (KEY= removes one); repeatable");
  number(app, params, "--tag", "tag", "access or native VLAN, or none", true)->type_name("VLAN");
  vlans(app, params, "--trunks", "trunks", "VLANs of a trunk or native port, such as 1,2-9 (none: all)");
  text_or_none(app, params, "--vlan-mode", "vlan_mode",
               "access, trunk, native-tagged, native-untagged, dot1q-tunnel, or none (decided by --tag)")
      ->type_name("MODE");
  on_off(app, params, "--protected", "protected", "do not forward between protected ports");
  text(app, params, "--priority-tags", "priority_tags", "never, if-nonzero or always")->type_name("WHEN");
  vlans(app, params, "--cvlans", "cvlans", "customer VLANs of a dot1q-tunnel port (none: all)");
  text(app, params, "--qinq-ethtype", "qinq_ethtype",
       "802.1ad or 802.1q: type of the outer tag of a dot1q-tunnel port")
      ->type_name("TYPE");
  on_off(
      app, params, "--transient", "transient",
      "the port goes at the next boot: del-transient-ports and vswitchd --delete-transient-ports remove it");
  number(app, params, "--mtu", "mtu_request", "MTU to give the device, or none (as it is)", true)
      ->type_name("BYTES");
  number(app, params, "--ofport", "ofport_request", "requested OpenFlow port number, or none", true)
      ->type_name("N");
}

Query declare_add_port(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "bridge to add the port to");
  text(app, params, "port", "name", "name of the device, which may appear later");
  text(app, params, "--type", "type",
       "system: a device of this host [default]; internal, tap: a device that the switch creates; patch: a "
       "link to the patch port of another bridge (--option peer=PORT); gre, erspan, vxlan, geneve: a tunnel")
      ->type_name("TYPE");
  declare_port_settings(app, params);
  flag(app, params, "--may-exist", "may_exist", true, "succeed if it exists with these settings");
  return [params] { return std::vector<Call>{{"port.add", *params}}; };
}

Query declare_set_port(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "port", "name", "name of the port");
  declare_port_settings(app, params);
  return [params] {
    if (params->size() == 1) throw UsageError("no setting to change given");
    return std::vector<Call>{{"port.set", *params}};
  };
}

Query declare_del_port(CLI::App& app) {
  const Params params = make_params();
  auto names = std::make_shared<std::vector<std::string>>();
  app.add_option("[bridge] port", *names, "the port, and optionally the bridge that must hold it")
      ->required()
      ->expected(1, 2)
      ->type_name("");
  flag(app, params, "--if-exists", "if_exists", true, "succeed if it does not exist");
  return [params, names] {
    if (names->size() == 2) (*params)["bridge"] = names->front();
    (*params)["name"] = names->back();
    return std::vector<Call>{{"port.del", *params}};
  };
}

Query declare_show_port(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "port", "name", "name of the port");
  return [params] { return std::vector<Call>{{"port.get", *params}}; };
}

Query declare_list_ports(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "only this bridge")->required(false);
  return [params] { return std::vector<Call>{{"port.list", *params}}; };
}

Query declare_del_transient_ports(CLI::App&) {
  return [] { return std::vector<Call>{{"port.del_transient"}}; };
}

std::string render_removed(const Json& result) {
  std::string text;
  for (const Json& name : result["removed"]) text += printable(name.get<std::string>()) + '\n';
  return text;
}

std::string render_port(const Json& port) {
  if (port["state"] == "active" && port["reason"] == "") return {};
  return printable(port["name"].get<std::string>()) + ' ' + shown_state(port) + '\n';
}

constexpr std::size_t kMacColumns = 17;  // half an address is of no use

std::string render_port_list(const Json& result) {
  Table table({"BRIDGE", "PORT", "TYPE", Column("OFPORT").leave_out(3), Column("VLANS").cut(1),
               Column("MTU").leave_out(2), Column("MAC").cut(0, kMacColumns).leave_out(1), state_column()});
  for (const Json& port : result["ports"]) {
    table.add({port["bridge"], port["name"], port["type"], port["ofport"], port_vlans(port), port["mtu"],
               port["mac"], brief_state(port)});
  }
  return table.empty() ? "no ports\n" : table.text();
}

std::string counted(const Json& counters, const std::string& way) {
  const auto count = [&](const char* what) { return counters[way + what].dump(); };
  return count("_packets") + " packets, " + count("_bytes") + " bytes; " + count("_dropped") + " dropped, " +
         count("_errors") + " errors";
}

std::string requested(const Json& port, const char* key) {
  const Json request = port.value(key, Json());
  return request.is_null() ? "" : " (requested: " + request.dump() + ")";
}

/// A line for each member of a map.
std::string place(const Json& port) {
  const Json device = port.value("device", Json());
  return device.is_null() ? "" : " (" + device.get<std::string>() + ')';
}

std::string map_lines(const char* label, const Json& port, const char* map) {
  std::string text;
  const Json members = port.value(map, Json::object());
  for (const auto& [key, value] : members.items()) text += line(label, key + '=' + value.get<std::string>());
  return text;
}

/// What the host has put on the device; most have nothing.
std::string egress_line(const Json& port) {
  const Json egress = port.value("egress", Json());
  if (egress.is_null()) return "";
  return line("egress", egress.get<std::string>() + " (frames take the kernel's ordinary path)");
}

std::string render_port_details(const Json& port) {
  return line("port", port["name"].get<std::string>() + " on " + port["bridge"].get<std::string>()) +
         state_line(port) + notice(port) + line("type", port["type"]) +
         line("ofport", or_nothing(port["ofport"]) + requested(port, "ofport_request")) +
         line("VLANs", port_vlans(port)) +
         line("cvlans", port["cvlans"].empty() ? "all" : vlan_list(port["cvlans"])) +
         line("qinq ethtype", port["qinq_ethtype"]) + line("priority tags", port["priority_tags"]) +
         (port.value("transient", false) ? line("transient", "yes") : "") +
         line("protected", port["protected"] == true ? "yes" : "no") +
         line("ifindex", or_nothing(port["ifindex"]) + place(port)) + line("MAC", or_nothing(port["mac"])) +
         line("MTU", or_nothing(port["mtu"]) + requested(port, "mtu_request")) + egress_line(port) +
         map_lines("option", port, "options") + map_lines("external id", port, "external_ids") +
         line("received", counted(port["counters"], "rx")) +
         line("sent", counted(port["counters"], "tx") + ", " + copies(port["counters"]["tx_copies"]));
}

}  // namespace

const std::vector<Command> kPortCommands = {
    {"add-port", "add a device to a bridge",
     "br0 t1 --tag 10\n"
     "br0 er1 --type erspan --option remote_ip=10.95.30.42 --option key=5\n"
     "br0 to-br1 --type patch --option peer=to-br0",
     declare_add_port, render_port},
    {"set-port", "change settings of a port",
     "t1 --tag none --trunks 10,20-29\n"
     "t1 --external-id iface-id=vm-7 --mtu 9000",
     declare_set_port, render_port},
    {"del-port", "remove a port from its bridge", "br0 t1", declare_del_port, render_nothing},
    {"del-transient-ports", "remove the ports of what does not outlive the host (add-port --transient)", "",
     declare_del_transient_ports, render_removed},
    {"show-port", "show one port in full", "t1", declare_show_port, render_port_details,
     refresh<render_port_details>},
    {"list-ports", "list the ports of one bridge or of all", "br0", declare_list_ports, render_port_list,
     refresh<render_port_list>},
};

}  // namespace vswitch::ctl
