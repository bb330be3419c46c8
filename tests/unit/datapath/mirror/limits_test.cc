// SPDX-License-Identifier: Apache-2.0
// Rate limits and quotas by themselves, between threads, and in sessions.
#include "datapath/mirror/limits.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

constexpr TimeNs kNow = 1000 * kSecondNs;

std::size_t take_all(RateLimit& rate, std::uint64_t bytes, TimeNs now) {
  std::size_t taken = 0;
  while (taken < 1'000'000 && rate.take(bytes, now)) ++taken;
  return taken;
}

TEST(RateLimit, ATenthOfASecondMayComeAtOnceAndThenTheRateHolds) {
  RateLimit rate({.packets = 1000, .bits = 0});
  EXPECT_EQ(take_all(rate, 1500, kNow), 100U);
  std::size_t taken = 0;
  for (TimeNs now = kNow; now < kNow + 10 * kSecondNs; now += kSecondNs / 7000)
    taken += rate.take(1500, now) ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(taken), 10'000, 1);
}

TEST(RateLimit, BitsAreThoseOfTheFrames) {
  RateLimit rate({.packets = 0, .bits = 80'000'000});
  EXPECT_EQ(take_all(rate, 1000, kNow), 1000U);
  EXPECT_EQ(take_all(rate, 1000, kNow + kSecondNs / 1000), 10U);
  EXPECT_EQ(take_all(rate, 250, kNow + kSecondNs / 500), 40U);
}

TEST(RateLimit, ASlowRateStillLetsAWholeGsoPacketThrough) {
  RateLimit rate({.packets = 0, .bits = 10'000});
  EXPECT_TRUE(rate.take(65'536, kNow));
  EXPECT_FALSE(rate.take(64, kNow));
  EXPECT_FALSE(rate.take(64, kNow + kSecondNs / 100));
  EXPECT_TRUE(rate.take(64, kNow + kSecondNs)) << "512 bits are 51.2 ms worth";
  RateLimit slow({.packets = 1, .bits = 0});
  EXPECT_EQ(take_all(slow, 64, kNow), 1U);
  EXPECT_EQ(take_all(slow, 64, kNow + kSecondNs - 1), 0U);
  EXPECT_EQ(take_all(slow, 64, kNow + kSecondNs), 1U);
}

TEST(RateLimit, OfTwoLimitsTheNarrowerHoldsAndTheOtherIsNotCharged) {
  RateLimit rate({.packets = 1000, .bits = 8'000'000});  // 100 frames, and 100 kB, at once
  EXPECT_EQ(take_all(rate, 10'000, kNow), 10U);
  EXPECT_EQ(take_all(rate, 0, kNow), 90U);
}

TEST(RateLimit, TheBucketsMoveWithWhatIsLeftInThem) {
  RateLimit rate({.packets = 1000, .bits = 80'000'000});
  RateLimit::Buckets elsewhere;
  for (int n = 0; n < 30; ++n) EXPECT_TRUE(rate.take(1000, kNow));
  rate.move_to(&elsewhere);
  EXPECT_EQ(rate.left(kNow).packets, 70U);
  EXPECT_EQ(rate.left(kNow).bits, 7'760'000U);
  elsewhere.packets += rate.packets()->time_of(20);  // somebody else
  EXPECT_EQ(take_all(rate, 0, kNow), 50U);
  rate.move_to(nullptr);
  elsewhere.packets = 0;
  EXPECT_EQ(take_all(rate, 0, kNow), 0U);
  EXPECT_EQ(take_all(rate, 0, kNow + kSecondNs / 100), 10U);
}

TEST(RateLimit, ThreadsShareIt) {
  RateLimit rate({.packets = 100'000, .bits = 0});
  std::atomic<std::size_t> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) taken += rate.take(100, kNow) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 10'000U);
}

TEST(Quota, ThreadsTakeExactlyWhatThereIs) {
  std::atomic<int> ends{0};
  Quota quota({.packets = 5'000, .bytes = 0}, [&ends] { ++ends; });
  std::atomic<std::size_t> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 3'000; ++i) taken += quota.take(100) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 5'000U);
  EXPECT_EQ(ends, 1);
  EXPECT_TRUE(quota.is_used_up());
}

TEST(Quota, BytesAreNeverExceeded) {
  Quota exact({.packets = 0, .bytes = 3000}, {});
  EXPECT_TRUE(exact.take(1500));
  EXPECT_FALSE(exact.is_used_up());
  EXPECT_TRUE(exact.take(1500));
  EXPECT_TRUE(exact.is_used_up()) << "with the frame that fills it";
  Quota quota({.packets = 100, .bytes = 3000}, {});
  EXPECT_TRUE(quota.take(2000));
  EXPECT_FALSE(quota.take(1001));
  EXPECT_FALSE(quota.take(1)) << "it has ended";
}

class Allowance : public ::testing::Test {
 protected:
  Allowance() {
    for (const char* name : {"p1", "p2", "d1", "d2"}) lab.port(name);
    DesiredSession& session = lab.session("s");
    session.sources = {{"p1", Direction::from}};
    session.destinations = {"d1", "d2"};
  }
  static FrameBuilder broadcast() { return frame().src("02:00:00:00:00:0a").dst(kBroadcast).text("bc"); }
  /// Copies that d1 gets of so many frames.
  std::size_t copies_of(std::size_t frames) {
    for (std::size_t i = 0; i < frames; ++i) lab.inject("p1", broadcast());
    Sent sent = lab.run();
    EXPECT_EQ(sent["p2"].size(), frames) << "production sees every frame";
    EXPECT_EQ(sent["d1"].size(), sent["d2"].size());
    return sent["d1"].size();
  }
  SwitchLab lab;
};

TEST_F(Allowance, ARateCountsFramesAndNotCopiesAndWhatItLeavesOutIsNoLoss) {
  lab.session("s").rate = {.packets = 20, .bits = 0};
  lab.apply();
  EXPECT_EQ(copies_of(5), 2U);
  EXPECT_EQ(lab.lost("s", "d1", DropReason::rate_limited), 3U);
  EXPECT_EQ(lab.lost("s", "d2", DropReason::rate_limited), 3U);
  EXPECT_EQ(lab.account("s", "d1"), (SwitchLab::Account{5, 2, 3}));
  EXPECT_EQ(lab.frames_of("s"), 2U);
  lab.now += kSecondNs / 20;
  EXPECT_EQ(copies_of(5), 1U);
}

TEST_F(Allowance, AChangeOfOtherSettingsDoesNotFillTheBucket) {
  lab.session("s").rate = {.packets = 20, .bits = 0};
  lab.apply();
  EXPECT_EQ(copies_of(5), 2U);
  lab.session("s").snaplen = 20;
  lab.apply();
  EXPECT_EQ(copies_of(5), 0U);
  lab.session("s").rate = {};
  lab.apply();
  EXPECT_EQ(copies_of(5), 5U);
}

TEST_F(Allowance, ARefusedChangeLeavesTheLimitsAsTheyWere) {
  lab.session("s").rate = {.packets = 20, .bits = 0};
  lab.apply();
  lab.session("s").rate = {};
  lab.session("s").refusal = "it asks for the moon";
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::error);
  EXPECT_EQ(copies_of(5), 2U);
}

TEST_F(Allowance, AQuotaOfPacketsEndsTheSessionAfterExactlySoMany) {
  lab.session("s").quota = {.packets = 3, .bytes = 0};
  lab.session("s").sources.push_back({"p2", Direction::from});
  lab.apply();
  EXPECT_EQ(copies_of(2), 2U);
  lab.session("s").snaplen = 100;
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::active);
  EXPECT_EQ(copies_of(9), 1U) << "counted on over a change of other settings";
  EXPECT_EQ(lab.account("s", "d1"), (SwitchLab::Account{3, 3, 0})) << "nothing is asked for after its end";
  lab.now_ms = 77;
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::expired);
  EXPECT_EQ(lab.status("s").reason, "quota used up: 3 packets");
  EXPECT_EQ(lab.status("s").ended_at, 77);
  lab.expect("p1", broadcast(), {{"p2", {broadcast()}}, {"d1", {broadcast()}}, {"d2", {broadcast()}}},
             "its destinations carry their own traffic again");
}

TEST_F(Allowance, TheFrameOfASessionThatHasEndedIsCopiedByTheOther) {
  lab.session("s").quota = {.packets = 1, .bytes = 0};
  SessionSpec& other = lab.session("t");
  other.sources = {{"p1", Direction::from}};
  other.destinations = {"d1", "d2"};
  lab.apply();
  EXPECT_EQ(copies_of(3), 3U);
  EXPECT_EQ(lab.account("s", "d1"), (SwitchLab::Account{1, 1, 0}));
  EXPECT_EQ(lab.account("t", "d1"), (SwitchLab::Account{3, 2, 1}));
  EXPECT_EQ(lab.lost("t", "d1", DropReason::duplicate), 1U);
}

TEST_F(Allowance, TheSameSeedSamplesTheSameFrames) {
  const auto sampled = [this](std::uint64_t seed) {
    lab.spec.work.sample_seed = seed;
    lab.apply();
    std::vector<std::size_t> copies;
    for (int i = 0; i < 64; ++i) copies.push_back(copies_of(1));
    return copies;
  };
  lab.session("s").sample = 3;
  const auto first = sampled(11);
  EXPECT_NE(sampled(12), first);
  EXPECT_EQ(sampled(11), first);
}

}  // namespace
}  // namespace vswitch::test
