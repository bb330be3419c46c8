// SPDX-License-Identifier: Apache-2.0
// What a mirror thread does for an endpoint: segments of GSO packets, headers of encapsulations, and back.
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "datapath/tunnel/encapsulation.h"
#include "datapath/tunnel/pieces.h"
#include "tests/support/gso_packet.h"

namespace vswitch {
namespace {

/// A TCP GSO packet into segments with finished headers and checksums: an item is a segment.
void Segment(benchmark::State& state) {
  const test::GsoPacket super{.data = static_cast<std::size_t>(state.range(0)), .segment = 1448};
  const std::vector<std::uint8_t> payload = super.payload();
  const std::array<std::uint8_t, 12> addresses{};
  tunnel::Pieces pieces;
  std::size_t segments = 0;
  for (auto _ : state) {
    pieces.clear();
    if (pieces.add(outgoing(addresses, payload, super.offload()), {.segment_gso = true}) != DropReason::none)
      return state.SkipWithError("it cannot be cut");
    segments += pieces.size();
    benchmark::DoNotOptimize(pieces.all().data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(segments));
}
BENCHMARK(Segment)->ArgName("bytes")->Arg(2896)->Arg(60'000);

/// By position in Encap: GRE, ERSPAN type I, II and III, VXLAN.
tunnel::Encapsulation encapsulation(std::int64_t position) {
  tunnel::Encapsulation how;
  how.encap = static_cast<tunnel::Encap>(position);
  if (how.encap == tunnel::Encap::gre || how.encap == tunnel::Encap::vxlan) how.key = 7;
  how.session_id = 7;
  how.subheader = how.encap == tunnel::Encap::erspan3;
  return how;
}

void Encapsulate(benchmark::State& state) {
  const tunnel::Encapsulation how = encapsulation(state.range(0));
  const std::vector<std::uint8_t> bytes(64);
  const std::span<const std::uint8_t> frame(bytes);
  const tunnel::CopyFacts facts{.tag = VlanTag{kTpid8021Q, 10}, .length = bytes.size(), .unix_time_ns = 1};
  std::array<std::uint8_t, tunnel::kMaxEncapsulation> out{};
  for (auto _ : state) {
    tunnel::write_encapsulation(how, facts, {&frame, 1},
                                std::span(out).first(tunnel::encapsulation_length(how)));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(Encapsulate)->ArgName("encap")->DenseRange(0, 4);

void Decapsulate(benchmark::State& state) {
  const tunnel::Encapsulation how = encapsulation(state.range(0));
  std::vector<std::uint8_t> packet(tunnel::encapsulation_length(how) + 64);
  const std::span<const std::uint8_t> frame = std::span(packet).last(64);
  tunnel::write_encapsulation(how, {.tag = {}, .length = 64}, {&frame, 1},
                              std::span(packet).first(tunnel::encapsulation_length(how)));
  if (!tunnel::decapsulate(how, packet)) return state.SkipWithError("it is not taken");
  for (auto _ : state) benchmark::DoNotOptimize(tunnel::decapsulate(how, packet));
}
BENCHMARK(Decapsulate)->ArgName("encap")->DenseRange(0, 4);

}  // namespace
}  // namespace vswitch
