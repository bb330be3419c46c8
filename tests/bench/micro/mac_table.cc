// SPDX-License-Identifier: Apache-2.0
// The addresses a bridge has learned, from one thread. Addresses are asked for in an order no cache foresees.
#include "datapath/switching/mac_table.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

namespace vswitch {
namespace {

constexpr TimeNs kNow = 1000 * kSecondNs;
constexpr PortNo kPort{7};

std::vector<MacAddr> addresses(std::int64_t count) {
  std::vector<std::uint64_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0x020000000000U);
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937(1));
  std::vector<MacAddr> result;
  for (const std::uint64_t number : numbers) result.push_back(MacAddr::from_u64(number));
  return result;
}

/// A table that has room for all of them and knows them, for a benchmark that goes round `macs`.
struct Full {
  explicit Full(std::int64_t count) : macs(addresses(count)), table(static_cast<std::size_t>(2 * count)) {
    for (const MacAddr& mac : macs) table.learn(1, mac, kPort, kNow);
  }
  const MacAddr& next() { return macs[at_ = at_ + 1 == macs.size() ? 0 : at_ + 1]; }

  std::vector<MacAddr> macs;
  MacTable table;

 private:
  std::size_t at_ = 0;
};

void MacLookup(benchmark::State& state) {
  Full full(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(full.table.lookup(1, full.next(), kNow));
}
BENCHMARK(MacLookup)->ArgName("addresses")->Arg(100)->Arg(10'000)->Arg(100'000);

void MacLearnKnown(benchmark::State& state) {
  Full full(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(full.table.learn(1, full.next(), kPort, kNow));
}
BENCHMARK(MacLearnKnown)->ArgName("addresses")->Arg(100)->Arg(100'000);

/// Every address is new, and the table is full: the oldest gives way.
void MacLearnFresh(benchmark::State& state) {
  MacTable table(static_cast<std::size_t>(state.range(0)));
  std::uint64_t number = 0x020000000000U;
  for (auto _ : state) benchmark::DoNotOptimize(table.learn(1, MacAddr::from_u64(++number), kPort, kNow));
}
BENCHMARK(MacLearnFresh)->ArgName("addresses")->Arg(8192);

}  // namespace
}  // namespace vswitch
