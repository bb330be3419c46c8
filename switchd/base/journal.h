// SPDX-License-Identifier: Apache-2.0
// The system journal (systemd-journald): lines of the log with fields, by sd_journal_sendv(3).
//
// sd_journal_sendv(3) waits while the socket of the journal is full, and the daemon must not: a line is put into a
// queue, and a thread of its own sends it. If the journal takes nothing for so long that the queue is full, lines are
// lost. They are counted, and the next entry that it takes says how many. If the journal cannot be reached at all (a
// service with a root directory of its own does not see its socket), the thread writes to standard error, which is a
// stream to the journal as well, with the priority in front: "<4>sentence".
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "switchd/base/log.h"

namespace vswitch::log {

/// Whether the descriptor is the stream that JOURNAL_STREAM names, "DEVICE:INODE" (systemd.exec(5)). `stream` may be
/// null. A service whose standard error was redirected still has the variable.
bool is_journal_stream(const char* stream, int fd);

class Journal {
 public:
  static constexpr std::size_t kMaxLines = 4096;                          ///< in the queue
  static constexpr std::size_t kMaxBytes = std::size_t{4} << 20;          ///< of all of them
  static constexpr std::size_t kMaxMessageBytes = std::size_t{32} << 10;  ///< of one; the rest is left out

  /// Starts the thread. Lives as long as the program, because lines may come from destructors at the very end.
  Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Never waits for the journal. Any thread.
  void put(Level level, std::string_view module, std::string_view text, const Fields& fields);
  /// Waits until all lines are with the journal, at most for this time. False if some are not.
  bool flush(std::chrono::milliseconds patience);

 private:
  /// One entry: MESSAGE first, then the others, each as "NAME=value".
  struct Entry {
    Level level = Level::info;
    std::vector<std::string> assignments;
    std::size_t bytes = 0;
    std::uint64_t lines = 1;  ///< that are lost with it
  };

  static Entry entry_of(Level level, std::string_view module, std::string_view text, const Fields& fields);
  void run() REQUIRES(roles::helper);
  bool has_room_for(const Entry& entry) const REQUIRES(mutex_);
  void queue(Entry entry) REQUIRES(mutex_);
  /// What was lost, as an entry of its own, once there is room.
  void queue_gap() REQUIRES(mutex_);

  Mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Entry> queue_ GUARDED_BY(mutex_);
  std::size_t bytes_ GUARDED_BY(mutex_) = 0;
  bool sending_ GUARDED_BY(mutex_) = false;  ///< the thread has one that is not in the queue any more
  std::uint64_t lost_ GUARDED_BY(mutex_) = 0;
};

}  // namespace vswitch::log
