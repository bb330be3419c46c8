// SPDX-License-Identifier: Apache-2.0
#include "switchd/base/wall_clock.h"

#include <sys/timerfd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <system_error>

namespace vswitch {

namespace {

int make_timer() {
  const int fd = ::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "timerfd_create");
  return fd;
}

}  // namespace

std::int64_t wall_now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string iso_time(std::int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 40> text;
  std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (ms % 1000 != 0) {
    length += static_cast<std::size_t>(
        std::snprintf(text.data() + length, text.size() - length, ".%03d", static_cast<int>(ms % 1000)));
  }
  return std::string(text.data(), length) + 'Z';
}

std::optional<std::int64_t> parse_iso_time(const std::string& text) {
  std::tm parts{};
  const char* at = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (at == nullptr) return std::nullopt;
  std::int64_t ms = std::int64_t{::timegm(&parts)} * 1000;
  if (*at == '.') {
    int scale = 100;  // digits after the third are dropped
    for (++at; *at >= '0' && *at <= '9'; ++at, scale /= 10) ms += (*at - '0') * scale;
  }
  if (*at == 'Z') return at[1] == '\0' ? std::optional(ms) : std::nullopt;
  int hours = 0, minutes = 0, length = 0;
  if ((*at != '+' && *at != '-') || std::sscanf(at + 1, "%2d:%2d%n", &hours, &minutes, &length) != 2 ||
      length != 5 || at[6] != '\0') {
    return std::nullopt;
  }
  const std::int64_t offset = (std::int64_t{hours} * 60 + minutes) * 60'000;
  return *at == '+' ? ms - offset : ms + offset;
}

WallTimer::WallTimer(boost::asio::io_context& io, std::function<void()> callback)
    : timer_(io, make_timer()), callback_(std::move(callback)) {}

void WallTimer::set(std::optional<std::int64_t> ms) {
  timer_.cancel();
  itimerspec when{};
  if (ms) when.it_value = {*ms / 1000, *ms % 1000 * 1'000'000};
  if (ms && *ms <= 0) when.it_value = {0, 1};  // zero would mean never
  ::timerfd_settime(timer_.native_handle(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, nullptr);
  if (ms) wait();
}

void WallTimer::wait() {
  timer_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this](const boost::system::error_code& error) {
                      if (error) return;
                      std::uint64_t count;
                      // ECANCELED: the clock was set.
                      [[maybe_unused]] const ssize_t n = ::read(timer_.native_handle(), &count, sizeof count);
                      callback_();
                    });
}

}  // namespace vswitch
