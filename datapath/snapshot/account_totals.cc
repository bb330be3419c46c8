// SPDX-License-Identifier: Apache-2.0
#include "datapath/snapshot/account_totals.h"

#include <numeric>

namespace vswitch {

DestinationTotals totals_of(const DestinationCounters& counters) {
  DestinationTotals totals;
  counters.each([&totals](const DestinationCell& cell) {
    totals.delivered += cell.delivered.read();
    totals.delivered_bytes += cell.delivered_bytes.read();
    totals.sent_packets += cell.sent_packets.read();
    totals.truncated += cell.truncated.read();
    for (std::size_t r = 0; r < kDropReasonCount; ++r) totals.lost[r] += cell.lost[r].read();
  });
  totals.matched = counters.sum([](const DestinationCell& cell) { return cell.matched.read(); });
  return totals;
}

void resume(DestinationCounters& counters, const DestinationTotals& totals) {
  DestinationCell& cell = counters.of(SenderId{0});
  cell.matched.add(totals.matched);
  cell.delivered.add(totals.delivered);
  cell.delivered_bytes.add(totals.delivered_bytes);
  cell.sent_packets.add(totals.sent_packets);
  cell.truncated.add(totals.truncated);
  for (std::size_t r = 0; r < kDropReasonCount; ++r) cell.lost[r].add(totals.lost[r]);
  const std::uint64_t known = std::accumulate(totals.lost.begin(), totals.lost.end(), totals.delivered);
  if (totals.matched > known)
    cell.lost[static_cast<std::size_t>(DropReason::switch_ended)].add(totals.matched - known);
}

}  // namespace vswitch
