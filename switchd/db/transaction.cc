// SPDX-License-Identifier: Apache-2.0
#include "switchd/db/transaction.h"

#include <algorithm>
#include <stdexcept>

#include "schemas/ovsdb/notation.h"
#include "switchd/base/memory_reserve.h"
#include "switchd/db/integrity.h"
#include "switchd/db/storage.h"

namespace vswitch::ovsdb {

Transaction::Transaction(Database& database)
    : database_(database), overlay_(database.schema().tables.size()) {}

const Row* Transaction::find(std::size_t table, const Uuid& row) const {
  const auto found = overlay_[table].find(row);
  return found == overlay_[table].end() ? database_.table(table).find(row) : found->second.after.get();
}

const Row* Transaction::find(std::string_view table, const Uuid& row) const {
  return find(database_.schema().at(table).index, row);
}

void Transaction::for_each(std::size_t table, const std::function<void(const Row&)>& visit) const {
  // The callback may change its row, which adds to the overlay: so iterate over copies of the pointers.
  std::vector<RowPtr> changed;
  changed.reserve(overlay_[table].size());
  for (const auto& [uuid, change] : overlay_[table]) {
    if (change.after) changed.push_back(change.after);
  }
  std::vector<RowPtr> untouched;
  if (overlay_[table].empty()) {
    for (const auto& [uuid, slot] : database_.table(table).slots()) {
      visit(*slot.row);
    }
    return;
  }
  for (const auto& [uuid, slot] : database_.table(table).slots()) {
    if (!overlay_[table].contains(uuid)) untouched.push_back(slot.row);
  }
  for (const RowPtr& row : untouched) visit(*row);
  for (const RowPtr& row : changed) visit(*row);
}

void Transaction::for_each(std::string_view table, const std::function<void(const Row&)>& visit) const {
  for_each(database_.schema().at(table).index, visit);
}

std::size_t Transaction::rows_after(std::size_t table) const {
  std::size_t rows = database_.table(table).size();
  for (const auto& [uuid, change] : overlay_[table]) {
    if (!change.before && change.after) ++rows;
    if (change.before && !change.after) --rows;
  }
  return rows;
}

Row& Transaction::insert_row(std::size_t table, const Uuid& uuid) {
  if (overlay_[table].contains(uuid) || database_.table(table).find(uuid)) {
    throw Error("duplicate uuid",
                "This UUID would duplicate a UUID already present within the table or deleted within the "
                "same transaction.",
                "\"" + uuid.to_string() + "\"");
  }
  Change& change = overlay_[table][uuid];
  change.after = std::make_shared<Row>(database_.schema().tables[table], uuid);
  return *change.after;
}

Row& Transaction::modify_row(std::size_t table, const Uuid& uuid) {
  if (!find(table, uuid)) {
    throw std::out_of_range("table " + database_.schema().tables[table].name + " has no row " +
                            uuid.to_string());
  }
  const auto [at, first] = overlay_[table].try_emplace(uuid);
  if (first) {
    at->second.before = database_.table(table).share(uuid);
    at->second.after = std::make_shared<Row>(*at->second.before);
  }
  return *at->second.after;
}

void Transaction::erase_row(std::size_t table, const Uuid& uuid) {
  const auto [at, first] = overlay_[table].try_emplace(uuid);
  if (first) at->second.before = database_.table(table).share(uuid);
  at->second.after = nullptr;
}

Uuid Transaction::insert(std::string_view table, const std::optional<Uuid>& uuid) {
  const Uuid chosen = uuid.value_or(Uuid::random());
  const std::size_t at = database_.schema().at(table).index;
  try {
    insert_row(at, chosen);
  } catch (const Error& error) {
    if (!refusal_) refusal_ = error;
  }
  return chosen;
}

void Transaction::check_writable(const Row& row, const ColumnSchema& column, const Datum& datum) {
  const bool inserted = !database_.table(row.schema().index).find(row.uuid());
  if (!column.mutable_ && !inserted) {
    throw Error("constraint violation",
                "Cannot update immutable column " + column.name + " in table " + row.schema().name + ".");
  }
  check_type(datum, column.type);
}

void Transaction::set(std::string_view table, const Uuid& uuid, std::string_view column_name, Datum datum) {
  const TableSchema& schema = database_.schema().at(table);
  const ColumnSchema& column = schema.columns[schema.at(column_name)];
  Row& row = modify_row(schema.index, uuid);
  try {
    check_writable(row, column, datum);
    row.set(column.index, std::move(datum));
  } catch (const Error& error) {
    if (!refusal_) refusal_ = error;
  }
}

void Transaction::add(std::string_view table, const Uuid& row, std::string_view column,
                      const Datum& elements) {
  set(table, row, column, united(modify_row(database_.schema().at(table).index, row)[column], elements));
}

void Transaction::remove(std::string_view table, const Uuid& row, std::string_view column,
                         const Datum& elements) {
  set(table, row, column, without(modify_row(database_.schema().at(table).index, row)[column], elements));
}

void Transaction::erase(std::string_view table, const Uuid& row) {
  const std::size_t at = database_.schema().at(table).index;
  modify_row(at, row);  // throws if there is no such row
  erase_row(at, row);
}

void Transaction::comment(std::string_view text) {
  if (!comment_.empty()) comment_ += '\n';
  comment_ += text;
}

Changes Transaction::changes() const {
  Changes changes;
  changes.comment = comment_;
  for (const TableSchema& table : database_.schema().tables) {
    TableChanges rows{&table, {}};
    for (const auto& [uuid, change] : overlay_[table.index]) {
      if (!change.before && !change.after) continue;
      RowChange row{uuid, change.before, change.after, {}};
      for (const ColumnSchema& column : table.columns) {
        if (row.modified() && column.index != TableSchema::kVersion &&
            (*row.before)[column.index] != (*row.after)[column.index]) {
          row.columns.push_back(column.index);
        }
      }
      if (row.modified() && row.columns.empty()) continue;
      if (change.after) change.after->set(TableSchema::kVersion, Datum::of(Uuid::random()));
      rows.rows.push_back(std::move(row));
    }
    if (!rows.rows.empty()) changes.tables.push_back(std::move(rows));
  }
  return changes;
}

// From the moment at which the file has the changes, memory must get them, too.
void Transaction::swap_in(const Changes& changes, const ReferenceDeltas& deltas) {
  memory::require_reserve();
  const memory::NoWayBack no_way_back;
  database_.store(changes);
  for (const TableChanges& table : changes.tables) {
    for (const RowChange& row : table.rows)
      database_.tables_[table.schema->index].replace(row.uuid, row.after);
  }
  for (std::size_t table = 0; table < deltas.size(); ++table) {
    for (const auto& [uuid, delta] : deltas[table]) database_.tables_[table].add_references(uuid, delta);
  }
}

std::optional<Error> Transaction::commit() {
  if (refusal_) return refusal_;
  try {
    const ReferenceDeltas deltas = finish_transaction(*this);
    auto changed = std::make_shared<Changes>(changes());
    if (changed->empty()) return std::nullopt;
    if (database_.by_ != nullptr) changed->by = *database_.by_;
    swap_in(*changed, deltas);
    if (database_.storage_) database_.storage_->compact_if_large(database_);
    if (!database_.on_unsynced_) database_.sync();
    database_.notify(std::move(changed));
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  } catch (const std::system_error& error) {
    return Error("I/O error", error.what());
  }
}

}  // namespace vswitch::ovsdb
