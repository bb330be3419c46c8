// SPDX-License-Identifier: Apache-2.0
// The database on disk: first record the schema, then one record per transaction, as ovsdb-server writes
// them.
//
// A transaction record maps table -> row UUID -> columns, null for a row deleted, with "_date" (milliseconds
// since 1970), "_comment" and "_is_diff": of modified rows, columns that may hold several elements are
// written as their difference (Open vSwitch 2.15 and later). Ephemeral columns are left out. When the file
// has grown to a multiple of what its contents need, it is rewritten without history. Only the contents count:
// a daemon that is restarted often must not take the history for them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "switchd/db/database.h"
#include "switchd/db/log.h"

namespace vswitch::ovsdb {

class Database;

/// The whole database without history, as the bytes of a file.
std::string file_contents(const Database& database);

class Storage {
 public:
  /// Compaction is worthwhile from this size on, if the file is larger than its contents by this factor.
  static constexpr std::uint64_t kCompactFloor = 4U << 20;
  static constexpr std::uint64_t kCompactFactor = 3;

  /// Opens or creates `path` and fills `database`, which must be empty and not yet stored. Throws
  /// std::runtime_error.
  static std::unique_ptr<Storage> open(const std::string& path, Database& database,
                                       std::vector<std::string>& warnings);

  /// Writes a record, which is on disk after the next sync. False if there was nothing to write: only
  /// ephemeral columns changed. Throws Error "I/O error".
  bool append(const Changes& changes);
  /// See LogFile::sync_job(). What came of it goes to synced() or sync_failed().
  std::function<std::error_code()> sync_job() { return log_.sync_job(); }
  void synced();
  /// The file is not to be trusted: compact() replaces it.
  void sync_failed(std::error_code error);
  void compact(const Database& database);
  /// compact() if it is worthwhile; a failure becomes a warning and is tried again after more growth.
  void compact_if_large(const Database& database);
  std::vector<std::string> take_warnings() { return std::exchange(warnings_, {}); }

 private:
  /// Tells a new kind of trouble from the same one again, so that a broken disk is one line in the log.
  class Trouble {
   public:
    bool is_new(std::error_code error) { return std::exchange(last_, error) != error; }
    void over() { last_.clear(); }

   private:
    std::error_code last_;
  };

  Storage(Descriptor lock, LogFile log);
  void replace(const std::string& bytes);
  static std::uint64_t worthwhile_for(const std::string& contents);

  Descriptor lock_;
  LogFile log_;
  std::uint64_t compact_at_ = kCompactFloor;  ///< size from which compact_if_large() looks at the contents
  Trouble write_trouble_;
  Trouble sync_trouble_;
  std::vector<std::string> warnings_;
};

}  // namespace vswitch::ovsdb
