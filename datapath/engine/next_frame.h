// SPDX-License-Identifier: Apache-2.0
// The next frame that fits, for somebody who waits to have it explained.
//
// Mostly nobody waits, and then a batch costs one look at a flag. While somebody does, a worker holds a lock
// while it tests what it has just received from a port in question, against a few requests at most; the
// control thread holds the same lock for no longer than it takes to add or take out one of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "datapath/flow/match.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

class NextFrames {
 public:
  static constexpr std::size_t kMaxRequests = 8;  ///< at a time

  struct Wanted {
    std::string bridge;
    std::string port;            ///< it arrives on; empty: any of the bridge
    std::optional<Match> match;  ///< nothing: any frame
  };
  struct Caught {
    std::uint64_t request;
    std::string port;
    std::vector<std::uint8_t> frame;  ///< as on the wire, tag in place and checksum finished, without FCS
  };

  /// `caught` is called on a worker's thread when there is something to take().
  explicit NextFrames(std::function<void()> caught) : on_catch_(std::move(caught)) {}

  /// Control thread. Its number, or nothing if as many wait as may.
  std::optional<std::uint64_t> ask(Wanted wanted);
  /// Control thread: no frame for it any more. What was caught already may still come.
  void forget(std::uint64_t request);
  /// Control thread: what was caught since the last time. Each request gets one frame.
  std::vector<Caught> take();

  /// Workers.
  bool anybody_waits() const { return waiting_.load(std::memory_order_relaxed) != 0; }
  void look(const Snapshot& snapshot, const PortConfig& in, std::span<const RawFrame> frames);

 private:
  struct Request {
    std::uint64_t number;
    Wanted wanted;
  };

  const std::function<void()> on_catch_;
  std::atomic<std::size_t> waiting_{0};
  std::mutex mutex_;
  // Under the mutex.
  std::vector<Request> requests_;
  std::vector<Caught> caught_;
  std::uint64_t last_number_ = 0;
};

}  // namespace vswitch
