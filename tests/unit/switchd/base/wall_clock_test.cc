// SPDX-License-Identifier: Apache-2.0
#include "switchd/base/wall_clock.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>

namespace vswitch {
namespace {

TEST(WallClock, TimesAreWrittenAndRead) {
  EXPECT_EQ(iso_time(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(iso_time(1'767'600'000'007), "2026-01-05T08:00:00.007Z");
  for (const std::int64_t ms : {std::int64_t{0}, std::int64_t{1'767'600'000'007}, wall_now_ms()})
    EXPECT_EQ(parse_iso_time(iso_time(ms)), ms);
  EXPECT_EQ(parse_iso_time("2026-01-05T08:00:00.0071Z"), 1'767'600'000'007);
  EXPECT_EQ(parse_iso_time("2026-01-05T10:30:00+02:30"), 1'767'600'000'000);
  EXPECT_EQ(parse_iso_time("2026-01-05T05:30:00-02:30"), 1'767'600'000'000);
  for (const char* text :
       {"", "2026-01-05", "2026-01-05T08:00:00", "2026-01-05T08:00:00z", "2026-01-05T08:00:00Z ",
        "2026-01-05T08:00:00+1:00", "2026-01-05T08:00:00+01:00x", "2026-13-05T08:00:00Z"})
    EXPECT_EQ(parse_iso_time(text), std::nullopt) << text;
}

class WallTimerTest : public ::testing::Test {
 protected:
  /// Milliseconds until it called back, or -1 if it has not within half a second.
  std::int64_t wait() {
    const std::int64_t start = wall_now_ms();
    const int before = calls;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
    while (calls == before && std::chrono::steady_clock::now() < deadline) {
      io.restart();
      io.run_one_until(deadline);
    }
    return calls == before ? -1 : wall_now_ms() - start;
  }
  boost::asio::io_context io;
  int calls = 0;
  WallTimer timer{io, [this] { ++calls; }};
};

TEST_F(WallTimerTest, CallsBackAtItsTimeAndOnce) {
  timer.set(wall_now_ms() + 50);
  EXPECT_GE(wait(), 45);
  EXPECT_EQ(wait(), -1);
}

TEST_F(WallTimerTest, ATimeThatIsOverIsNow) {
  timer.set(0);
  EXPECT_GE(wait(), 0);
  timer.set(wall_now_ms() - 1000);
  EXPECT_GE(wait(), 0);
}

TEST_F(WallTimerTest, TheLastTimeCounts) {
  timer.set(wall_now_ms() + 20);
  timer.set(std::nullopt);
  EXPECT_EQ(wait(), -1);
  timer.set(wall_now_ms() + 3'600'000);
  timer.set(wall_now_ms() + 20);
  EXPECT_GE(wait(), 15);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace vswitch
