// SPDX-License-Identifier: Apache-2.0
// ofproto/list-tunnels: the tunnel ports of all bridges.
#include <cstdio>

#include "switchd/model/interface.h"
#include "switchd/model/rows.h"
#include "switchd/model/tunnel_settings.h"
#include "switchd/unixctl/commands.h"

namespace vswitch::unixctl {
namespace {

std::string hexadecimal(std::uint32_t number) {
  char text[16];
  std::snprintf(text, sizeof text, "%#x", number);
  return text;
}

std::string tunnel_line(const std::string& number, const model::Interface& interface,
                        const tunnel::TunnelEndpointSettings& settings) {
  const tunnel::Encapsulation& how = settings.encapsulation;
  std::string text = "port " + number + ": " + interface.name + " (" + interface.type + ": " +
                     (settings.local ? settings.local->to_string() : "::") + "->" +
                     settings.remote.to_string() + ", key=" + hexadecimal(model::ends_of(settings).key) +
                     ", legacy_l2, dp port=" + number +
                     ", ttl=" + (settings.inherit_ttl ? "inherit" : std::to_string(settings.ttl));
  if (settings.inherit_dscp) {
    text += ", tos=inherit";
  } else if (settings.dscp != 0) {
    text += ", tos=" + hexadecimal(std::uint32_t{settings.dscp} << 2);
  }
  if (!settings.dont_fragment) text += ", df=false";
  if (how.checksum) text += ", csum=true";
  return text + ")\n";
}

std::string list_tunnels(const ovsdb::Database& database, bridge::DatapathView& datapath) {
  std::map<std::uint32_t, std::string> lines;
  for (const auto& [bridge_name, bridge] : model::bridges(database)) {
    for (const auto& [name, port] : model::ports_of(database, *bridge)) {
      const ovsdb::Row* row = model::interface_of(database, *port);
      if (row == nullptr || !model::is_tunnel_type(row->str("type"))) continue;
      const auto number = datapath.datapath_number(bridge_name, row->str("name"));
      const model::Interface interface = model::read_interface(*row);
      const model::DesiredEndpoint tunnel = model::tunnel_of(interface);
      // Numbers in the datapath start at 0; Open vSwitch shows its own from 1 on.
      if (number && tunnel.refusal.empty())
        lines[*number] = tunnel_line(std::to_string(*number + 1), interface, tunnel.settings);
    }
  }
  std::string text;
  for (const auto& [number, line] : lines) text += line;
  return text;
}

}  // namespace

void add_tunnel_commands(Registry& registry, const ovsdb::Database& database,
                         bridge::DatapathView& datapath) {
  registry.add("ofproto/list-tunnels", "", 0, 0, [&](Args) { return list_tunnels(database, datapath); });
}

}  // namespace vswitch::unixctl
