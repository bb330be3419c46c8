// SPDX-License-Identifier: Apache-2.0
// The accounts of sessions as plain numbers, to be kept where they outlive the daemon.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "datapath/base/counters.h"
#include "datapath/base/drop_reason.h"

namespace vswitch {

/// What DestinationCell counts, the sum over all senders.
struct DestinationTotals {
  std::uint64_t matched = 0, delivered = 0, delivered_bytes = 0, sent_packets = 0, truncated = 0;
  std::array<std::uint64_t, kDropReasonCount> lost{};

  bool operator==(const DestinationTotals&) const = default;
};

/// Of one session, since its account began.
struct SessionTotals {
  std::uint64_t frames = 0, bytes = 0;
  std::map<std::string, DestinationTotals> destinations;  ///< by name of the port or endpoint

  bool operator==(const SessionTotals&) const = default;
};

using AccountTotals = std::map<std::string, SessionTotals>;  ///< by the session's id

/// With outcomes read before matches: they never exceed them.
DestinationTotals totals_of(const DestinationCounters& counters);

/// Adds to cells that no other thread has yet. Copies that were matched and have no outcome had been queued when their
/// daemon ended: they are lost (DropReason::switch_ended).
void resume(DestinationCounters& counters, const DestinationTotals& totals);

}  // namespace vswitch
