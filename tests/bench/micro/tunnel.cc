// SPDX-License-Identifier: Apache-2.0
// What a mirror thread does for an endpoint: segments of super-frames, headers of encapsulations, and back.
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "datapath/tunnel/encapsulation.h"
#include "datapath/tunnel/pieces.h"
#include "tests/support/super_frame.h"

namespace vswitch {
namespace {

/// A TCP super-frame into segments with finished headers and checksums: an item is a segment.
void Segment(benchmark::State& state) {
  const test::SuperFrame super{.data = static_cast<std::size_t>(state.range(0)), .segment = 1448};
  const std::vector<std::uint8_t> payload = super.payload();
  const std::array<std::uint8_t, 12> addresses{};
  Pieces pieces;
  std::size_t segments = 0;
  for (auto _ : state) {
    pieces.clear();
    if (pieces.add(outgoing(addresses, payload, super.offload()), {.cut_superframes = true}) !=
        DropReason::none)
      return state.SkipWithError("it cannot be cut");
    segments += pieces.size();
    benchmark::DoNotOptimize(pieces.all().data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(segments));
}
BENCHMARK(Segment)->ArgName("bytes")->Arg(2896)->Arg(60'000);

/// By position in Encap: GRE, ERSPAN type I, II and III, VXLAN.
Encapsulation encapsulation(std::int64_t position) {
  Encapsulation how;
  how.encap = static_cast<Encap>(position);
  if (how.encap == Encap::gre || how.encap == Encap::vxlan) how.key = 7;
  how.session_id = 7;
  how.subheader = how.encap == Encap::erspan3;
  return how;
}

void Encapsulate(benchmark::State& state) {
  const Encapsulation how = encapsulation(state.range(0));
  const std::vector<std::uint8_t> bytes(64);
  const std::span<const std::uint8_t> frame(bytes);
  const CopyFacts facts{.tag = VlanTag{kTpid8021Q, 10}, .length = bytes.size(), .unix_time_ns = 1};
  std::array<std::uint8_t, kMaxEncapsulation> out{};
  for (auto _ : state) {
    write_encapsulation(how, facts, {&frame, 1}, std::span(out).first(encapsulation_length(how)));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(Encapsulate)->ArgName("encap")->DenseRange(0, 4);

void Decapsulate(benchmark::State& state) {
  const Encapsulation how = encapsulation(state.range(0));
  std::vector<std::uint8_t> packet(encapsulation_length(how) + 64);
  const std::span<const std::uint8_t> frame = std::span(packet).last(64);
  write_encapsulation(how, {.tag = {}, .length = 64}, {&frame, 1},
                      std::span(packet).first(encapsulation_length(how)));
  if (!decapsulate(how, packet)) return state.SkipWithError("it is not taken");
  for (auto _ : state) benchmark::DoNotOptimize(decapsulate(how, packet));
}
BENCHMARK(Decapsulate)->ArgName("encap")->DenseRange(0, 4);

}  // namespace
}  // namespace vswitch
