// SPDX-License-Identifier: Apache-2.0
#include "switchd/release_devices.h"

#include <boost/asio/io_context.hpp>

#include <filesystem>
#include <optional>

#include "switchd/bridge/internal_devices.h"
#include "switchd/netlink/host_isolation.h"
#include "switchd/netlink/link_monitor.h"
#include "switchd/run_directory.h"

namespace vswitch {

std::vector<std::string> release_devices(const std::string& rundir, bool removes_internal) {
  std::optional<RunDirectory> lock;  // and no daemon starts meanwhile
  if (std::filesystem::exists(rundir)) lock.emplace(rundir);
  netlink::HostIsolation isolation(rundir);
  std::vector<std::string> lines = isolation.clean_leftovers();
  if (removes_internal) {
    boost::asio::io_context io;
    netlink::LinkMonitor links(io, {});
    for (std::string& line : bridge::InternalDevices(io, links, rundir, {}).remove_leftovers({}))
      lines.push_back(std::move(line));
  }
  for (std::string& line : isolation.others()) lines.push_back(std::move(line));
  return lines;
}

}  // namespace vswitch
