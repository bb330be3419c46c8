// SPDX-License-Identifier: Apache-2.0
// Whose turn it is: bridges take turns that are measured in sends, and settings change between them.
#include "datapath/engine/worker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "datapath/snapshot/compile.h"
#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

constexpr int kPorts = 300;    // a broadcast is as many sends
constexpr int kFlooding = 10;  // ports with a whole batch of them

/// Bridge br0, some of whose hosts flood it, and quiet. SwitchLab::apply() is one step of the worker.
class Turns : public ::testing::Test {
 protected:
  Turns() {
    for (int i = 0; i < kPorts; ++i) lab.port(flooded(i));
    lab.port("quiet0", "quiet");
    lab.port("quiet1", "quiet");
    lab.apply();
  }

  static std::string flooded(int port) { return "p" + std::to_string(port); }
  static VlanPolicy access_port(VlanId vlan) {
    VlanPolicy policy;
    policy.mode = VlanMode::access;
    policy.tag = vlan;
    return policy;
  }
  static MemoryFrame broadcast(int port, int number) {
    return frame().src("02:00:00:00:00:0a").text(std::to_string(port) + "/" + std::to_string(number));
  }
  void flood() {
    for (int port = 0; port < kFlooding; ++port) {
      for (int n = 0; n < static_cast<int>(kBatchSize); ++n) lab.inject(flooded(port), broadcast(port, n));
    }
  }
  /// What has reached a port that does not flood.
  std::vector<MemoryFrame> arrived() { return lab.device(flooded(kPorts - 1)).take_sent(); }

  SwitchLab lab;
};

TEST_F(Turns, AFloodedBridgeIsLeftForTheOthersAfterAFewFrames) {
  flood();
  const MemoryFrame frame = broadcast(0, 0);
  lab.inject("quiet0", frame);
  lab.apply();
  EXPECT_EQ(lab.device("quiet1").take_sent(), std::vector{frame});
  const auto first = arrived().size();
  EXPECT_GE(first, 1U);
  EXPECT_LE(first, 2U) << "512 sends are one turn";
  lab.inject("quiet0", frame);
  lab.apply();
  EXPECT_EQ(lab.device("quiet1").take_sent(), std::vector{frame}) << "in each step";
  EXPECT_LE(arrived().size(), 2U);
}

TEST_F(Turns, WhatIsPutOffComesLaterInOrderAndNothingIsLost) {
  flood();
  const auto all = lab.run().at(flooded(kPorts - 1));
  ASSERT_EQ(all.size(), kFlooding * kBatchSize);
  for (int port = 0; port < kFlooding; ++port) {
    int next = 0;
    for (const MemoryFrame& frame : all) {
      if (frame == broadcast(port, next)) ++next;
    }
    EXPECT_EQ(next, static_cast<int>(kBatchSize)) << "of port " << port << " in order";
  }
}

TEST_F(Turns, WhatIsPutOffFollowsTheSettingsOfItsTime) {
  for (int n = 0; n < 8; ++n) lab.inject(flooded(0), broadcast(0, n));
  lab.apply();
  const std::size_t before = arrived().size();
  ASSERT_LT(before, 8U);
  lab.port(flooded(0)).vlan = access_port(7);  // nobody else is in this VLAN except trunks
  lab.port(flooded(kPorts - 1)).vlan = access_port(8);
  lab.apply();
  lab.run();
  EXPECT_EQ(arrived().size(), 0U);
  EXPECT_EQ(lab.registry.port_counters("br0", flooded(0))->sum([](const PortCell& cell) {
    return cell.received_frames.read();
  }),
            8U)
      << "all were handled";
}

TEST_F(Turns, APortThatGoesTakesTheRestOfItsBatchWithIt) {
  flood();
  lab.apply();
  std::erase_if(lab.bridge().ports, [](const PortSpec& port) { return port.name == flooded(0); });
  lab.apply();
  const auto sent = lab.run();
  const auto& last = sent.at(flooded(kPorts - 1));
  for (int port = 1; port < kFlooding; ++port)
    EXPECT_EQ(std::count(last.begin(), last.end(), broadcast(port, kBatchSize - 1)), 1) << "of port " << port;
  EXPECT_EQ(std::count(last.begin(), last.end(), broadcast(0, kBatchSize - 1)), 0);
  lab.port(flooded(0)).device = lab.shared_device(flooded(0));
  lab.apply();
  lab.run();
  lab.inject(flooded(0), broadcast(0, 99));
  EXPECT_EQ(lab.run().at(flooded(kPorts - 1)), std::vector{broadcast(0, 99)})
      << "and is served when it is back";
}

TEST(TurnsWithThreads, AChangeWaitsForATurnAndNotForABatch) {
  class SlowPort : public MemoryPort {
   public:
    void send(SenderId, std::span<OutgoingFrame> frames) override {
      for (OutgoingFrame& frame : frames) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        frame.outcome = DropReason::none;
        ++sent;
      }
    }
    std::atomic<int> sent = 0;
  };
  roles::control.assert_held();
  Datapath datapath{{.workers = 1, .clock = steady_now}};
  SnapshotRegistry registry(datapath.senders(), datapath.workers());
  SwitchSpec spec;
  spec.bridges.emplace_back().name = "br0";
  const auto flooding = std::make_shared<MemoryPort>();
  const auto slow = std::make_shared<SlowPort>();
  for (int i = 0; i < 600; ++i) {
    PortSpec& port = spec.bridges[0].ports.emplace_back();
    port.name = "p" + std::to_string(i);
    port.device = i == 0   ? flooding
                  : i == 1 ? std::static_pointer_cast<MemoryPort>(slow)
                           : std::make_shared<MemoryPort>();
  }
  const auto apply = [&]() REQUIRES(roles::control) {
    registry.update(spec);
    datapath.publish(compile(spec, registry));
    registry.finish();
  };
  apply();
  for (std::size_t n = 0; n < kBatchSize; ++n) flooding->inject(frame().src("02:00:00:00:00:0a").text("x"));
  while (slow->sent == 0) std::this_thread::yield();
  apply();
  EXPECT_LT(slow->sent, static_cast<int>(kBatchSize));
}

}  // namespace
}  // namespace vswitch::test
