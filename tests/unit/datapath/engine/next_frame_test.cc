// SPDX-License-Identifier: Apache-2.0
// The next frame that fits, taken off the wire for somebody who waits.
#include "datapath/engine/next_frame.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>

#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

const std::string kA = "02:00:00:00:00:0a";

class NextFrame : public ::testing::Test {
 protected:
  NextFrame() {
    for (const char* name : {"p1", "p2"}) lab.port(name);
    lab.port("q1", "br1");
    lab.apply();
  }
  std::optional<std::uint64_t> ask(const std::string& port, const std::string& match = "",
                                   const std::string& bridge = "br0") {
    std::optional<Match> filter;
    if (!match.empty()) filter = Match::parse(match).match;
    return frames().ask({bridge, port, filter});
  }
  NextFrames& frames() { return lab.datapath->next_frames(); }
  void send(const std::string& port, const MemoryFrame& frame) {
    lab.inject(port, frame);
    lab.run();
  }
  SwitchLab lab;
  const MemoryFrame plain = frame().src(kA).dst(kBroadcast).text("plain");
  const MemoryFrame tagged = frame().src(kA).dst(kBroadcast).vlan(7, 3).text("tagged");
};

TEST_F(NextFrame, IsTheFirstOnThePortThatFits) {
  EXPECT_FALSE(frames().anybody_waits());
  send("p1", tagged);  // too early
  const auto any = ask("", "dl_vlan=7");
  const auto of_p2 = ask("p2");
  EXPECT_TRUE(frames().anybody_waits());
  send("p1", plain);
  EXPECT_TRUE(frames().take().empty());
  send("q1", tagged);
  EXPECT_TRUE(frames().take().empty()) << "another bridge";
  send("p1", tagged);
  auto caught = frames().take();
  ASSERT_EQ(caught.size(), 1U);
  EXPECT_EQ(caught[0].request, any);
  EXPECT_EQ(caught[0].port, "p1");
  EXPECT_EQ(caught[0].frame, tagged.bytes) << "with its tag";
  EXPECT_TRUE(frames().anybody_waits());
  send("p2", plain);
  send("p2", tagged);
  caught = frames().take();
  ASSERT_EQ(caught.size(), 1U) << "each request gets one";
  EXPECT_EQ(caught[0].request, of_p2);
  EXPECT_EQ(caught[0].frame, plain.bytes);
  EXPECT_FALSE(frames().anybody_waits());
}

TEST_F(NextFrame, ThatThePortRefusesIsOneToo) {
  lab.port("p1").vlan.trunks = VlanSet().set(9);
  lab.apply();
  ask("p1", "dl_vlan=7");
  send("p1", tagged);
  EXPECT_EQ(frames().take().size(), 1U) << "why is it not mirrored?";
  ask("p1");
  send("p1", MemoryFrame{.bytes = std::vector<std::uint8_t>(9), .offload = {}});
  EXPECT_TRUE(frames().take().empty()) << "this is no frame at all";
}

TEST_F(NextFrame, MatchesLookAtTheVlanInsideTheBridge) {
  lab.port("p1").vlan = {.mode = VlanMode::access, .tag = 7};
  lab.apply();
  ask("p1", "dl_vlan=7");
  send("p1", plain);
  const auto caught = frames().take();
  ASSERT_EQ(caught.size(), 1U);
  EXPECT_EQ(caught[0].frame, plain.bytes) << "as on the wire";
}

TEST_F(NextFrame, WhoIsForgottenGetsNone) {
  const auto gone = ask("p1");
  frames().forget(*gone);
  EXPECT_FALSE(frames().anybody_waits());
  const auto late = ask("p1");
  send("p1", plain);
  frames().forget(*late);
  EXPECT_TRUE(frames().take().empty()) << "caught, but nobody wants it any more";
}

TEST_F(NextFrame, AFewMayWait) {
  std::vector<std::uint64_t> requests;
  for (std::size_t i = 0; i < NextFrames::kMaxRequests; ++i) requests.push_back(*ask("p1"));
  EXPECT_FALSE(ask("p1"));
  send("p1", plain);
  EXPECT_EQ(frames().take().size(), NextFrames::kMaxRequests) << "one frame is the next of all of them";
  EXPECT_TRUE(ask("p1"));
}

TEST_F(NextFrame, HasItsChecksumFinished) {
  ask("p1");
  MemoryFrame unfinished = frame().src(kA).dst(kBroadcast).zeros(60);
  // A sum over what follows byte 34 belongs at byte 40.
  unfinished.offload = {.needs_checksum = true, .checksum_start = 34, .checksum_offset = 6};
  send("p1", unfinished);
  const auto caught = frames().take();
  ASSERT_EQ(caught.size(), 1U);
  EXPECT_NE(caught[0].frame, unfinished.bytes);
  EXPECT_EQ(caught[0].frame[40] << 8 | caught[0].frame[41], 0xffff);
}

TEST(NextFrameThreads, AskersAndWorkersDoNotDisturbEachOther) {
  std::atomic<int> caught{0};
  SwitchLab lab;
  lab.port("p1");
  lab.apply();
  const Snapshot& snapshot = lab.datapath->current();
  const PortConfig& in = *snapshot.ports[0];
  NextFrames frames([&caught] { ++caught; });
  const MemoryFrame plain = frame().src(kA).dst(kBroadcast).text("plain");
  const std::array<RawFrame, 2> batch{RawFrame{.bytes = plain.bytes, .stripped_tag = {}, .offload = {}},
                                      RawFrame{.bytes = plain.bytes, .stripped_tag = {}, .offload = {}}};
  std::atomic<bool> done{false};
  std::vector<std::thread> workers;
  for (int i = 0; i < 2; ++i) {
    workers.emplace_back([&] {
      while (!done) {
        if (frames.anybody_waits()) frames.look(in, batch);
        std::this_thread::yield();
      }
    });
  }
  for (int i = 0; i < 2000; ++i) {
    const auto first = frames.ask({"br0", "p1", {}});
    const auto second = frames.ask({"br0", "", {}});
    ASSERT_TRUE(first && second);
    if (i % 3 == 0) frames.forget(*first);  // whether it has been caught or not
    std::set<std::uint64_t> wanted{*second};
    if (i % 3 != 0) wanted.insert(*first);
    while (!wanted.empty()) {
      for (const auto& one : frames.take()) EXPECT_EQ(wanted.erase(one.request), 1U);
      std::this_thread::yield();
    }
    EXPECT_FALSE(frames.anybody_waits());
  }
  done = true;
  for (std::thread& worker : workers) worker.join();
  EXPECT_GT(caught, 0);
}

}  // namespace
}  // namespace vswitch::test
