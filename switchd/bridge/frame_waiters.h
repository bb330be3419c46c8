// SPDX-License-Identifier: Apache-2.0
// Frames explained: one that is given, at once; the next one that comes, to those who wait for it.
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

#include "datapath/engine/next_frame.h"
#include "switchd/bridge/switch_queries.h"
#include "switchd/bridge/switch_view.h"

namespace vswitch::bridge {

class FrameWaiters final : public ExplainView {
 public:
  /// All have to outlive it.
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

  /// To be called on the control thread after the datapath has told that there are frames to take.
  void frames_caught();

 private:
  struct Waiter {
    std::string bridge;
    std::function<void(std::optional<NextFrame>)> done;
    boost::asio::steady_timer patience;
  };

  /// `caught`: nullptr if none has come in time.
  void answer(std::uint64_t request, const NextFrames::Caught* caught);

  boost::asio::io_context& io_;
  NextFrames& frames_;
  const SwitchQueries& queries_;
  std::map<std::uint64_t, Waiter> waiters_;  ///< by request
};

}  // namespace vswitch::bridge
