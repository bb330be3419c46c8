// SPDX-License-Identifier: Apache-2.0
// Commands about the switch as a whole.
#include "ctl/command.h"
#include "ctl/render.h"

namespace vswitch::ctl {
namespace {

Query declare_version(CLI::App&) {
  return [] { return std::vector<Call>{{"system.info"}}; };
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
    {"version", "show the versions of the tool and the daemon", "", declare_version, render_version},
};

}  // namespace vswitch::ctl
