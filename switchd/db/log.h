// SPDX-License-Identifier: Apache-2.0
// A file of JSON records in the Open vSwitch standalone format (ovsdb(5) "Standalone", ovsdb-tool(1)).
//
//     OVSDB JSON <length> <sha1>\n
//     <length bytes of JSON, the last one a newline, with this SHA-1>
//
// Records are only appended. A record counts once fdatasync() has returned after it. Several records may be
// written before one fdatasync(), and the pages they lie on reach the disk in any order: after a power cut,
// complete records may follow a hole that nobody was told of. So each sync leaves a mark, a record that stock
// tools read as a comment:
//
//     {"_comment":"synced to byte 18814"}
//
// It is written after the sync and says that everything before that byte was on disk. Damage before that byte
// is damage. Damage that no mark behind it covers is the trace of a crash: a torn tail. A file of another
// writer has no marks; there, complete records behind the damage are taken as proof that it was on disk.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "switchd/db/file.h"

namespace vswitch::ovsdb {

/// What a log file contains.
struct LogContents {
  std::vector<nlohmann::json> records;  ///< without marks
  std::vector<std::uint64_t> offsets;   ///< of each record
  std::uint64_t end = 0;                ///< offset after the last complete record
  std::uint64_t size = 0;               ///< of the file
  bool marked = false;                  ///< there is a mark before `end`
  bool ends_marked = false;             ///< ... and it is the last record
  std::string problem;                  ///< what is wrong at `end`, if end != size
  std::size_t behind = 0;               ///< complete records and marks behind the problem
  bool damaged = false;                 ///< what is wrong was on disk before: not a torn tail
};

LogContents parse_log(std::string_view bytes);
/// One record with this JSON, as it is written to the file.
std::string log_record(std::string text);
/// The mark that everything before byte `end` is on disk.
std::string log_mark(std::uint64_t end);
/// Whether the file begins as one of this format, damaged or not.
bool is_log(std::string_view bytes);

/// The open file; writes go to its end.
class LogFile {
 public:
  /// Opens for reading and writing; throws std::system_error with a sentence. The file must exist.
  explicit LogFile(std::string path);

  std::string read() const;
  /// Takes `end` as the end of the log, truncates the file there and syncs it.
  void truncate(std::uint64_t end);
  /// truncate(), after what it cuts off was copied: returns the name of the copy (keep_torn_copy()).
  std::string cut(std::uint64_t end);
  /// Appends; the record counts after the next sync. Throws std::system_error if that fails, after removing
  /// the partial record. If the removal fails too (the disk is gone), later appends repeat it first.
  void append(std::string_view record);
  /// fdatasync() of what was appended so far, to be called on any thread; this object may append more, or
  /// replace the file, meanwhile. After an error, what was appended since the last sync may or may not be on
  /// disk.
  std::function<std::error_code()> sync_job();
  /// The last sync job has succeeded: writes the mark of it. Without room for the mark, there is none.
  void mark_synced();
  /// Writes a mark, on disk when it returns, to a file that truncate() has synced: from then on a torn tail can
  /// be told from damage to what this file has now. Throws std::system_error.
  void adopt();
  /// Replaces this file by a new one with these bytes: temporary file, fsync, rename, fsync of the directory.
  /// A crash leaves the old file or the new one. Throws std::system_error; then nothing has changed.
  void replace(std::string_view bytes);

  std::uint64_t size() const { return end_; }
  const std::string& path() const { return path_; }

  /// Creates the file with these bytes as replace() does.
  static void create(const std::string& path, std::string_view bytes);
  /// The name of the temporary file, which a crashed writer may have left behind.
  static std::string temporary_name(const std::string& path) { return path + ".tmp"; }

 private:
  std::string path_;
  std::shared_ptr<const Descriptor> fd_;  ///< shared with sync jobs
  std::uint64_t end_ = 0;
  std::uint64_t sync_end_ = 0;  ///< end of what the last sync job covers; 0 if that was another file
  bool dirty_tail_ = false;     ///< bytes after end_ that could not be truncated
};

/// The lock that ovsdb-server and ovsdb-tool take too: a record lock on `.<name>.~lock~` beside the file.
/// Throws std::runtime_error naming the process that holds it.
Descriptor lock_log(const std::string& path);

}  // namespace vswitch::ovsdb
