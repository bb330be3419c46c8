// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/gather.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace vswitch::test {
namespace {

constexpr TimeNs kUs = 1000;
constexpr TimeNs kLimit = 30 * kUs;

/// A worker with a processor of its own, and a load. What it does costs processor time as on some machine.
class GatherTest : public ::testing::Test {
 protected:
  GatherTest() { gather.set_limit(kLimit); }

  struct Machine {
    TimeNs wake_up = 4 * kUs, rest = 4 * kUs, look = kUs, frame = kUs;
  } machine;

  /// The worker runs for so long. A frame arrives every `gap` or, with `waiting`, each of so many senders sends its next
  /// frame so long after its last one has come through.
  void run(TimeNs time, TimeNs gap, std::size_t waiting = 0) {
    const TimeNs begin = now, cpu_begin = cpu;
    const TimeNs until = now + time;
    frames = rests = 0;
    most_waited = 0;
    std::multimap<TimeNs, TimeNs> arrivals;  // of the next frame of each sender, and its gap: no two alike
    for (std::size_t i = 0; i < std::max<std::size_t>(waiting, 1); ++i)
      arrivals.emplace(now + gap, gap + static_cast<TimeNs>(i) * gap / 20);
    while (now < until) {
      if (const TimeNs rest = gather.rest()) {
        ++rests;
        now += rest;
        spend(machine.rest);
      }
      if (arrivals.begin()->first > now) {
        now = arrivals.begin()->first;
        spend(machine.wake_up);
      }
      spend(machine.look);
      const TimeNs looked = now;
      std::size_t found = 0;
      for (; found < 64 && arrivals.begin()->first <= looked; ++found) {
        const auto [arrived, next] = *arrivals.begin();
        most_waited = std::max(most_waited, looked - arrived);
        spend(machine.frame);
        arrivals.erase(arrivals.begin());
        arrivals.emplace((waiting > 0 ? now : arrived) + next, next);
      }
      frames += found;
      gather.received(found, looked, [this] { return ++cpu_readings, cpu; });
    }
    ns_per_frame = static_cast<double>(cpu - cpu_begin) / static_cast<double>(frames);
    frames_per_s = static_cast<double>(frames) * 1e9 / static_cast<double>(now - begin);
  }

  Gather gather;
  TimeNs now = kSecondNs, cpu = 0;
  // Of the last run:
  std::size_t frames = 0;
  int rests = 0;
  TimeNs most_waited = 0;
  double ns_per_frame = 0, frames_per_s = 0;
  int cpu_readings = 0;

 private:
  void spend(TimeNs time) {
    now += time;
    cpu += time;
  }
};

TEST_F(GatherTest, UnderLoadAFrameCostsLess) {
  gather.set_limit(0);
  run(kSecondNs, 10 * kUs);
  const double without = ns_per_frame;
  EXPECT_EQ(rests, 0);
  gather.set_limit(kLimit);
  run(kSecondNs, 10 * kUs);
  EXPECT_GT(rests, 10'000);
  EXPECT_LT(ns_per_frame, 0.6 * without);
  EXPECT_LT(most_waited, kLimit + 10 * kUs);
}

TEST_F(GatherTest, NeverIfFramesAreFew) {
  run(2 * kSecondNs, 20 * kUs);
  EXPECT_EQ(rests, 0) << "a rest would bring one, or two";
}

TEST_F(GatherTest, NotBeforeTheLoadHasLasted) {
  run(kSecondNs, kSecondNs / 100);
  run(9'000 * kUs, 10 * kUs);
  EXPECT_EQ(rests, 0);
}

TEST_F(GatherTest, HardlyEverWhereARestCostsMoreThanItSaves) {
  machine.rest = 40 * kUs;
  run(7 * kSecondNs, 10 * kUs);
  EXPECT_GT(rests, 0) << "to find out";
  run(12 * kSecondNs, 10 * kUs);
  EXPECT_LT(rests, 5 * 10'000'000 / kLimit) << "ten milliseconds in three seconds";
}

TEST_F(GatherTest, HardlyEverIfWhoSendsWaitsForAnswers) {
  run(7 * kSecondNs, 3 * kUs, 1);
  EXPECT_GT(rests, 0) << "to find out";
  run(12 * kSecondNs, 3 * kUs, 1);
  EXPECT_LT(rests, 5 * 10'000'000 / kLimit);
}

TEST_F(GatherTest, HardlyEverIfManyWaitForAnswersEvenIfAFrameCostsLess) {
  gather.set_limit(0);
  run(kSecondNs, 40 * kUs, 8);
  const double before = frames_per_s;
  gather.set_limit(kLimit);
  run(7 * kSecondNs, 40 * kUs, 8);
  run(12 * kSecondNs, 40 * kUs, 8);
  EXPECT_LT(rests, 5 * 10'000'000 / kLimit);
  EXPECT_GT(frames_per_s, 0.99 * before);
}

TEST_F(GatherTest, NotForFewFramesEvenIfItPaid) {
  machine.rest = 0;
  run(kSecondNs, 10 * kUs);
  run(50'000 * kUs, 25 * kUs);
  run(kSecondNs, 25 * kUs);
  EXPECT_EQ(rests, 0);
}

TEST_F(GatherTest, AfterAManyFramesItLooksAtOnce) {
  run(kSecondNs, 10 * kUs);
  ASSERT_NE(gather.rest(), 0);
  gather.received(32, now, [] { return 0; });
  EXPECT_EQ(gather.rest(), 0) << "more may be waiting, and what is around so many does not matter";
  gather.received(31, now, [] { return 0; });
  EXPECT_EQ(gather.rest(), kLimit);
}

TEST_F(GatherTest, EndsWithTheLoadAndComesBackWithIt) {
  run(kSecondNs, 10 * kUs);
  run(40'000 * kUs, 200 * kUs);
  run(kSecondNs, 200 * kUs);
  EXPECT_EQ(rests, 0);
  run(kSecondNs, 10 * kUs);
  EXPECT_GT(rests, 10'000);
}

TEST_F(GatherTest, FindsOutThatTheLoadHasChanged) {
  run(5'300'000 * kUs, 10 * kUs);
  run(50'000 * kUs, 3 * kUs, 1);
  run(500'000 * kUs, 3 * kUs, 1);
  EXPECT_LT(rests, 2000);
}

TEST_F(GatherTest, MoreThanItCanHandleTeachesNothing) {
  run(2 * kSecondNs, kUs / 2);
  run(150'000 * kUs, 10 * kUs);
  run(kSecondNs, 10 * kUs);
  EXPECT_GT(rests, 10'000) << "it has tried at once";
}

TEST_F(GatherTest, SwitchedOffItEndsAtOnce) {
  run(kSecondNs, 10 * kUs);
  gather.set_limit(0);
  run(kSecondNs, 10 * kUs);
  EXPECT_EQ(rests, 0);
}

TEST_F(GatherTest, ProcessorTimeIsReadSeldom) {
  run(kSecondNs, 10 * kUs);
  EXPECT_LE(cpu_readings, 100);
}

}  // namespace
}  // namespace vswitch::test
