// SPDX-License-Identifier: Apache-2.0
// The commands common to all daemons (ovs-appctl(8), "COMMON COMMANDS"): version, exit, vlog/*, memory/show,
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
      exit;                           ///< starts an orderly shutdown; the answer is queued before the call
  std::function<Figures()> memory;    ///< memory/show: current number of objects of each kind
  std::function<Figures()> coverage;  ///< coverage/show: number of events of each kind since the start
};

void add_common(Registry& registry, CommonHooks hooks);

}  // namespace vswitch::unixctl
