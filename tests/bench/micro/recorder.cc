// SPDX-License-Identifier: Apache-2.0
// Copies into a flight recorder that is full: what a thread that makes copies spends on each.
#include "switchd/bridge/recorder.h"

#include <benchmark/benchmark.h>

#include <vector>

#include "datapath/mirror/copy_shape.h"

namespace vswitch::bridge {
namespace {

void Record(benchmark::State& state) {
  constexpr std::size_t kBatch = 64;
  Recorder recorder({64'000'000, 300 * kSecondNs});
  const std::vector<std::uint8_t> payload(static_cast<std::size_t>(state.range(0)));
  std::vector<OutgoingFrame> frames(kBatch);
  std::vector<CapturedFrame> copies;
  for (OutgoingFrame& frame : frames) {
    frame.payload = payload;
    copies.push_back(
        {.frame = &frame, .snaplen = kWholeFrame, .unix_time_ns = 1, .port = "t1", .delivered = true});
  }
  for (std::size_t i = 0; i < 2'000'000 / kBatch; ++i) recorder.send(copies);
  for (auto _ : state) recorder.send(copies);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK(Record)->ArgName("bytes")->Arg(52)->Arg(1502)->Arg(9000);

}  // namespace
}  // namespace vswitch::bridge
