// SPDX-License-Identifier: Apache-2.0
// A frame's walk without the kernel's part of it: decide() alone, and worker and mirror thread over ports
// that give the same batch again and again and throw away what is sent.
#include <benchmark/benchmark.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "datapath/pipeline/pipeline.h"
#include "tests/support/switch_lab.h"

namespace vswitch {
namespace {

class BatchPort : public Port {
 public:
  explicit BatchPort(std::vector<std::uint8_t> frame) : frame_(std::move(frame)) {}
  ~BatchPort() override { close(event_fd_); }
  BatchPort(const BatchPort&) = delete;
  BatchPort& operator=(const BatchPort&) = delete;

  /// The next receive() gives a batch.
  void arm() {
    const std::uint64_t one = 1;
    if (write(event_fd_, &one, sizeof one) != sizeof one) std::abort();
  }

  int receive_fd() const override { return event_fd_; }
  std::size_t receive(std::span<RawFrame> into) override {
    std::uint64_t count;
    if (read(event_fd_, &count, sizeof count) != sizeof count) return 0;
    for (RawFrame& raw : into) raw = {.bytes = frame_, .stripped_tag = {}, .offload = {}};
    return into.size();
  }
  void release() override {}
  void send(SenderId, std::span<OutgoingFrame> frames) override {
    for (OutgoingFrame& frame : frames) frame.outcome = DropReason::none;
  }
  std::uint64_t receive_overruns() override { return 0; }

 private:
  const std::vector<std::uint8_t> frame_;
  const int event_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
};

/// "in" and "out", where the destination is known to be, and "copies".
struct Switch {
  Switch() {
    for (const char* name : {"in", "out", "copies"})
      lab.port(name).device = std::make_shared<BatchPort>(bytes);
    in = static_cast<BatchPort*>(lab.port("in").device.get());
    lab.apply();
    lab.registry.macs("br0")->learn(0, parsed().dst, number("out"), lab.now);
  }

  Frame parsed() const { return parse({.bytes = bytes, .stripped_tag = {}, .offload = {}}).frame; }
  PortNo number(const std::string& name) const {
    for (const PortConfig* port : lab.datapath->current().ports) {
      if (port != nullptr && port->name == name) return port->number;
    }
    std::abort();
  }

  /// Sessions on "in". Only those without a VLAN take the frame.
  void add_sessions(std::int64_t count, bool selecting) {
    for (std::int64_t i = 0; i < count; ++i) {
      SessionSpec& session = add_session(i);
      if (!selecting) session.vlans = {static_cast<VlanId>(2 + i % 4000)};
    }
    lab.apply();
  }
  SessionSpec& add_session(std::int64_t number) {
    SessionSpec& session = lab.session("s" + std::to_string(number));
    session.sources = {{"in", Direction::from}};
    session.destinations = {"copies"};
    return session;
  }

  const std::vector<std::uint8_t> bytes = test::frame().zeros(50).bytes();
  test::SwitchLab lab;
  BatchPort* in;
};

void decide(benchmark::State& state, const Switch& made) {
  Decider decider;
  const Frame frame = made.parsed();
  const PortNo in = made.number("in");
  for (auto _ : state)
    benchmark::DoNotOptimize(decider.decide(made.lab.datapath->current(), in, frame, made.lab.now));
}
void DecideCopied(benchmark::State& state) {
  Switch made;
  made.add_sessions(state.range(0), true);
  decide(state, made);
}
BENCHMARK(DecideCopied)->ArgName("sessions")->Arg(0)->Arg(1)->Arg(8)->Arg(100);
/// Sessions on the port of the frame that select other VLANs.
void DecidePassedOver(benchmark::State& state) {
  Switch made;
  made.add_sessions(state.range(0), false);
  decide(state, made);
}
BENCHMARK(DecidePassedOver)->ArgName("sessions")->Arg(1)->Arg(100)->Arg(4000);
/// Sessions on the port of the frame whose filters, each another one, do not match it.
void DecideFilteredOut(benchmark::State& state) {
  Switch made;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    auto rules = std::make_shared<FilterRules>();
    rules->filter = {*Match::parse("tcp,tp_dst=" + std::to_string(1 + i)).match};
    made.add_session(i).rules = std::move(rules);
  }
  made.lab.apply();
  decide(state, made);
}
BENCHMARK(DecideFilteredOut)->ArgName("sessions")->Arg(1)->Arg(100)->Arg(4000);

/// Received, decided, sent, copied: an item is a frame. Three system calls a batch are part of it.
void Walk(benchmark::State& state) {
  Switch made;
  made.add_sessions(state.range(0), true);
  for (auto _ : state) {
    made.in->arm();
    made.lab.datapath->run_until_idle();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatchSize));
}
BENCHMARK(Walk)->ArgName("sessions")->Arg(0)->Arg(1)->Arg(8);

}  // namespace
}  // namespace vswitch
