// SPDX-License-Identifier: Apache-2.0
#include "switchd/group_commit.h"

#include <boost/asio/post.hpp>

#include <utility>

#include "switchd/base/memory_reserve.h"

namespace vswitch {

namespace asio = boost::asio;

constexpr std::chrono::microseconds kAtOnce{50};  // as long as waking a thread takes
constexpr std::chrono::milliseconds kFast{1};
constexpr std::size_t kAlone = 2;  // commits: a client's, and the switch's report on it

GroupCommit::GroupCommit(asio::io_context& io, ovsdb::Database& database, control::OutputGate& gate,
                         std::function<void(const std::string&)> failed)
    : io_(io), database_(database), gate_(gate), failed_(std::move(failed)) {
  database_.sync_later([this] {
    roles::control.assert_held();
    gate_.hold();
    ++commits_;
    if (!std::exchange(busy_, true)) begin_soon();
  });
}

GroupCommit::~GroupCommit() {
  database_.sync_later(nullptr);
}

bool GroupCommit::worth_a_thread() const {
  return took_ >= (commits_ <= kAlone ? kFast : kAtOnce);
}

void GroupCommit::begin_soon() {
  asio::post(io_, [this] {
    asio::post(io_, [this] {
      roles::control.assert_held();
      begin();
    });
  });
}

void GroupCommit::begin() {
  if (under_way_.valid()) return;
  const memory::NoWayBack no_way_back;  // an exception here would leave every answer behind the gate
  ovsdb::Database::DiskWait wait = database_.begin_sync();
  if (!wait) return;
  gate_.begin();
  std::packaged_task<std::error_code()> task([this, wait = std::move(wait)] {
    const Clock::time_point begun = Clock::now();
    const std::error_code outcome = wait();
    took_ = Clock::now() - begun;
    return outcome;
  });
  under_way_ = task.get_future();
  const bool here = !worth_a_thread();
  commits_ = 0;
  if (here) {
    task();
    return end();
  }
  asio::post(disk_, [this, task = std::move(task)]() mutable {
    const RoleScope role(roles::helper);
    task();
    asio::post(io_, [this] {
      roles::control.assert_held();
      end();
    });
  });
}

void GroupCommit::end() {
  if (!under_way_.valid()) return;  // flush() has been here
  const memory::NoWayBack no_way_back;
  try {
    database_.end_sync(under_way_.get());
    ++syncs_;
  } catch (const std::exception& error) {
    failed_(error.what());
  }
  gate_.open();
  busy_ = gate_.is_shut();
  if (busy_) begin_soon();
}

void GroupCommit::flush() {
  end();
  begin();
  end();
}

}  // namespace vswitch
