// SPDX-License-Identifier: Apache-2.0
// A sign of life while the daemon works on one long request.
#pragma once

#include <chrono>
#include <condition_variable>
#include <iosfwd>
#include <mutex>
#include <string>
#include <thread>

namespace vswitch::ctl {

/// Writes "vswitch-ctl: WORK, 2 s so far" to `err` after one second, and then ever more seldom, until it is
/// destroyed. Nobody else may write to `err` meanwhile. Nothing if `work` is empty.
class Progress {
 public:
  Progress(std::ostream& err, std::string work);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  void run();

  std::ostream& err_;
  const std::string work_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool end_ = false;
  std::thread thread_;
};

}  // namespace vswitch::ctl
