// SPDX-License-Identifier: Apache-2.0
// The last events in a file beside the database, so that they outlive the daemon.
//
// One line of JSON per event, appended by a thread of its own: the event loop never waits for this disk. When
// the file has as many events as are kept, it becomes FILE.1 in place of the one before, and a new one begins;
// together the two have all that is kept, and at most twice that. A full disk is said once, in the log and by
// trouble(), and tried again; what is damaged in the file is left out. There is no fsync: after a power
// failure the last lines may be missing.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "datapath/base/unique_fd.h"

namespace vswitch::history {

/// One of the last events.
struct Kept {
  std::uint64_t number = 0;  ///< from 1, without gaps
  std::int64_t time_ms = 0;  ///< since 1970
  std::string topic, bridge, name;
  std::string text;  ///< JSON with number, time and topic
};

/// Lines of a file as events, in order; those that are damaged are counted. At most `most`, the last ones.
std::vector<Kept> parse_events(const std::string& text, std::size_t most, std::size_t& damaged);

class EventFile {
 public:
  /// `loaded` is called once, on the thread of the file, with the events that it had. Reads nothing but the
  /// end of the file before it returns.
  EventFile(std::string path, std::function<void(std::vector<Kept>)> loaded);
  /// Writes what is left.
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  /// Number of the last event in the file when it was opened; 0 if there was none.
  std::uint64_t last() const { return last_; }
  /// Never waits, never throws. If the disk is too slow, the oldest lines are left out.
  void append(std::string line);
  /// Why lines cannot be written, as a sentence; empty if they can. Any thread.
  std::string trouble() const;

 private:
  void run() REQUIRES(roles::helper);
  void load() REQUIRES(roles::helper);
  /// Lines that could not be written stay in `lines`.
  void write(std::deque<std::string>& lines) REQUIRES(roles::helper);
  /// False with errno if there is no file to write to.
  bool open() REQUIRES(roles::helper);
  void rotate() REQUIRES(roles::helper);
  void report(int error) REQUIRES(roles::helper);

  const std::string path_;
  const std::function<void(std::vector<Kept>)> loaded_;
  std::uint64_t last_ = 0;
  UniqueFd file_;
  std::size_t lines_ = 0, bytes_ = 0;  ///< in the file
  bool is_torn_ = false;               ///< its last line may be half one

  mutable Mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::string> queue_ GUARDED_BY(mutex_);
  bool ends_ GUARDED_BY(mutex_) = false;
  std::string trouble_ GUARDED_BY(mutex_);

  std::thread thread_;  ///< last: it uses the others
};

}  // namespace vswitch::history
