// SPDX-License-Identifier: Apache-2.0
// A frame into the queue of copies and out of it, by one thread.
#include "datapath/engine/copy_queue.h"

#include <benchmark/benchmark.h>

#include <vector>

namespace vswitch {
namespace {

void PushAndTake(benchmark::State& state) {
  constexpr int kBatch = 64;
  CopyQueue queue(std::size_t{1} << 20);
  const std::vector<std::uint8_t> payload(static_cast<std::size_t>(state.range(0)));
  Frame frame;
  frame.payload = payload;
  const CopyTarget targets[] = {{nullptr, nullptr, 0, {}}};
  for (auto _ : state) {
    for (int i = 0; i < kBatch; ++i) benchmark::DoNotOptimize(queue.push(frame, 1, targets));
    while (auto record = queue.take()) benchmark::DoNotOptimize(record->payload.data());
    queue.release();
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(PushAndTake)->ArgName("bytes")->Arg(52)->Arg(1502)->Arg(9000);

}  // namespace
}  // namespace vswitch
