// SPDX-License-Identifier: Apache-2.0
// The commands every daemon has (ovs-appctl(8), "COMMON COMMANDS"): version, exit, vlog/*, memory/show,
// coverage/*.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "switchd/unixctl/registry.h"

namespace vswitch::unixctl {

using Figures = std::vector<std::pair<std::string, std::uint64_t>>;

struct CommonHooks {
  std::function<void(bool cleanup)>
      exit;                           ///< begins the orderly end; the answer is queued before it is called
  std::function<Figures()> memory;    ///< memory/show: how many of what there are now
  std::function<Figures()> coverage;  ///< coverage/show: how often what happened since the start
};

void add_common(Registry& registry, CommonHooks hooks);

}  // namespace vswitch::unixctl
