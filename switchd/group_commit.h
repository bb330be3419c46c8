// SPDX-License-Identifier: Apache-2.0
// One fdatasync() for many commits, on a thread of its own.
//
//     control thread   commit commit apply | commit commit ...        | commit ...
//     disk thread                            [ fdatasync 1           ]  [ fdatasync 2 ...
//     said to clients                                                 ^ the first three commits
//
// The first commit of a turn of the event loop has a sync begin behind what the turn still has to do, the
// switch's own report on the change included. While it runs the loop goes on; what is committed meanwhile is
// the next sync's, which begins when this one ends. The OutputGate keeps what is said about a commit until
// its sync is done. So fifty clients that write at once wait for the disk once.
//
// A disk that answers at once, as memory does, is not worth waking a thread: one client's transactions would
// take twice the processor time (57 us beside 30). Nor is a fast one for a commit that is alone with what the
// switch reports on it: whoever else has something to say meanwhile is heard, together with others, after it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <system_error>

#include "switchd/control/output_gate.h"
#include "switchd/db/database.h"

namespace vswitch {

class GroupCommit {
 public:
  /// Takes over Database::sync_later(). `failed` hears that the last changes are not on disk, with the
  /// reason, before the gate opens: they may be neither confirmed nor denied. All must outlive this.
  GroupCommit(boost::asio::io_context& io, ovsdb::Database& database, control::OutputGate& gate,
              std::function<void(const std::string&)> failed);
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;
  ~GroupCommit();

  /// Everything committed is on disk and may be said when it returns.
  void flush();
  std::uint64_t syncs() const { return syncs_; }

 private:
  using Clock = std::chrono::steady_clock;

  bool worth_a_thread() const;
  void begin_soon();
  void begin();
  void end();

  boost::asio::io_context& io_;
  ovsdb::Database& database_;
  control::OutputGate& gate_;
  std::function<void(const std::string&)> failed_;
  Clock::duration took_ = Clock::duration::max();  ///< the last sync, as the one who waited saw it
  bool busy_ = false;                              ///< a sync is posted or runs
  std::future<std::error_code> under_way_;         ///< valid while one runs
  std::size_t commits_ = 0;                        ///< that the next sync covers
  std::uint64_t syncs_ = 0;
  boost::asio::thread_pool disk_{1};
};

}  // namespace vswitch
