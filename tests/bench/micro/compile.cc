// SPDX-License-Identifier: Apache-2.0
// One row changes on a switch with many bridges and sessions: what it costs to decide on sessions and to
// compile a snapshot.
#include "datapath/snapshot/compile.h"

#include <benchmark/benchmark.h>

#include "datapath/port/memory_port.h"
#include "switchd/bridge/session_state.h"

namespace vswitch {
namespace {

constexpr std::size_t kPorts = 20;

class Settings {
 public:
  Settings(std::int64_t bridges, std::int64_t sessions) {
    const auto device = std::make_shared<MemoryPort>();
    for (std::int64_t b = 0; b < bridges; ++b) {
      BridgeSpec& bridge = spec_.bridges.emplace_back();
      bridge.name = "br" + std::to_string(b);
      for (std::size_t p = 0; p < kPorts; ++p) {
        PortSpec& port = bridge.ports.emplace_back();
        port.name = bridge.name + "-p" + std::to_string(p);
        port.device = device;
      }
      add_sessions(bridge, sessions);
    }
  }

  void change(std::int64_t snaplen) { asked_[0][0].snaplen = static_cast<std::size_t>(snaplen); }

  void apply() {
    SwitchSpec spec = spec_;
    states = states_.decide(asked_, 0, spec);
    registry_.update(spec);
    snapshot = compile(spec, registry_);
    registry_.finish();
  }

  std::vector<bridge::SessionStatus> states;
  std::unique_ptr<Snapshot> snapshot;

 private:
  void add_sessions(const BridgeSpec& bridge, std::int64_t count) {
    std::vector<bridge::DesiredSession>& asked = asked_.emplace_back();
    for (std::int64_t s = 0; s < count; ++s) {
      bridge::DesiredSession& session = asked.emplace_back();
      session.id = bridge.name + "/s" + std::to_string(s);
      session.name = "s" + std::to_string(s);
      session.sources = {{bridge.ports[static_cast<std::size_t>(s) % (kPorts - 1)].name, Direction::both}};
      session.vlans = {static_cast<VlanId>(1 + s)};
      session.destinations = {bridge.ports.back().name};
    }
  }

  SwitchSpec spec_;
  std::vector<std::vector<bridge::DesiredSession>> asked_;
  SnapshotRegistry registry_{2, 1};
  bridge::SessionStates states_{[this](const std::string& id, const QuotaSpec& quota, std::uint64_t life) {
    return registry_.is_used_up(id, quota, life);
  }};
};

void OneSessionChanges(benchmark::State& state) {
  Settings settings(state.range(0), state.range(1));
  std::int64_t snaplen = 100;
  for (auto _ : state) {
    settings.change(++snaplen);
    settings.apply();
    benchmark::DoNotOptimize(settings.snapshot.get());
  }
}
BENCHMARK(OneSessionChanges)
    ->ArgNames({"bridges", "sessions"})
    ->Args({1, 80})
    ->Args({50, 80})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace vswitch
