// SPDX-License-Identifier: Apache-2.0
// Holds back the output of connections until the commits it reports are durable.
//
// A commit is acknowledged to clients, by a reply or a notification, only once it is on disk, and the event
// loop does not wait for the disk (switchd/group_commit.h). So each message carries the number of the sync it
// has to wait for, and the end of a sync releases the messages that waited for it or for an earlier one:
//
//     hold()  a commit         messages from now on need the next sync that begins
//     begin() sync 7 begins    commits from here on need sync 8
//     open()  sync 7 is done   messages that need 7 or less go out
//
// Numbers only grow, and so do those of a connection's messages: none overtakes another, except answers to
// `echo`, which report nothing and need no sync (connection.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace vswitch::control {

class OutputGate {
 public:
  using SyncNumber = std::uint64_t;

  void hold() { needed_ = begun_ + 1; }
  void begin() { ++begun_; }
  void open() {
    done_.store(begun_, std::memory_order_release);
    for (const auto& go_on : std::exchange(waiting_, {})) go_on();
  }

  /// The sync that a message queued now needs.
  SyncNumber needed() const { return needed_; }
  /// Any thread; the others are of the control thread.
  bool lets_pass(SyncNumber needed) const { return needed <= done_.load(std::memory_order_acquire); }
  /// Whether there is a commit that no finished sync covers.
  bool is_shut() const { return !lets_pass(needed_); }
  /// Calls back at the next open(), which may not be the one the caller needs.
  void when_open(std::function<void()> go_on) { waiting_.push_back(std::move(go_on)); }

 private:
  SyncNumber needed_ = 0;
  SyncNumber begun_ = 0;
  std::atomic<SyncNumber> done_ = 0;
  std::vector<std::function<void()>> waiting_;
};

}  // namespace vswitch::control
