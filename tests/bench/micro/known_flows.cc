// SPDX-License-Identifier: Apache-2.0
// Flows into the kernel's map and out of it, one by one and all at once. Where BPF is not permitted there is nothing to
// measure, and the label says so.
#include <benchmark/benchmark.h>

#include <atomic>
#include <exception>
#include <memory>

#include "datapath/fastpath/programs.h"

namespace vswitch::fastpath {
namespace {

constexpr std::uint32_t kFlows = 10'000;

/// Null if the kernel does not do it.
std::unique_ptr<Programs> load(benchmark::State& state) {
  try {
    return std::make_unique<Programs>();
  } catch (const std::exception&) {
    state.SetLabel("not measured: no BPF");
    for (auto _ : state) {
    }
    return nullptr;
  }
}

fastpath_key key_of(std::uint32_t number) {
  fastpath_key key{.ifindex = 1, .tag = 0, .dst = {2, 1}, .src = {2, 2}};
  for (int byte = 0; byte < 4; ++byte) {
    key.dst[2 + byte] = key.src[2 + byte] = static_cast<std::uint8_t>(number >> 8 * byte);
  }
  return key;
}

void put_all(const Programs& programs) {
  for (std::uint32_t i = 0; i < kFlows; ++i) {
    const fastpath_flow flow{.decision = {{.generation = 1,
                                           .since = 0,
                                           .in = 0,
                                           .out = 1,
                                           .tag = 0,
                                           .copy_set = 0,
                                           .flood = 0,
                                           .unused = 0}},
                             .bridge = 0,
                             .id = i};
    benchmark::DoNotOptimize(programs.put(key_of(i), flow));
  }
}

void remove_all(const Programs& programs) {
  for (std::uint32_t i = 0; i < kFlows; ++i) programs.remove(key_of(i));
}

void PutFlows(benchmark::State& state) {
  const auto programs = load(state);
  if (programs == nullptr) return;
  for (auto _ : state) {
    put_all(*programs);
    state.PauseTiming();
    remove_all(*programs);
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * kFlows);
}
BENCHMARK(PutFlows)->Unit(benchmark::kMillisecond);

void RemoveFlows(benchmark::State& state) {
  const auto programs = load(state);
  if (programs == nullptr) return;
  for (auto _ : state) {
    state.PauseTiming();
    put_all(*programs);
    state.ResumeTiming();
    remove_all(*programs);
  }
  state.SetItemsProcessed(state.iterations() * kFlows);
}
BENCHMARK(RemoveFlows)->Unit(benchmark::kMillisecond);

/// All flows of a bridge, by its generation.
void WithdrawFlows(benchmark::State& state) {
  const auto programs = load(state);
  if (programs == nullptr) return;
  put_all(*programs);
  for (auto _ : state) {
    std::atomic_ref(programs->bridges[0].generation).fetch_add(1, std::memory_order_seq_cst);
  }
  remove_all(*programs);
}
BENCHMARK(WithdrawFlows);

}  // namespace
}  // namespace vswitch::fastpath
