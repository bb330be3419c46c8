// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/frame_waiters.h"

#include <utility>

namespace vswitch::bridge {

std::optional<std::uint64_t> FrameWaiters::explain_next(const std::string& bridge, const std::string& in_port,
                                                        std::optional<Match> match,
                                                        std::chrono::milliseconds patience,
                                                        std::function<void(std::optional<NextFrame>)> done) {
  roles::control.assert_held();
  const auto request = frames_.ask({bridge, in_port, std::move(match)});
  if (!request) return std::nullopt;
  Waiter& waiter =
      waiters_.try_emplace(*request, Waiter{bridge, std::move(done), boost::asio::steady_timer(io_)})
          .first->second;
  waiter.patience.expires_after(patience);
  waiter.patience.async_wait([this, number = *request](const boost::system::error_code& error) {
    roles::control.assert_held();
    if (!error) answer(number, nullptr);
  });
  return request;
}

void FrameWaiters::stop_waiting(std::uint64_t request) {
  roles::control.assert_held();
  frames_.forget(request);
  waiters_.erase(request);
}

void FrameWaiters::frames_caught() {
  for (const NextFrames::Caught& caught : frames_.take()) answer(caught.request, &caught);
}

void FrameWaiters::answer(std::uint64_t request, const NextFrames::Caught* caught) {
  const auto found = waiters_.find(request);
  if (found == waiters_.end()) return;
  const Waiter waiter = std::move(found->second);
  stop_waiting(request);
  if (caught == nullptr) return waiter.done(std::nullopt);
  waiter.done(NextFrame{.in_port = caught->port,
                        .frame = caught->frame,
                        .explanation = queries_.explain(waiter.bridge, caught->port, caught->frame)});
}

}  // namespace vswitch::bridge
