// SPDX-License-Identifier: Apache-2.0
// Explains in words what would happen to a frame. Pure: the datapath's own decision, and the states of the
// sessions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "datapath/snapshot/snapshot.h"
#include "switchd/bridge/session_state.h"
#include "switchd/bridge/switch_view.h"

namespace vswitch::bridge {

/// What the kernel does for the switch at the moment.
struct FastPathUse {
  std::string off;        ///< why it carries no frames; empty: it does
  bool has_taps = false;  ///< user space can make copies of what it carries
};

/// ExplainView::explain() for a frame that arrives on `in`, a port of the bridge that rows describe as
/// `asked`; `states` are those of all sessions.
Explanation explain(const Snapshot& snapshot, const PortConfig& in, const std::vector<DesiredSession>& asked,
                    const std::vector<SessionStatus>& states, std::span<const std::uint8_t> bytes, TimeNs now,
                    const FastPathUse& fast_path);

}  // namespace vswitch::bridge
