// SPDX-License-Identifier: Apache-2.0
// A file of JSON records in the Open vSwitch standalone format (ovsdb(5) "Standalone", ovsdb-tool(1)).
//
//     OVSDB JSON <length> <sha1>\n
//     <length bytes of JSON, the last one a newline, with this SHA-1>
//
// Records are only appended. A record counts once fdatasync() has returned after it; what stands behind the
// last complete record is the trace of a crash in the middle of an append, which nobody was told had
// succeeded.
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
  std::uint64_t end = 0;     ///< offset behind the last complete record
  std::uint64_t size = 0;    ///< of the file
  std::string problem;       ///< what is wrong at `end`, when end != size
  bool more_behind = false;  ///< complete records follow behind the damage: not a torn tail
};

LogContents parse_log(std::string_view bytes);
/// One record, of this JSON, as it stands in the file.
std::string log_record(std::string text);

/// The open file; writes go to its end.
class LogFile {
 public:
  /// Opens for reading and writing; throws std::system_error with a sentence. The file must exist.
  explicit LogFile(std::string path);

  std::string read() const;
  /// Takes `end` as the end of the log and cuts off what stands behind it.
  void truncate(std::uint64_t end);
  /// Appends; the record counts after the next sync. Throws std::system_error when that fails; the record
  /// is then taken back. When even that fails (the disk is gone), all further appends are tried only after it
  /// has succeeded.
  void append(std::string_view record);
  /// fdatasync() of what was appended so far, to be called on any thread; it does not mind that this object
  /// goes on appending, or replaces the file. After an error what was appended since the last sync may be
  /// there or not.
  std::function<std::error_code()> sync_job() const;
  /// Puts a new file with these bytes in the place of this one: temporary file, fsync, rename, fsync of the
  /// directory. A crash leaves the old file or the new one. Throws std::system_error; then nothing has
  /// changed.
  void replace(std::string_view bytes);

  std::uint64_t size() const { return end_; }
  const std::string& path() const { return path_; }

  /// Creates the file with these bytes as replace() does.
  static void create(const std::string& path, std::string_view bytes);
  /// Of a writer that crashed.
  static std::string temporary_name(const std::string& path) { return path + ".tmp"; }

 private:
  std::string path_;
  std::shared_ptr<const Descriptor> fd_;  ///< with sync jobs
  std::uint64_t end_ = 0;
  bool dirty_tail_ = false;  ///< bytes behind end_ that could not be cut off
};

/// The lock that ovsdb-server and ovsdb-tool take too: a record lock on `.<name>.~lock~` beside the file.
/// Throws std::runtime_error naming the process that holds it.
Descriptor lock_log(const std::string& path);

}  // namespace vswitch::ovsdb
