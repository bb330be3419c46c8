// SPDX-License-Identifier: Apache-2.0
// The datapath with its threads running: settings change under traffic, and no frame sees half of a change.
// Meant for ThreadSanitizer too.
#include "datapath/engine/datapath.h"

#include <gtest/gtest.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "datapath/port/memory_port.h"
#include "datapath/snapshot/compile.h"
#include "tests/support/frame_builder.h"

namespace vswitch::test {
namespace {

class RunningSwitch : public ::testing::Test {
 protected:
  static constexpr int kPorts = 6;

  RunningSwitch() {
    bridge().name = "br0";
    for (int i = 0; i < kPorts; ++i) {
      devices.push_back(std::make_shared<MemoryPort>());
      PortSpec port;
      port.name = "p" + std::to_string(i);
      port.device = devices.back();
      bridge().ports.push_back(std::move(port));
    }
    apply();
  }
  BridgeSpec& bridge() {
    if (spec.bridges.empty()) spec.bridges.emplace_back();
    return spec.bridges[0];
  }
  void apply() {
    registry.update(spec);
    datapath.publish(compile(spec, registry));
    registry.finish();
  }
  SessionSpec session(const std::string& name, const std::string& source, const std::string& destination) {
    SessionSpec session;
    session.id = session.name = name;
    session.sources = {{source, Direction::from}};
    session.destinations = {destination};
    return session;
  }
  /// Takes what a port has sent until it is `count` frames or five seconds have gone.
  std::vector<MemoryFrame> collect(int port, std::size_t count) {
    std::vector<MemoryFrame> all;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (all.size() < count && std::chrono::steady_clock::now() < deadline) {
      auto some = devices[static_cast<std::size_t>(port)]->take_sent();
      all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return all;
  }
  std::uint64_t received(const std::string& port) const {
    return registry.port_counters("br0", port)->sum([](const PortCell& cell) {
      return cell.received_frames.read();
    });
  }
  /// Waits until the condition holds; false if it does not within 30 seconds.
  template <typename Condition>
  static bool eventually(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  static MemoryFrame numbered(std::uint16_t n) {
    return frame()
        .src("02:00:00:00:00:0a")
        .dst("02:00:00:00:00:0b")
        .text({static_cast<char>(n >> 8), static_cast<char>(n & 0xff)});
  }

  SwitchSpec spec;
  std::vector<std::shared_ptr<MemoryPort>> devices;
  Datapath datapath{
      {.workers = 3, .mirror_threads = 2, .copy_queue_bytes = 1 << 20, .clock = steady_now, .threads = true}};
  SnapshotRegistry registry{datapath.senders(), datapath.workers()};
};

TEST_F(RunningSwitch, ReconfiguresUnderTrafficWithoutGapInAnUnaffectedSession) {
  constexpr std::uint16_t kFrames = 4000;
  bridge().sessions = {session("steady", "p0", "p4")};
  apply();
  std::thread sender([this] {
    for (std::uint16_t n = 0; n < kFrames; ++n) {
      devices[0]->inject(numbered(n));
      if (n % 8 == 0) std::this_thread::yield();
    }
  });
  for (int round = 0; round < 300; ++round) {
    bridge().sessions.resize(1);
    if (round % 2 == 0) bridge().sessions.push_back(session("busy", round % 4 == 0 ? "p0" : "p1", "p5"));
    bridge().ports[3].vlan.tag = static_cast<VlanId>(round % 7);
    apply();
  }
  sender.join();
  const auto production = collect(1, kFrames);
  const auto copies = collect(4, kFrames);
  ASSERT_EQ(production.size(), kFrames);
  ASSERT_EQ(copies.size(), kFrames);
  for (std::uint16_t n = 0; n < kFrames; ++n) {
    ASSERT_EQ(production[n], numbered(n));
    ASSERT_EQ(copies[n], numbered(n));
  }
}

TEST_F(RunningSwitch, ASessionIsWholeOrAbsent) {
  // The session's two destinations always change together: each frame reaches both p4 and p5, or neither. In
  // each round ten frames come while the settings change, and five when they have: both kinds occur.
  constexpr std::uint16_t kRounds = 200, kDuring = 10, kAfter = 5, kFrames = kRounds * (kDuring + kAfter);
  std::atomic<std::uint16_t> allowed{0};
  std::thread sender([this, &allowed] {
    for (std::uint16_t n = 0; n < kFrames; ++n) {
      while (n >= allowed) std::this_thread::yield();
      devices[0]->inject(numbered(n));
    }
  });
  bool arrived = true;
  for (std::uint16_t round = 0; round < kRounds; ++round) {
    allowed += kDuring;
    bridge().sessions.clear();
    if (round % 2 == 0) {
      bridge().sessions = {session("s", "p0", "p4")};
      bridge().sessions[0].destinations = {"p4", "p5"};
      bridge().sessions[0].normal_io = true;
    }
    // p4 and p5 take part in no flood: what they get are copies.
    for (const std::size_t port : {4, 5}) bridge().ports[port].vlan.trunks.reset();
    apply();
    allowed += kAfter;
    arrived = arrived && eventually([this, &allowed] { return received("p0") == allowed; });
  }
  sender.join();
  ASSERT_TRUE(arrived);
  ASSERT_EQ(collect(1, kFrames).size(), kFrames);
  datapath.free_old_snapshots(std::chrono::seconds(5));
  apply();
  datapath.free_old_snapshots(std::chrono::seconds(5));
  const auto copies = devices[4]->take_sent();
  EXPECT_EQ(copies, devices[5]->take_sent());
  EXPECT_GE(copies.size(), kRounds / 2U * kAfter);
  EXPECT_LE(copies.size(), kFrames - kRounds / 2U * kAfter);
}

TEST_F(RunningSwitch, PortsComeAndGoUnderTraffic) {
  constexpr std::uint16_t kFrames = 3000;
  bridge().sessions = {session("s", "p0", "p4")};
  apply();
  std::thread sender([this] {
    for (std::uint16_t n = 0; n < kFrames; ++n) {
      devices[0]->inject(numbered(n));
      devices[2]->inject(frame().src("02:00:00:00:00:0c").dst(kBroadcast));
      if (n % 4 == 0) std::this_thread::yield();
    }
  });
  for (int round = 0; round < 150; ++round) {
    const bool away = round % 2 == 0;
    bridge().ports[4].device = away ? nullptr : std::static_pointer_cast<Port>(devices[4]);
    if (away) {
      bridge().ports.resize(5);
    } else {
      PortSpec port;
      port.name = "p5";
      port.device = std::make_shared<MemoryPort>();
      bridge().ports.push_back(std::move(port));
    }
    apply();
    datapath.free_old_snapshots(std::chrono::seconds(5));
  }
  sender.join();
  EXPECT_EQ(collect(3, 2 * kFrames).size(), 2U * kFrames);
  apply();
  datapath.free_old_snapshots(std::chrono::seconds(5));
  const auto& counters = registry.session("s")->destinations.at("p4");
  const auto matched = counters->sum([](const DestinationCell& cell) { return cell.matched.read(); });
  const auto delivered = counters->sum([](const DestinationCell& cell) { return cell.delivered.read(); });
  const auto lost = counters->sum([](const DestinationCell& cell) {
    std::uint64_t total = 0;
    for (const Counter& counter : cell.lost) total += counter.read();
    return total;
  });
  EXPECT_EQ(matched, kFrames);
  EXPECT_EQ(matched, delivered + lost);
}

TEST_F(RunningSwitch, OverloadOfTheMirrorThreadDoesNotHoldUpAChange) {
  // A destination so slow that its queue is never empty: old settings are let go of all the same.
  class SlowPort : public MemoryPort {
   public:
    void send(SenderId, std::span<OutgoingFrame> frames) override {
      std::this_thread::sleep_for(std::chrono::microseconds(100 * frames.size()));
      for (OutgoingFrame& frame : frames) frame.outcome = DropReason::none;
    }
  };
  bridge().ports[4].device = std::make_shared<SlowPort>();
  bridge().sessions = {session("s", "p0", "p4")};
  apply();
  std::atomic<bool> stop{false};
  std::thread sender([this, &stop] {
    for (std::uint16_t n = 0; !stop; ++n) {
      devices[0]->inject(numbered(n));
      if (n % 64 == 0) {
        devices[1]->take_sent();
        devices[2]->take_sent();
        devices[3]->take_sent();
        devices[5]->take_sent();
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    }
  });
  const auto& counters = registry.session("s")->destinations.at("p4");
  const auto lost = [&counters] {
    return counters->sum([](const DestinationCell& cell) {
      return cell.lost[static_cast<std::size_t>(DropReason::session_budget)].read() +
             cell.lost[static_cast<std::size_t>(DropReason::queue_full)].read();
    });
  };
  EXPECT_TRUE(eventually([&lost] { return lost() != 0; }));  // the queue is full from here on
  bridge().ports.pop_back();
  apply();
  EXPECT_TRUE(datapath.free_old_snapshots(std::chrono::seconds(30)));
  stop = true;
  sender.join();
}

TEST_F(RunningSwitch, AnIdleSwitchSleeps) {
  const auto cpu_ns = [this] {
    std::uint64_t total = 0;
    for (const Worker& worker : datapath.worker_list()) total += worker.cpu_ns();
    for (const MirrorThread& mirror : datapath.mirror_thread_list()) total += mirror.cpu_ns();
    return total;
  };
  devices[0]->inject(numbered(1));
  ASSERT_EQ(collect(1, 1).size(), 1U);
  // A thread that polls uses the processor while this one does: once they have used none over 100 ms of ours, they sleep.
  std::uint64_t before = 0;
  EXPECT_TRUE(eventually([&] {
    before = cpu_ns();
    timespec start{}, now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    do {
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while ((now.tv_sec - start.tv_sec) * 1'000'000'000 + now.tv_nsec - start.tv_nsec < 100'000'000);
    return cpu_ns() == before;
  }));
}

}  // namespace
}  // namespace vswitch::test
