// SPDX-License-Identifier: Apache-2.0
// The database in memory and the only way to change it. Everything here runs on the control thread.
//
// Rows are immutable and shared. A Transaction collects new versions of rows beside the tables; commit()
// repairs and checks the result (switchd/db/integrity.h), computes the Changes once, has them written to the
// file, and only then swaps the rows in and notifies the listeners. If anything fails before the swap, the
// database stays as it was.
//
// Written is not durable: that takes an fdatasync(), which commit() does itself, unless sync_later() has left
// it to a caller that does it for several commits at once (switchd/group_commit.h).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "schemas/ovsdb/error.h"
#include "schemas/ovsdb/schema.h"
#include "switchd/base/limits.h"
#include "switchd/db/changes.h"
#include "switchd/db/row.h"

namespace vswitch::ovsdb {

class Storage;
class Transaction;

/// Committed rows of one table.
class Table {
 public:
  /// A row and the number of strong references to it from other rows.
  struct Slot {
    RowPtr row;
    std::size_t references = 0;
  };
  using Slots = std::unordered_map<Uuid, Slot>;

  class Iterator {
   public:
    using value_type = Row;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(Slots::const_iterator at) : at_(at) {}
    const Row& operator*() const { return *at_->second.row; }
    const Row* operator->() const { return at_->second.row.get(); }
    Iterator& operator++() { return ++at_, *this; }
    Iterator operator++(int) { return Iterator(at_++); }
    bool operator==(const Iterator&) const = default;

   private:
    Slots::const_iterator at_;
  };

  explicit Table(const TableSchema& schema);

  const TableSchema& schema() const { return *schema_; }
  std::size_t size() const { return slots_.size(); }
  Iterator begin() const { return Iterator(slots_.begin()); }  ///< in no particular order
  Iterator end() const { return Iterator(slots_.end()); }
  /// nullptr if there is no such row. Valid until the next commit; hold a RowPtr to keep it longer.
  const Row* find(const Uuid& uuid) const;
  RowPtr share(const Uuid& uuid) const;
  /// The first row whose column holds exactly this string: `find("name", "br0")`.
  const Row* find(std::string_view column, std::string_view text) const;

  // What the engine needs (transaction.cc, integrity.cc, storage.cc).
  const Slots& slots() const { return slots_; }
  std::size_t references(const Uuid& uuid) const;
  void add_references(const Uuid& uuid, std::ptrdiff_t delta);
  /// Inserts, replaces (row given) or removes (null) a row and updates the indexes.
  void replace(const Uuid& uuid, RowPtr row);
  /// Committed rows whose columns of the given unique index have the same values.
  std::vector<Uuid> with_equal_index(std::size_t index, const Row& row) const;

  std::size_t index_hash(std::size_t index, const Row& row) const;

 private:
  const TableSchema* schema_;
  Slots slots_;
  std::vector<std::unordered_multimap<std::size_t, Uuid>> indexes_;  ///< hash of the indexed columns -> row
};

/// What one transaction may take, because the others wait for it. Beyond it, an operation fails with "resources
/// exhausted".
struct TransactLimits {
  std::size_t operations = limits::kOperations;
  std::uint64_t steps = limits::kSteps;
  std::size_t bytes = limits::kResultBytes;  ///< of results, and of values that are copied into many rows
};

/// What the OVSDB dialect knows about the sender of a transaction.
struct TransactContext {
  std::int64_t elapsed_ms = 0;  ///< since the request arrived, for `wait`
  bool read_only = false;       ///< refuse writes (database _Server, or a client that may only read)
  std::function<bool(const std::string&)> owns_lock = {};  ///< for `assert`
  std::size_t first = 0;  ///< index of the first operation: 1 in the params of a request
  TransactLimits limits = {};
};

/// Outcome of Database::transact().
struct TransactResult {
  std::shared_ptr<nlohmann::json> reply;  ///< array for the "result" member; null while waiting
  std::optional<std::int64_t>
      retry_after_ms;  ///< waiting: try again after a commit or this long; nullopt: no limit
  bool waiting() const { return !reply; }
};

class Database {
 public:
  using Listener = std::function<void(const Changes&)>;
  using ListenerId = std::uint64_t;

  /// A database in memory only.
  explicit Database(DatabaseSchema schema);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Opens or creates a file in the Open vSwitch standalone format. Throws std::runtime_error with a sentence
  /// if it cannot be used; `warnings` receives sentences worth a log line (a torn tail that was cut
  /// off, a conversion).
  static std::unique_ptr<Database> open(const std::string& path, DatabaseSchema schema,
                                        std::vector<std::string>& warnings);

  const DatabaseSchema& schema() const { return schema_; }
  /// Throws std::out_of_range for a name that is not in the schema.
  const Table& table(std::string_view name) const;
  const Table& table(std::size_t index) const { return tables_[index]; }
  const Row* find(std::string_view table, const Uuid& uuid) const;

  /// Who makes the commits of a scope, for Changes::by. `who` must outlive it. Scopes nest; the inner one counts.
  class By {
   public:
    By(Database& database, const std::string& who)
        : database_(database), outer_(std::exchange(database.by_, &who)) {}
    ~By() { database_.by_ = outer_; }
    By(const By&) = delete;
    By& operator=(const By&) = delete;

   private:
    Database& database_;
    const std::string* outer_;
  };

  /// Called after each commit that changed something, in the order of registration. A listener may commit:
  /// its changes are announced after all listeners have received the present ones, so all see the same order.
  ListenerId on_commit(Listener listener);
  void remove_listener(ListenerId id);

  /// From now on commit() leaves the wait for the disk to the caller: each commit that needs a sync calls
  /// `unsynced` before it notifies the listeners. Its changes may be reported outside only after a sync that
  /// began later has ended.
  void sync_later(std::function<void()> unsynced) { on_unsynced_ = std::move(unsynced); }
  /// Waits until everything committed before begin_sync() is on disk, and returns the outcome; on any thread,
  /// while commits go on.
  using DiskWait = std::function<std::error_code()>;
  /// Null if everything is on disk. One sync at a time: end_sync() comes before the next begin_sync().
  DiskWait begin_sync();
  /// Takes the outcome of the wait. If the sync of the file failed, logs it and tries a new file with the whole
  /// database.
  /// Throws std::system_error if that fails too: the last commits are in memory only, and the next sync tries
  /// again.
  void end_sync(std::error_code outcome);

  /// Executes the operations (array of <operation>) of an OVSDB `transact`. Throws Error if there are too many
  /// of them. Defined in execute.cc.
  TransactResult transact(const nlohmann::json& operations, const TransactContext& context = {});

  /// Rewrites the file without history now. Throws std::runtime_error; the old file then stays in use.
  void compact();
  /// False if a sync failed and no new file could be written since.
  bool trusts_disk() const { return !distrusted_; }
  /// Sentences about the file since the last call, such as a compaction that failed; for the log.
  std::vector<std::string> take_warnings();
  /// Whether the schema lets unreachable rows refer to each other in a cycle (integrity.h).
  bool has_circle() const { return has_circle_; }

 private:
  friend class Transaction;
  void store(const Changes& changes);
  void sync();
  void notify(std::shared_ptr<const Changes> changes);
  static void tell(const Listener& listener, const Changes& changes);

  DatabaseSchema schema_;
  bool has_circle_;
  std::vector<Table> tables_;
  std::unique_ptr<Storage> storage_;
  std::function<void()> on_unsynced_;
  const std::string* by_ = nullptr;
  bool unsynced_ = false;
  bool distrusted_ = false;  ///< the file: a sync failed
  std::vector<std::pair<ListenerId, Listener>> listeners_;
  std::deque<std::shared_ptr<const Changes>> untold_;
  bool telling_ = false;
  ListenerId next_listener_ = 1;
};

}  // namespace vswitch::ovsdb
