// SPDX-License-Identifier: Apache-2.0
// The time of day in milliseconds since 1970 UTC, as in rows and for people. It may jump: use CLOCK_MONOTONIC
// to measure durations.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace vswitch {

std::int64_t wall_now_ms();

/// ISO 8601 in UTC, such as "2026-01-05T08:00:00Z", with milliseconds if there are any.
std::string iso_time(std::int64_t ms);
/// The same forms, and an offset such as +01:00 instead of Z (RFC 3339). nullopt for anything else.
std::optional<std::int64_t> parse_iso_time(const std::string& text);

/// Calls back at a time of day. If the clock is set (clock_settime(2)), it calls back early: check the time
/// again in the callback and set the timer again (TFD_TIMER_CANCEL_ON_SET, timerfd_create(2)).
class WallTimer {
 public:
  /// Throws std::system_error if the kernel refuses a timer.
  WallTimer(boost::asio::io_context& io, std::function<void()> callback);

  /// Replaces the time set before; nullopt: never.
  void set(std::optional<std::int64_t> ms);

 private:
  void wait();

  boost::asio::posix::stream_descriptor timer_;
  const std::function<void()> callback_;
};

}  // namespace vswitch
