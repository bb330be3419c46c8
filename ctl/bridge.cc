// SPDX-License-Identifier: Apache-2.0
// Commands about bridges, and `show`, which shows them with their ports and sessions.
#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/render.h"

namespace vswitch::ctl {
namespace {

void declare_bridge_settings(CLI::App& app, const Params& params) {
  text_or_none(app, params, "--fail-mode", "fail_mode", "standalone, secure or none")->type_name("MODE");
  number(app, params, "--mac-aging-time", "mac_aging_time", "seconds to keep an unused address")
      ->type_name("SECONDS");
  number(app, params, "--mac-table-size", "mac_table_size", "maximum number of learned addresses")
      ->type_name("N");
  vlans(app, params, "--flood-vlans", "flood_vlans", "VLANs without learning, such as 900,910-919, or none");
  on_off(app, params, "--forward-bpdu", "forward_bpdu", "forward frames to link-local multicast addresses");
}

Query declare_add_bridge(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "name", "name of the bridge");
  declare_bridge_settings(app, params);
  flag(app, params, "--may-exist", "may_exist", true, "succeed if it exists with these settings");
  return [params] { return std::vector<Call>{{"bridge.add", *params}}; };
}

Query declare_set_bridge(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "name", "name of the bridge");
  declare_bridge_settings(app, params);
  return [params] {
    if (params->size() == 1) throw UsageError("no setting to change given");
    return std::vector<Call>{{"bridge.set", *params}};
  };
}

Query declare_del_bridge(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "name", "name of the bridge");
  flag(app, params, "--if-exists", "if_exists", true, "succeed if it does not exist");
  return [params] { return std::vector<Call>{{"bridge.del", *params}}; };
}

Query declare_show_bridge(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "name", "name of the bridge");
  return [params] { return std::vector<Call>{{"bridge.get", *params}}; };
}

Query declare_list_bridges(CLI::App&) {
  return [] { return std::vector<Call>{{"bridge.list"}}; };
}

Query declare_show_all(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "only this bridge")->required(false);
  return [params] {
    return std::vector<Call>{{"bridge.list", *params}, {"port.list", *params}, {"mirror.list", *params}};
  };
}

/// Silent on success, like other tools; says why a bridge does not work yet.
std::string render_bridge(const Json& bridge) {
  if (bridge["state"] == "active") return {};
  return printable(bridge["name"].get<std::string>()) + ' ' + shown_state(bridge) + '\n';
}

std::string render_bridge_list(const Json& result) {
  Table table({"BRIDGE", "PORTS", "SESSIONS", state_column()});
  for (const Json& bridge : result["bridges"]) {
    table.add({bridge["name"], bridge["ports"].size(), bridge["mirrors"].size(), brief_state(bridge)});
  }
  return table.empty() ? "no bridges\n" : table.text();
}

std::string render_bridge_details(const Json& bridge) {
  return line("bridge", bridge["name"]) + state_line(bridge) + notice(bridge) +
         line("datapath id", or_nothing(bridge["datapath_id"])) +
         line("fail mode", or_nothing(bridge["fail_mode"])) +
         line("addresses", "at most " + bridge["mac_table_size"].dump() + ", kept " +
                               bridge["mac_aging_time"].dump() + " seconds") +
         line("flood VLANs", vlan_list(bridge["flood_vlans"])) +
         line("forward BPDUs", bridge["forward_bpdu"] == true ? "yes" : "no") +
         line("ports", join(bridge["ports"], ", ")) + line("sessions", join(bridge["mirrors"], ", "));
}

Json of_bridge(const Json& objects, const Json& bridge) {
  Json some = Json::array();
  for (const Json& object : objects) {
    if (object["bridge"] == bridge) some.push_back(object);
  }
  return some;
}

std::string render_all(const Json& result) {
  std::string text;
  for (const Json& bridge : result["bridges"]) {
    text += printable("bridge " + bridge["name"].get<std::string>()) + "  " + shown_state(bridge) + '\n';
    Table ports({"PORT", "TYPE", Column("OFPORT").leave_out(1), Column("VLANS").cut(1), state_column()});
    for (const Json& port : of_bridge(result["ports"], bridge["name"])) {
      ports.add({port["name"], port["type"], port["ofport"], port_vlans(port), brief_state(port)});
    }
    text += ports.text(4);
    const Json sessions = of_bridge(result["mirrors"], bridge["name"]);
    if (!sessions.empty()) text += session_table_of_bridge(sessions, 4);
  }
  return text.empty() ? "no bridges\n" : text;
}

}  // namespace

const std::vector<Command> kBridgeCommands = {
    {"add-br", "make a bridge", "br0", declare_add_bridge, render_bridge},
    {"set-br", "change settings of a bridge", "br0 --mac-aging-time 60", declare_set_bridge, render_bridge},
    {"del-br", "remove a bridge with its ports and sessions", "br0", declare_del_bridge, render_nothing},
    {"show-br", "show everything about a bridge", "br0", declare_show_bridge, render_bridge_details,
     refresh<render_bridge_details>},
    {"list-br", "list the bridges", "", declare_list_bridges, render_bridge_list,
     refresh<render_bridge_list>},
    {"show", "show bridges with their ports and sessions", "br0", declare_show_all, render_all,
     refresh<render_all>},
};

}  // namespace vswitch::ctl
