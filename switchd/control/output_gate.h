// SPDX-License-Identifier: Apache-2.0
// Holds back what connections have to say until it may be known.
//
// A commit is told to clients, as reply or as notification, only when it is on disk, and the event loop does
// not wait for the disk (switchd/group_commit.h). So each message carries the number of the sync it has to
// wait for, and the end of a sync lets go what waited for it or for an earlier one:
//
//     hold()  a commit         what is said from now on needs the next sync that begins
//     begin() sync 7 begins    commits from here on need sync 8
//     open()  sync 7 is done   messages that need 7 or less go out
//
// Numbers only grow, and messages of a connection with them: none overtakes another.
#pragma once

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
    done_ = begun_;
    for (const auto& go_on : std::exchange(waiting_, {})) go_on();
  }

  /// What a message that is queued now needs.
  SyncNumber needed() const { return needed_; }
  bool lets_pass(SyncNumber needed) const { return needed <= done_; }
  /// Whether something was committed that no finished sync covers.
  bool is_shut() const { return !lets_pass(needed_); }
  /// Called back by the next open(), which may not be the one that was hoped for.
  void when_open(std::function<void()> go_on) { waiting_.push_back(std::move(go_on)); }

 private:
  SyncNumber needed_ = 0;
  SyncNumber begun_ = 0;
  SyncNumber done_ = 0;
  std::vector<std::function<void()>> waiting_;
};

}  // namespace vswitch::control
