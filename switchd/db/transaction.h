// SPDX-License-Identifier: Apache-2.0
// A set of changes to a database that takes effect as a whole or not at all.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "switchd/db/database.h"

namespace vswitch::ovsdb {

/// Change of the number of strong references to each row, by table.
using ReferenceDeltas = std::vector<std::unordered_map<Uuid, std::ptrdiff_t>>;

/// Reads through the transaction see its own changes. The first refusal of insert(), set() and the like is
/// kept and returned by commit(), so a caller may ignore it until then; names of tables, columns and rows
/// that do not exist throw std::out_of_range.
class Transaction {
 public:
  explicit Transaction(Database& database);

  /// A new row with defaults. In a table that is not root, it survives the commit only if something refers to
  /// it.
  Uuid insert(std::string_view table, const std::optional<Uuid>& uuid = std::nullopt);
  void set(std::string_view table, const Uuid& row, std::string_view column, Datum datum);
  /// Adds elements to a set or pairs to a map; existing keys keep their value.
  void add(std::string_view table, const Uuid& row, std::string_view column, const Datum& elements);
  /// Removes elements (of a map: a set of keys).
  void remove(std::string_view table, const Uuid& row, std::string_view column, const Datum& elements);
  void erase(std::string_view table, const Uuid& row);
  /// A line for `ovsdb-tool show-log`; several are joined.
  void comment(std::string_view text);

  /// nullptr if there is no such row (any more).
  const Row* find(std::string_view table, const Uuid& row) const;
  /// Every row, in no particular order. The callback may change the row it is given, not others.
  void for_each(std::string_view table, const std::function<void(const Row&)>& visit) const;

  /// Collects garbage, checks integrity, writes to the file unless only ephemeral columns changed (see
  /// Database for when that is on disk), swaps the rows in and notifies the listeners. If it returns an
  /// error, nothing has changed. At most once per transaction.
  std::optional<Error> commit();

  // What the engine needs: the same by index instead of name, with errors thrown (execute.cc, integrity.cc).
  struct Change {
    RowPtr before;               ///< as committed, null: inserted here
    std::shared_ptr<Row> after;  ///< null: deleted here
  };
  using TableOverlay = std::unordered_map<Uuid, Change>;
  Database& database() const { return database_; }
  const Row* find(std::size_t table, const Uuid& row) const;
  void for_each(std::size_t table, const std::function<void(const Row&)>& visit) const;
  /// Throws Error "duplicate uuid" if the row exists or existed before this transaction.
  Row& insert_row(std::size_t table, const Uuid& uuid);
  /// A copy this transaction may write to; throws std::out_of_range if there is no such row.
  Row& modify_row(std::size_t table, const Uuid& uuid);
  void erase_row(std::size_t table, const Uuid& uuid);
  std::vector<TableOverlay>& overlay() { return overlay_; }
  const std::vector<TableOverlay>& overlay() const { return overlay_; }
  /// Number of rows in the table, as this transaction sees it.
  std::size_t rows_after(std::size_t table) const;

 private:
  void check_writable(const Row& row, const ColumnSchema& column, const Datum& datum);
  Changes changes() const;
  void swap_in(const Changes& changes, const ReferenceDeltas& deltas);

  Database& database_;
  std::vector<TableOverlay> overlay_;  ///< by table
  std::string comment_;
  std::optional<Error> refusal_;
};

}  // namespace vswitch::ovsdb
