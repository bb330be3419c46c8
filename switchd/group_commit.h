// SPDX-License-Identifier: Apache-2.0
// One fdatasync() for many commits, on a thread of its own.
//
//     control thread   commit commit apply | commit commit ...        | commit ...
//     disk thread                            [ fdatasync 1           ]  [ fdatasync 2 ...
//     acknowledged                                                    ^ the first three commits
//
// The first commit of a turn of the event loop starts a sync after the rest of the turn, which includes the
// switch's own report on the change. The loop goes on while the sync runs; commits made meanwhile belong to
// the next sync, which starts when this one ends. The OutputGate holds everything that reports a commit until
// its sync is done. So fifty clients that write at once wait for the disk once.
//
// A disk that answers at once, as memory does, is not worth waking a thread: the transactions of one client
// would take twice the CPU time (57 us instead of 30). Nor is a fast disk, for a commit that is alone with
// the switch's report on it: requests of other clients that arrive meanwhile are handled together after it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <system_error>

#include "datapath/base/thread_annotations.h"
#include "switchd/control/output_gate.h"
#include "switchd/db/database.h"

namespace vswitch {

class GroupCommit {
 public:
  /// Takes over Database::sync_later(). `failed` is called with the reason if the last changes are not on
  /// disk, before the gate opens: they may be neither confirmed nor denied. All arguments must outlive this.
  GroupCommit(boost::asio::io_context& io, ovsdb::Database& database, control::OutputGate& gate,
              std::function<void(const std::string&)> failed);
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;
  ~GroupCommit();

  /// When it returns, everything committed is on disk and may be acknowledged.
  void flush() REQUIRES(roles::control);
  std::uint64_t syncs() const { return syncs_; }

 private:
  using Clock = std::chrono::steady_clock;

  bool worth_a_thread() const REQUIRES(roles::control);
  void begin_soon() REQUIRES(roles::control);
  void begin() REQUIRES(roles::control);
  void end() REQUIRES(roles::control);

  boost::asio::io_context& io_;
  ovsdb::Database& database_;
  control::OutputGate& gate_;
  std::function<void(const std::string&)> failed_;
  Clock::duration took_ = Clock::duration::max();       ///< time of the last sync, seen by its thread
  bool busy_ GUARDED_BY(roles::control) = false;        ///< a sync is posted or runs
  std::future<std::error_code> under_way_;              ///< valid while one runs
  std::size_t commits_ GUARDED_BY(roles::control) = 0;  ///< covered by the next sync
  std::uint64_t syncs_ = 0;
  boost::asio::thread_pool disk_{1};
};

}  // namespace vswitch
