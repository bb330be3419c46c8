// SPDX-License-Identifier: Apache-2.0
// Commands about the switch as a whole.
#include <memory>

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

Query declare_release_devices(CLI::App& app) {
  const auto cleanup = std::make_shared<bool>();
  app.add_flag("--cleanup", *cleanup, "also remove the devices of internal ports that the daemon has made");
  return [cleanup] { return std::vector<Call>(); };
}

std::vector<std::string> release_devices(const CLI::App& app) {
  std::vector<std::string> arguments{"--release-devices"};
  if (app.count("--cleanup") != 0) arguments.emplace_back("--cleanup");
  return arguments;
}

}  // namespace

const std::vector<Command> kSystemCommands = {
    {"version", "show the versions of the tool and the daemon", "", declare_version, render_version},
    {"release-devices", "give devices back to the host after a daemon was killed, without one", "--cleanup",
     declare_release_devices, render_nothing, nullptr, release_devices},
};

}  // namespace vswitch::ctl
