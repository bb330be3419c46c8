// SPDX-License-Identifier: Apache-2.0
// Explains frames: a given one at once, or the next one that arrives, for clients that wait for it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "datapath/base/thread_annotations.h"
#include "datapath/engine/next_frame.h"
#include "switchd/bridge/switch_queries.h"
#include "switchd/bridge/switch_view.h"

namespace vswitch::bridge {

class FrameWaiters final : public ExplainView {
 public:
  /// All must outlive it.
  FrameWaiters(boost::asio::io_context& io, NextFrames& frames, const SwitchQueries& queries)
      : io_(io), frames_(frames), queries_(queries) {}

  std::optional<Explanation> explain(const std::string& bridge, const std::string& in_port,
                                     std::span<const std::uint8_t> frame) override {
    return queries_.explain(bridge, in_port, frame);
  }
  std::optional<std::uint64_t> explain_next(const std::string& bridge, const std::string& in_port,
                                            std::optional<Match> match, std::chrono::milliseconds patience,
                                            std::function<void(std::optional<NextFrame>)> done) override;
  void stop_waiting(std::uint64_t request) override;

  /// Call after the datapath has reported that there are frames to take.
  void frames_caught() REQUIRES(roles::control);

 private:
  struct Waiter {
    std::string bridge;
    std::function<void(std::optional<NextFrame>)> done;
    boost::asio::steady_timer patience;
  };

  /// `caught`: nullptr if none arrived in time.
  void answer(std::uint64_t request, const NextFrames::Caught* caught) REQUIRES(roles::control);

  boost::asio::io_context& io_;
  NextFrames& frames_;
  const SwitchQueries& queries_;
  std::map<std::uint64_t, Waiter> waiters_;  ///< by request
};

}  // namespace vswitch::bridge
