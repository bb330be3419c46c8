// SPDX-License-Identifier: Apache-2.0
// Catches the next frame that fits a match, for a client that waits to have it explained.
//
// Normally no request is pending, and then a batch costs one test of a flag. Otherwise a worker holds a lock
// while it tests the frames it has just received from a port in question against a few requests; the control
// thread holds the same lock only to add or remove a request.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "datapath/flow/match.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

class NextFrames {
 public:
  static constexpr std::size_t kMaxRequests = 8;  ///< pending at any time

  struct Wanted {
    std::string bridge;
    std::string port;            ///< the port on which it arrives; empty: any port of the bridge
    std::optional<Match> match;  ///< nothing: any frame
  };
  struct Caught {
    std::uint64_t request;
    std::string port;
    std::vector<std::uint8_t> frame;  ///< as on the wire, tag in place and checksum finished, without FCS
  };

  /// `caught` is called on a worker's thread when there is something to take(); `waiting` with whether any request is
  /// pending, when that may have changed, on any thread.
  explicit NextFrames(
      std::function<void()> caught, std::function<void(bool)> waiting = [](bool) {})
      : on_catch_(std::move(caught)), on_waiting_(std::move(waiting)) {}

  /// The number of the request, or nothing if the limit of pending requests is reached.
  std::optional<std::uint64_t> ask(Wanted wanted) REQUIRES(roles::control);
  /// Cancels a request. A frame that was caught already may still be returned.
  void forget(std::uint64_t request) REQUIRES(roles::control);
  /// The frames caught since the last call. Each request gets one frame.
  std::vector<Caught> take() REQUIRES(roles::control);

  bool anybody_waits() const { return waiting_.load(std::memory_order_relaxed) != 0; }
  void look(const PortConfig& in, std::span<const RawFrame> frames) REQUIRES(roles::worker);

 private:
  struct Request {
    std::uint64_t number;
    Wanted wanted;
  };

  /// True if it caught any.
  bool catch_wanted(const PortConfig& in, std::span<const RawFrame> frames);

  void note_waiting() REQUIRES(mutex_);

  const std::function<void()> on_catch_;
  const std::function<void(bool)> on_waiting_;
  std::atomic<std::size_t> waiting_{0};
  Mutex mutex_;
  std::vector<Request> requests_ GUARDED_BY(mutex_);
  std::vector<Caught> caught_ GUARDED_BY(mutex_);
  std::uint64_t last_number_ GUARDED_BY(mutex_) = 0;
};

}  // namespace vswitch
