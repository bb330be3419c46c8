// SPDX-License-Identifier: Apache-2.0
// A file of JSON records in the Open vSwitch standalone format (ovsdb(5) "Standalone", ovsdb-tool(1)).
//
//     OVSDB JSON <length> <sha1>\n
//     <length bytes of JSON, the last one a newline, with this SHA-1>
//
// Records are only appended. A record counts once fdatasync() has returned after it; anything after the last
// complete record is the trace of a crash during an append that was never acknowledged.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace vswitch::ovsdb {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  int get() const { return fd_; }

 private:
  int fd_;
};

/// What a log file contains.
struct LogContents {
  std::vector<nlohmann::json> records;
  std::uint64_t end = 0;     ///< offset after the last complete record
  std::uint64_t size = 0;    ///< of the file
  std::string problem;       ///< what is wrong at `end`, if end != size
  bool more_behind = false;  ///< complete records follow the damage: not a torn tail
};

LogContents parse_log(std::string_view bytes);
/// One record with this JSON, as it is written to the file.
std::string log_record(std::string text);

/// The open file; writes go to its end.
class LogFile {
 public:
  /// Opens for reading and writing; throws std::system_error with a sentence. The file must exist.
  explicit LogFile(std::string path);

  std::string read() const;
  /// Takes `end` as the end of the log and truncates the file there.
  void truncate(std::uint64_t end);
  /// Appends; the record counts after the next sync. Throws std::system_error if that fails, after removing
  /// the partial record. If the removal fails too (the disk is gone), later appends repeat it first.
  void append(std::string_view record);
  /// fdatasync() of what was appended so far, to be called on any thread; this object may append more, or
  /// replace the file, meanwhile. After an error, what was appended since the last sync may or may not be on
  /// disk.
  std::function<std::error_code()> sync_job() const;
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
  bool dirty_tail_ = false;  ///< bytes after end_ that could not be truncated
};

/// The lock that ovsdb-server and ovsdb-tool take too: a record lock on `.<name>.~lock~` beside the file.
/// Throws std::runtime_error naming the process that holds it.
Descriptor lock_log(const std::string& path);

}  // namespace vswitch::ovsdb
