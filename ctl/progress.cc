// SPDX-License-Identifier: Apache-2.0
#include "ctl/progress.h"

#include <algorithm>
#include <ostream>
#include <utility>

namespace vswitch::ctl {

Progress::Progress(std::ostream& err, std::string work) : err_(err), work_(std::move(work)) {
  if (!work_.empty()) thread_ = std::thread([this] { run(); });
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  ended_.notify_one();
  thread_.join();
}

void Progress::run() {
  constexpr std::chrono::seconds kFirst{1}, kLongest{10};
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  for (std::chrono::seconds passed = kFirst;; passed += std::min(passed, kLongest)) {
    if (ended_.wait_until(lock, start + passed, [this] { return end_; })) return;
    err_ << "vswitch-ctl: " << work_ << ", " << passed.count() << " s so far" << std::endl;
  }
}

}  // namespace vswitch::ctl
