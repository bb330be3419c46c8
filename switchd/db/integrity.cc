// SPDX-License-Identifier: Apache-2.0
#include "switchd/db/integrity.h"

#include <algorithm>
#include <functional>
#include <unordered_set>

namespace vswitch::ovsdb {

namespace {

/// A row by place of its table.
struct Place {
  std::size_t table;
  Uuid uuid;
};

void add(std::unordered_map<Uuid, std::ptrdiff_t>& deltas, std::span<const Atom> atoms, std::ptrdiff_t sign) {
  for (const Atom& atom : atoms) deltas[std::get<Uuid>(atom)] += sign;
}

/// Keys are sorted, so if a bridge of a thousand ports gains one, only the difference is counted.
void count_keys(std::span<const Atom> before, std::span<const Atom> after,
                std::unordered_map<Uuid, std::ptrdiff_t>& deltas) {
  std::vector<Atom> gone;
  std::vector<Atom> come;
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(gone));
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(), std::back_inserter(come));
  add(deltas, gone, -1);
  add(deltas, come, 1);
}

bool is_strong(const BaseType& type) {
  return type.is_reference() && type.strong;
}
bool is_weak(const BaseType& type) {
  return type.is_reference() && !type.strong;
}

}  // namespace

bool has_circle(const DatabaseSchema& schema) {
  const std::size_t size = schema.tables.size();
  std::vector<std::vector<bool>> reaches(size, std::vector<bool>(size));
  for (const TableSchema& table : schema.tables) {
    for (const ColumnSchema& column : table.columns) {
      if (is_strong(column.type.key)) reaches[table.index][column.type.key.ref_index] = true;
      if (column.type.value && is_strong(*column.type.value))
        reaches[table.index][column.type.value->ref_index] = true;
    }
  }
  for (std::size_t via = 0; via < size; ++via) {
    if (schema.tables[via].is_root) continue;
    for (std::size_t from = 0; from < size; ++from) {
      for (std::size_t to = 0; to < size && reaches[from][via]; ++to) {
        if (reaches[via][to]) reaches[from][to] = true;
      }
    }
  }
  for (const TableSchema& table : schema.tables) {
    if (!table.is_root && reaches[table.index][table.index]) return true;
  }
  return false;
}

namespace {

class Settling {
 public:
  explicit Settling(Transaction& transaction)
      : transaction_(transaction),
        schema_(transaction.database().schema()),
        deltas_(schema_.tables.size()),
        dropped_(schema_.tables.size()) {}

  ReferenceDeltas run() {
    count_all();
    check_references();  // before garbage goes: garbage must not refer to rows that never existed either
    do {
      collect_unreferenced();
      if (transaction_.database().has_circle()) collect_unreachable();
    } while (drop_weak_references());
    check_sizes();
    check_indexes();
    check_max_rows();
    return std::move(deltas_);
  }

 private:
  std::vector<Transaction::TableOverlay>& overlay() { return transaction_.overlay(); }
  const Table& committed(std::size_t table) const { return transaction_.database().table(table); }
  bool exists(std::size_t table, const Uuid& uuid) const { return transaction_.find(table, uuid) != nullptr; }
  std::ptrdiff_t references(std::size_t table, const Uuid& uuid) const {
    const auto found = deltas_[table].find(uuid);
    const auto before = static_cast<std::ptrdiff_t>(committed(table).references(uuid));
    return before + (found == deltas_[table].end() ? 0 : found->second);
  }

  void count_all() {
    for (const auto& rows : overlay()) {
      for (const auto& [uuid, change] : rows)
        count_references(change.before.get(), change.after.get(), deltas_);
    }
  }

  /// Deletes a row as garbage; what it referred to may be garbage next.
  void drop(const Place& place, std::vector<Place>& next) {
    const Row* row = transaction_.find(place.table, place.uuid);
    ReferenceDeltas released(schema_.tables.size());
    count_references(row, nullptr, released);
    transaction_.erase_row(place.table, place.uuid);
    for (std::size_t table = 0; table < released.size(); ++table) {
      for (const auto& [uuid, delta] : released[table]) {
        deltas_[table][uuid] += delta;
        next.push_back({table, uuid});
      }
    }
  }

  void collect_unreferenced() {
    std::vector<Place> candidates;
    for (const TableSchema& table : schema_.tables) {
      for (const auto& [uuid, delta] : deltas_[table.index]) {
        if (delta < 0) candidates.push_back({table.index, uuid});
      }
      for (const auto& [uuid, change] : overlay()[table.index]) {
        if (!change.before && change.after) candidates.push_back({table.index, uuid});
      }
    }
    while (!candidates.empty()) {
      const Place place = candidates.back();
      candidates.pop_back();
      const bool garbage = !schema_.tables[place.table].is_root && references(place.table, place.uuid) == 0;
      if (garbage && exists(place.table, place.uuid)) drop(place, candidates);
    }
  }

  /// Mark from the root tables, sweep the rest.
  void collect_unreachable() {
    std::vector<std::unordered_set<Uuid>> marked(schema_.tables.size());
    std::vector<Place> open;
    const auto mark = [&](std::size_t table, const Uuid& uuid) {
      if (exists(table, uuid) && marked[table].insert(uuid).second) open.push_back({table, uuid});
    };
    for (const TableSchema& table : schema_.tables) {
      if (table.is_root)
        transaction_.for_each(table.index, [&](const Row& row) { mark(table.index, row.uuid()); });
    }
    while (!open.empty()) {
      const Place place = open.back();
      open.pop_back();
      ReferenceDeltas targets(schema_.tables.size());
      count_references(nullptr, transaction_.find(place.table, place.uuid), targets);
      for (std::size_t table = 0; table < targets.size(); ++table) {
        for (const auto& [uuid, count] : targets[table]) mark(table, uuid);
      }
    }
    sweep(marked);
  }

  void sweep(const std::vector<std::unordered_set<Uuid>>& marked) {
    std::vector<Place> garbage;
    for (const TableSchema& table : schema_.tables) {
      transaction_.for_each(table.index, [&](const Row& row) {
        if (!marked[table.index].contains(row.uuid())) garbage.push_back({table.index, row.uuid()});
      });
    }
    std::vector<Place> ignored;
    for (const Place& place : garbage) drop(place, ignored);
  }

  /// Elements of a weak column whose row is gone.
  Datum dangling(const Datum& datum, const ColumnType& type) const {
    std::vector<Atom> keys;
    const auto gone = [this](const BaseType& base, const Atom& atom) {
      return is_weak(base) && !exists(base.ref_index, std::get<Uuid>(atom));
    };
    for (std::size_t i = 0; i < datum.size(); ++i) {
      if (gone(type.key, datum.keys()[i]) || (type.value && gone(*type.value, datum.values()[i]))) {
        keys.push_back(datum.keys()[i]);
      }
    }
    return Datum::set(std::move(keys));
  }

  /// True if a strong reference was removed with it (a map from one kind to the other).
  bool drop_weak_references(const ColumnSchema& column, const Row& row) {
    const Datum gone = dangling(row[column.index], column.type);
    if (gone.empty()) return false;
    const Row before = row;
    Row& changed = transaction_.modify_row(row.schema().index, row.uuid());
    changed.set(column.index, without(changed[column.index], gone));
    count_references(&before, &changed, deltas_);
    dropped_[row.schema().index].insert(row.uuid());
    return column.type.has_reference(true);
  }

  bool loses_rows(std::size_t table) {
    return std::any_of(overlay()[table].begin(), overlay()[table].end(),
                       [](const auto& entry) { return !entry.second.after; });
  }

  /// Rows of this transaction may dangle in any case; other rows only when their target table lost rows.
  bool drop_weak_references() {
    bool released = false;
    for (const TableSchema& table : schema_.tables) {
      for (const std::size_t at : table.weak_columns) {
        const ColumnSchema& column = table.columns[at];
        const auto visit = [&](const Row& row) { released |= drop_weak_references(column, row); };
        const bool search_all =
            (is_weak(column.type.key) && loses_rows(column.type.key.ref_index)) ||
            (column.type.value && is_weak(*column.type.value) && loses_rows(column.type.value->ref_index));
        if (search_all) {
          transaction_.for_each(table.index, visit);
        } else {
          for_each_touched(table.index, visit);
        }
      }
    }
    return released;
  }

  template <class Visit>
  void for_each_touched(std::size_t table, const Visit& visit) {
    for (auto& [uuid, change] : overlay()[table]) {
      if (change.after) visit(*change.after);
    }
  }

  /// Parsing has already checked sizes; only rows that lost weak references can have become too small.
  void check_sizes() {
    for (const TableSchema& table : schema_.tables) {
      for (const Uuid& uuid : dropped_[table.index]) check_sizes(*transaction_.find(table.index, uuid));
    }
  }

  void check_sizes(const Row& row) {
    for (const std::size_t at : row.schema().weak_columns) {
      const ColumnSchema& column = row.schema().columns[at];
      if (row[at].size() >= column.type.min) continue;
      throw Error("constraint violation", "Deletion of weak references leaves column " + column.name +
                                              " of " + row.schema().name + " row " + row.uuid().to_string() +
                                              " with " + std::to_string(row[column.index].size()) +
                                              " elements, but it is a " + column.type.to_text() + ".");
    }
  }

  void check_references() {
    for (const TableSchema& table : schema_.tables) {
      for (const auto& [uuid, change] : overlay()[table.index]) {
        const std::ptrdiff_t count = references(table.index, uuid);
        if (change.after || count <= 0) continue;
        throw Error("referential integrity violation", "cannot delete " + table.name + " row " +
                                                           uuid.to_string() + " because of " +
                                                           std::to_string(count) + " remaining reference(s)");
      }
    }
    for (const auto& rows : overlay()) {
      for (const auto& [uuid, change] : rows) {
        if (change.after) check_targets(*change.after);
      }
    }
  }

  void check_targets(const Row& row) {
    const Row* before = committed(row.schema().index).find(row.uuid());
    for (const std::size_t at : row.schema().strong_columns) {
      const ColumnSchema& column = row.schema().columns[at];
      if (before && (*before)[at].same(row[at])) continue;
      check_targets(row, column, column.type.key, row[at].keys());
      if (column.type.value) check_targets(row, column, *column.type.value, row[at].values());
    }
  }

  void check_targets(const Row& row, const ColumnSchema& column, const BaseType& type,
                     std::span<const Atom> atoms) {
    if (!is_strong(type)) return;
    for (const Atom& atom : atoms) {
      const Uuid& target = std::get<Uuid>(atom);
      if (exists(type.ref_index, target)) continue;
      throw Error("referential integrity violation", "Table " + row.schema().name + " column " + column.name +
                                                         " row " + row.uuid().to_string() +
                                                         " references nonexistent row " + target.to_string() +
                                                         " in table " + type.ref_table + ".");
    }
  }

  void check_indexes() {
    for (const TableSchema& table : schema_.tables) {
      for (std::size_t index = 0; index < table.indexes.size(); ++index) check_index(table, index);
    }
  }

  /// Only the state after the transaction counts, so two rows may swap their names.
  void check_index(const TableSchema& table, std::size_t index) {
    std::unordered_multimap<std::size_t, const Row*> seen;
    for (const auto& [uuid, change] : overlay()[table.index]) {
      if (!change.after) continue;
      const Row& row = *change.after;
      for (const Uuid& other : committed(table.index).with_equal_index(index, row)) {
        const bool touched = overlay()[table.index].contains(other);
        if (other != uuid && !touched)
          refuse_index(table, index, *transaction_.find(table.index, other), row);
      }
      const std::size_t hash = committed(table.index).index_hash(index, row);
      const auto [first, last] = seen.equal_range(hash);
      for (auto at = first; at != last; ++at) {
        if (equal(table.indexes[index], *at->second, row)) refuse_index(table, index, *at->second, row);
      }
      seen.emplace(hash, &row);
    }
  }

  static bool equal(const std::vector<std::size_t>& columns, const Row& a, const Row& b) {
    return std::all_of(columns.begin(), columns.end(),
                       [&](std::size_t column) { return a[column] == b[column]; });
  }

  std::string origin(const Row& row) {
    const auto& rows = overlay()[row.schema().index];
    const auto found = rows.find(row.uuid());
    std::string text = ", with UUID " + row.uuid().to_string();
    if (found == rows.end())
      return text +
             ", existed in the database before this transaction and was not modified by the transaction.";
    if (!found->second.before) return text + ", was inserted by this transaction.";
    return text +
           ", existed in the database before this transaction, which modified some of the row's columns.";
  }

  void refuse_index(const TableSchema& table, std::size_t index, const Row& first, const Row& second) {
    std::string values;
    std::string columns;
    for (const std::size_t column : table.indexes[index]) {
      const std::string* text = first[column].first<std::string>();
      if (!columns.empty()) values += ", ", columns += ", ";
      if (first[column].size() == 1) values += text ? *text : to_text(first[column].keys()[0]);
      columns += "\"" + table.columns[column].name + "\"";
    }
    throw Error("constraint violation", "Transaction causes multiple rows in \"" + table.name +
                                            "\" table to have identical values (" + values +
                                            ") for index on column" +
                                            (table.indexes[index].size() > 1 ? "s " : " ") + columns +
                                            ".  First row" + origin(first) + "  Second row" + origin(second));
  }

  void check_max_rows() {
    for (const TableSchema& table : schema_.tables) {
      if (table.max_rows == kUnlimited || overlay()[table.index].empty()) continue;
      const std::size_t rows = transaction_.rows_after(table.index);
      if (rows <= table.max_rows) continue;
      throw Error("constraint violation", "transaction causes \"" + table.name + "\" table to contain " +
                                              std::to_string(rows) +
                                              " rows, greater than the schema-defined limit of " +
                                              std::to_string(table.max_rows) + " row(s)");
    }
  }

  Transaction& transaction_;
  const DatabaseSchema& schema_;
  ReferenceDeltas deltas_;
  std::vector<std::unordered_set<Uuid>> dropped_;  ///< rows that lost weak references, by table
};

}  // namespace

void count_references(const Row* before, const Row* after, ReferenceDeltas& deltas) {
  static const Datum none;
  if (!before && !after) return;
  const TableSchema& schema = (before ? before : after)->schema();
  for (const std::size_t at : schema.strong_columns) {
    const ColumnSchema& column = schema.columns[at];
    const Datum& old_datum = before ? (*before)[at] : none;
    const Datum& new_datum = after ? (*after)[at] : none;
    if (old_datum.same(new_datum)) continue;
    if (is_strong(column.type.key))
      count_keys(old_datum.keys(), new_datum.keys(), deltas[column.type.key.ref_index]);
    if (column.type.value && is_strong(*column.type.value)) {
      add(deltas[column.type.value->ref_index], old_datum.values(), -1);
      add(deltas[column.type.value->ref_index], new_datum.values(), 1);
    }
  }
}

ReferenceDeltas finish_transaction(Transaction& transaction) {
  return Settling(transaction).run();
}

}  // namespace vswitch::ovsdb
