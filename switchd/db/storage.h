// SPDX-License-Identifier: Apache-2.0
// The database on disk: first record the schema, then one record per transaction, as ovsdb-server writes
// them.
//
// A transaction record maps table -> row UUID -> columns, null for a row deleted, with "_date" (milliseconds
// since 1970), "_comment" and "_is_diff": of modified rows, columns that may hold several elements are
// written as their difference (Open vSwitch 2.15 and later). Ephemeral columns are left out. When the file
// has grown to a multiple of what its contents need, it is rewritten without history.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "switchd/db/database.h"
#include "switchd/db/log.h"

namespace vswitch::ovsdb {

class Storage {
 public:
  /// Compaction is worthwhile from this size on, if the file has grown by this factor since the last one.
  static constexpr std::uint64_t kCompactFloor = 4U << 20;
  static constexpr std::uint64_t kCompactFactor = 3;

  /// Opens or creates `path` and fills `database`, which must be empty and not yet stored. Throws
  /// std::runtime_error.
  static std::unique_ptr<Storage> open(const std::string& path, Database& database,
                                       std::vector<std::string>& warnings);

  /// Writes a record, which is on disk after the next sync. False if there was nothing to write: only
  /// ephemeral columns changed. Throws Error "I/O error".
  bool append(const Changes& changes);
  /// See LogFile::sync_job().
  std::function<std::error_code()> sync_job() const { return log_.sync_job(); }
  void compact(const Database& database);
  /// compact() if it is worthwhile; a failure becomes a warning and is tried again after more growth.
  void compact_if_large(const Database& database);
  std::vector<std::string> take_warnings() { return std::exchange(warnings_, {}); }
  /// Size from which compact_if_large() acts.
  void set_compact_at(std::uint64_t size) { compact_at_ = size; }

 private:
  Storage(Descriptor lock, LogFile log);

  Descriptor lock_;
  LogFile log_;
  std::uint64_t compact_at_ = kCompactFloor;
  std::vector<std::string> warnings_;
};

}  // namespace vswitch::ovsdb
