// SPDX-License-Identifier: Apache-2.0
// Holds back what connections have to say until it may be known.
//
// A commit is told to clients, as reply or as notification, only when it is on disk. While the gate is shut
// connections keep what they have to send; the turn of the event loop that committed ends with one
// fdatasync() for all its commits, whoever made them, and then the gate opens (daemon.cc). So fifty clients
// that write at once wait for the disk once.
#pragma once

#include <functional>
#include <utility>
#include <vector>

namespace vswitch {

class OutputGate {
 public:
  bool is_shut() const { return shut_; }
  void shut() { shut_ = true; }
  void open() {
    shut_ = false;
    for (const auto& go_on : std::exchange(waiting_, {})) go_on();
  }
  /// Called back by open(); to be asked for only while the gate is shut.
  void when_open(std::function<void()> go_on) { waiting_.push_back(std::move(go_on)); }

 private:
  bool shut_ = false;
  std::vector<std::function<void()>> waiting_;
};

}  // namespace vswitch
