// SPDX-License-Identifier: Apache-2.0
// Bytes to a frame, and checksums.
#include <benchmark/benchmark.h>

#include "datapath/frame/checksum.h"
#include "tests/support/frame_builder.h"

namespace vswitch {
namespace {

void Parse(benchmark::State& state) {
  const auto bytes =
      state.range(0) == 0 ? test::frame().zeros(46).bytes() : test::frame().vlan(10).zeros(46).bytes();
  const RawFrame raw{.bytes = bytes, .stripped_tag = {}, .offload = {}};
  for (auto _ : state) benchmark::DoNotOptimize(parse(raw));
}
BENCHMARK(Parse)->ArgName("tags")->Arg(0)->Arg(1);

void WriteHeader(benchmark::State& state) {
  TagList tags;
  for (std::int64_t i = 0; i < state.range(0); ++i) tags.push_back({kTpid8021Q, 10});
  std::array<std::uint8_t, kMaxHeaderLength> header{};
  for (auto _ : state) {
    benchmark::DoNotOptimize(write_header(MacAddr::from_u64(2), MacAddr::from_u64(3), tags, header));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(WriteHeader)->ArgName("tags")->Arg(0)->Arg(2);

void CompleteChecksum(benchmark::State& state) {
  std::vector<std::uint8_t> payload(static_cast<std::size_t>(state.range(0)), 0x5a);
  for (auto _ : state) {
    Offload offload{.needs_checksum = true, .checksum_start = 22, .checksum_offset = 6};
    complete_checksum(payload, offload);
    benchmark::DoNotOptimize(payload.data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(CompleteChecksum)->ArgName("bytes")->Arg(52)->Arg(1502);

}  // namespace
}  // namespace vswitch
