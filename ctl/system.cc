// SPDX-License-Identifier: Apache-2.0
// Commands about the switch as a whole.
#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/render.h"

namespace vswitch::ctl {
namespace {

Query declare_stats(CLI::App&) {
  return [] { return std::vector<Call>{{"system.stats"}}; };
}

Query declare_version(CLI::App&) {
  return [] { return std::vector<Call>{{"system.info"}}; };
}

std::string drops(const Json& result) {
  Table table({"DROPPED", "REASON", "MEANING"});
  for (const Json& drop : result["drops"]) table.add({drop["count"], drop["reason"], drop["meaning"]});
  return table.empty() ? std::string("nothing dropped\n") : table.text();
}

std::string render_stats(const Json& result) {
  Table table(
      {"BRIDGE", "PORT", "RX PACKETS", "RX BYTES", "RX DROPPED", "TX PACKETS", "TX BYTES", "TX DROPPED"});
  for (const Json& port : result["ports"]) {
    table.add({port["bridge"], port["name"], port["rx_packets"], port["rx_bytes"], port["rx_dropped"],
               port["tx_packets"], port["tx_bytes"], port["tx_dropped"]});
  }
  return (table.empty() ? std::string("no ports\n") : table.text()) + '\n' + drops(result);
}

const Json& port_before(const Json& before, const Json& port) {
  if (before.is_object()) {
    for (const Json& old : before["ports"]) {
      if (old["bridge"] == port["bridge"] && old["name"] == port["name"]) return old;
    }
  }
  return port;
}

std::string watch_stats(const Json& result, const Json& before, double seconds) {
  Table table({"BRIDGE", "PORT", "RX PACKETS/s", "RX Mbit/s", "TX PACKETS/s", "TX Mbit/s", "RX DROPPED",
               "TX DROPPED"});
  for (const Json& port : result["ports"]) {
    const Json& then = port_before(before, port);
    const auto rate = [&](const char* key, double unit) {
      const auto grown = port[key].get<std::int64_t>() - then[key].get<std::int64_t>();
      return static_cast<std::int64_t>(static_cast<double>(grown) * unit / seconds + 0.5);
    };
    table.add({port["bridge"], port["name"], rate("rx_packets", 1), rate("rx_bytes", 8e-6),
               rate("tx_packets", 1), rate("tx_bytes", 8e-6), port["rx_dropped"], port["tx_dropped"]});
  }
  return (table.empty() ? std::string("no ports\n") : table.text()) + '\n' + drops(result);
}

std::string render_version(const Json& info) {
  return "vswitch-ctl " VSWITCH_VERSION "\n" + info["name"].get<std::string>() + ' ' +
         info["version"].get<std::string>() + ", pid " + info["pid"].dump() + ", since " +
         info["started"].get<std::string>() + ", " + info["workers"].dump() + " workers, " +
         info["bridges"].dump() + " bridges, " + info["ports"].dump() + " ports, " + info["mirrors"].dump() +
         " sessions\n" + "session API " + info["api"].get<std::string>() + ", database schema " +
         info["schema_version"].get<std::string>() + " (Open vSwitch " +
         info["ovs_version"].get<std::string>() + ")\n";
}

}  // namespace

const std::vector<Command> kSystemCommands = {
    {"stats", "show the counters of all ports, and what was dropped", "--watch", declare_stats, render_stats,
     watch_stats},
    {"version", "show the versions of the tool and the daemon", "", declare_version, render_version},
};

}  // namespace vswitch::ctl
