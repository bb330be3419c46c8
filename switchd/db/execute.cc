// SPDX-License-Identifier: Apache-2.0
// The operations of an OVSDB `transact` (RFC 7047 section 5.2), executed in order on a Transaction.
#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "schemas/json.h"
#include "schemas/ovsdb/condition.h"
#include "schemas/ovsdb/mutation.h"
#include "schemas/ovsdb/notation.h"
#include "switchd/base/heap.h"
#include "switchd/base/memory_reserve.h"
#include "switchd/db/transaction.h"

namespace vswitch::ovsdb {

namespace {

/// Thrown by a `wait` that does not hold yet: the whole transaction is tried again later.
struct NotYet {
  std::optional<std::int64_t> retry_after_ms;
};

/// A member of an operation and what it may be.
struct Member {
  const char* name;
  bool (*fits)(const Json&);
  bool required = true;
};

bool is_text(const Json& json) {
  return json.is_string();
}
bool is_name(const Json& json) {
  return json.is_string() && is_id(json.get_ref<const std::string&>());
}
bool is_array(const Json& json) {
  return json.is_array();
}
bool is_object(const Json& json) {
  return json.is_object();
}
bool is_boolean(const Json& json) {
  return json.is_boolean();
}
/// Of 64 bits with a sign.
bool is_integer(const Json& json) {
  return json.is_number_integer() && (!json.is_number_unsigned() || json.get<std::int64_t>() >= 0);
}

Error exhausted(const std::string& details) {
  return Error("resources exhausted", details);
}

/// What the operations have taken of the limits of their transaction.
class Budget {
 public:
  explicit Budget(const TransactLimits& limits) : limits_(limits) {}

  std::size_t bytes() const { return bytes_; }

  void take(std::size_t bytes) {
    memory::check();
    bytes_ += bytes;
    if (bytes_ <= limits_.bytes) return;
    throw exhausted("the results and values of this transaction exceed " + limits::mebibytes(limits_.bytes) +
                    " of memory; select fewer rows or columns, or split it");
  }
  /// Rows that are looked at, and the clauses or elements of each of them.
  void visit(std::size_t rows, std::size_t cost) {
    visits_ += std::uint64_t{rows} * cost;
    memory::check();
    if (visits_ <= limits_.steps) return;
    throw exhausted("the operations of this transaction take more than " + std::to_string(limits_.steps) +
                    " steps (rows times clauses); name rows by _uuid or by an index, or split it");
  }

 private:
  const TransactLimits limits_;
  std::size_t bytes_ = 0;
  std::uint64_t visits_ = 0;
};

/// Columns that `mutate` edits again and again in one transaction, such as the ports of a bridge. The first
/// edit makes a new value; from the second on they are collected in a draft, which becomes the value of the row
/// before anything reads it. So N insertions cost N steps, and not the size of the column each.
class Drafts {
 public:
  explicit Drafts(Budget& budget) : budget_(budget) {}

  /// Applies a mutation that edits.
  void edit(Row& row, const Mutation& mutation) {
    const std::size_t column = mutation.column->index;
    const auto [at, first] = edits_[{row.schema().index, column}].try_emplace(&row);
    std::optional<DatumDraft>& draft = at->second;
    if (!draft) budget_.visit(1, row[column].size());
    if (first) return row.set(column, mutation.apply(row[column]));
    if (!draft) draft.emplace(row[column]);
    mutation.apply(*draft);
  }
  /// To be called before a column is read or written in another way than by edit().
  void finish(std::size_t table, std::size_t column) {
    finish_if(table, [column](std::size_t edited) { return edited == column; });
  }
  void finish(std::size_t table, const Condition& condition) {
    finish_if(table, [&condition](std::size_t edited) { return condition.reads(edited); });
  }
  void finish(std::size_t table) {
    finish_if(table, [](std::size_t) { return true; });
  }
  void finish_all() {
    for (const auto& [place, rows] : edits_) set_all(place.second, rows);
    edits_.clear();
  }

 private:
  using Place = std::pair<std::size_t, std::size_t>;       ///< table and column
  using Rows = std::map<Row*, std::optional<DatumDraft>>;  ///< without a draft: edited once

  /// Forgets the rows, because they may be gone later.
  template <class Which>
  void finish_if(std::size_t table, const Which& which) {
    auto at = edits_.lower_bound({table, 0});
    while (at != edits_.end() && at->first.first == table) {
      const std::size_t column = at->first.second;
      if (which(column)) set_all(column, at->second);
      at = which(column) ? edits_.erase(at) : std::next(at);
    }
  }

  static void set_all(std::size_t column, const Rows& rows) {
    for (const auto& [row, draft] : rows) {
      if (draft) row->set(column, draft->finish());
    }
  }

  Budget& budget_;
  std::map<Place, Rows> edits_;
};

class Execution {
 public:
  Execution(Database& database, const TransactContext& context)
      : context_(context), budget_(context.limits), transaction_(database) {}

  /// The results of all operations; stops at the first error. True if all succeeded. Throws Error if there are
  /// too many.
  bool run(const Json& operations, Json& results) {
    count_ = operations.size() - context_.first;
    check_count();
    for (number_ = 1; number_ <= count_; ++number_) {
      try {
        Json result = execute(operations[context_.first + number_ - 1]);
        budget_.take(memory_of(result));
        results.push_back(std::move(result));
      } catch (const Error& error) {
        results.push_back(error.to_json());
        while (results.size() < count_) results.push_back(nullptr);
        return false;
      }
    }
    drafts_.finish_all();
    return true;
  }

  std::optional<Error> commit() { return transaction_.commit(); }
  std::size_t bytes() const { return budget_.bytes(); }

 private:
  using Handler = Json (Execution::*)(const Json&);
  struct Operation {
    Handler handler;
    bool writes;
    std::vector<Member> members;
  };

  static const std::map<std::string, Operation, std::less<>>& operations() {
    static const Member table = {"table", is_name};
    static const Member where = {"where", is_array};
    static const std::map<std::string, Operation, std::less<>> all = {
        {"insert",
         {&Execution::insert,
          true,
          {table, {"row", is_object}, {"uuid", is_text, false}, {"uuid-name", is_name, false}}}},
        {"select", {&Execution::select, false, {table, where, {"columns", is_array, false}}}},
        {"update", {&Execution::update, true, {table, where, {"row", is_object}}}},
        {"mutate", {&Execution::mutate, true, {table, where, {"mutations", is_array}}}},
        {"delete", {&Execution::remove, true, {table, where}}},
        {"wait",
         {&Execution::wait,
          false,
          {table,
           where,
           {"timeout", is_integer, false},
           {"columns", is_array, false},
           {"until", is_text},
           {"rows", is_array}}}},
        {"commit", {&Execution::commit_operation, false, {{"durable", is_boolean}}}},
        {"abort", {&Execution::abort, false, {}}},
        {"comment", {&Execution::comment, false, {{"comment", is_text}}}},
        {"assert", {&Execution::assert_lock, false, {{"lock", is_name}}}},
    };
    return all;
  }

  void check_count() const {
    if (count_ <= context_.limits.operations) return;
    throw exhausted("the transaction has " + std::to_string(count_) + " operations, and " +
                    std::to_string(context_.limits.operations) + " are allowed; split it");
  }

  Error misparsed(const Json& json, const std::string& why) const { return syntax_error(json, failed(why)); }
  std::string failed(const std::string& why) const {
    return "Parsing ovsdb operation " + std::to_string(number_) + " of " + std::to_string(count_) +
           " failed: " + why;
  }

  Json execute(const Json& json) {
    if (!json.is_object()) throw Error("syntax error", failed("Object expected."));
    const auto op = json.find("op");
    if (op == json.end()) throw misparsed(json, "Required 'op' member is missing.");
    if (!op->is_string()) throw misparsed(json, "Type mismatch for member 'op'.");
    const auto found = operations().find(op->get_ref<const std::string&>());
    if (found == operations().end()) throw misparsed(json, "No operation \"" + op->get<std::string>() + "\"");
    check_members(json, found->second.members);
    if (found->second.writes && context_.read_only) {
      // In the words of ovsdb-server.
      const std::string& name = transaction_.database().schema().name;
      throw Error(
          "not allowed",
          found->first + (name.starts_with('_')
                              ? " operation not allowed on table in reserved database " + name
                              : " operation not allowed when database server is in read only mode: this "
                                "connection may only read; use the control socket db.sock, or a remote "
                                "without other_config:read_only=true"));
    }
    return (this->*found->second.handler)(json);
  }

  void check_members(const Json& json, const std::vector<Member>& members) const {
    std::size_t known = 1;  // "op"
    for (const Member& member : members) {
      const auto found = json.find(member.name);
      if (found == json.end() && member.required) {
        throw misparsed(json, "Required '" + std::string(member.name) + "' member is missing.");
      }
      if (found == json.end()) continue;
      ++known;
      if (!member.fits(*found))
        throw misparsed(json, "Type mismatch for member '" + std::string(member.name) + "'.");
    }
    if (known == json.size()) return;
    for (const auto& [name, value] : json.items()) {
      const auto same = [&wanted = name](const Member& member) { return wanted == member.name; };
      if (name != "op" && std::none_of(members.begin(), members.end(), same)) {
        throw misparsed(json, "Member '" + name + "' is present but not allowed here.");
      }
    }
  }

  const TableSchema& table_of(const Json& json) const {
    const std::string& name = json["table"].get_ref<const std::string&>();
    const TableSchema* table = transaction_.database().schema().find(name);
    if (!table) throw misparsed(json, "No table named " + name + ".");
    return *table;
  }

  std::vector<Uuid> matches(const Json& json, const TableSchema& table) {
    const Condition condition = Condition::parse(json["where"], table, &names_);
    drafts_.finish(table.index, condition);
    const std::size_t cost = condition.cost();
    std::vector<Uuid> found;
    if (const auto uuid = condition.only_row()) {
      const Row* row = transaction_.find(table.index, *uuid);
      budget_.visit(1, cost);
      if (row && condition.all_hold(row->data())) found.push_back(*uuid);
      return found;
    }
    const auto collect = [&](const Row& row) {
      if (condition.all_hold(row.data())) found.push_back(row.uuid());
    };
    for (std::size_t index = 0; index < table.indexes.size(); ++index) {
      const auto probe = probe_of(condition, table, index);
      if (!probe) continue;
      // The committed index does not know the rows that this transaction has touched.
      const auto& touched = transaction_.overlay()[table.index];
      const Table& committed = transaction_.database().table(table.index);
      budget_.visit(1 + touched.size(), cost);
      for (const Uuid& uuid : committed.with_equal_index(index, *probe)) {
        if (!touched.contains(uuid)) collect(*committed.find(uuid));
      }
      for (const auto& [uuid, change] : touched) {
        if (change.after) collect(*change.after);
      }
      return found;
    }
    budget_.visit(transaction_.rows_after(table.index), cost);
    transaction_.for_each(table.index, collect);
    return found;
  }

  /// A row with the values that the condition requires in an index's columns; nullopt if it leaves one open.
  static std::optional<Row> probe_of(const Condition& condition, const TableSchema& table,
                                     std::size_t index) {
    Row probe(table, Uuid());
    for (const std::size_t column : table.indexes[index]) {
      const auto clause = std::find_if(
          condition.clauses.begin(), condition.clauses.end(),
          [column](const Clause& one) { return one.function == Function::eq && one.column == column; });
      if (clause == condition.clauses.end()) return std::nullopt;
      probe.set(column, clause->argument);
    }
    return probe;
  }

  /// Column values of a <row>; _uuid and _version are left out: the client cannot choose them here.
  std::vector<std::pair<const ColumnSchema*, Datum>> parse_row(const Json& json, const TableSchema& table) {
    std::vector<std::pair<const ColumnSchema*, Datum>> values;
    for (const auto& [name, value] : json.items()) {
      const ColumnSchema& column = column_of(table, name, json);
      values.emplace_back(&column, datum_from_json(value, column.type, &names_));
    }
    return values;
  }

  std::vector<std::size_t> parse_columns(const Json& json, const TableSchema& table) {
    std::vector<std::size_t> columns;
    const auto given = json.find("columns");
    if (given == json.end()) {
      for (const ColumnSchema& column : table.columns) columns.push_back(column.index);
      return columns;
    }
    for (const Json& name : *given) {
      const ColumnSchema* column =
          name.is_string() ? table.find(name.get_ref<const std::string&>()) : nullptr;
      if (!name.is_string()) throw syntax_error(*given, "array of distinct column names expected");
      if (!column) throw syntax_error(*given, name.get<std::string>() + " is not a valid column name");
      if (std::find(columns.begin(), columns.end(), column->index) != columns.end()) {
        throw syntax_error(*given, "array of distinct column names expected");
      }
      columns.push_back(column->index);
    }
    return columns;
  }

  static std::vector<Datum> project(std::span<const Datum> row, const std::vector<std::size_t>& columns) {
    std::vector<Datum> values;
    values.reserve(columns.size());
    for (const std::size_t column : columns) values.push_back(row[column]);
    return values;
  }

  Json insert(const Json& json) {
    const TableSchema& table = table_of(json);
    std::optional<Uuid> uuid;
    if (const auto given = json.find("uuid"); given != json.end()) {
      uuid = Uuid::parse(given->get_ref<const std::string&>());
      if (!uuid) throw syntax_error(*given, "\"uuid\" is not a valid UUID");
    }
    const auto name = json.find("uuid-name");
    const Uuid chosen = name != json.end() ? names_.define(name->get_ref<const std::string&>(), uuid)
                                           : uuid.value_or(Uuid::random());
    const auto values = parse_row(json["row"], table);
    Row& row = transaction_.insert_row(table.index, chosen);
    for (const auto& [column, datum] : values) {
      if (column->index >= TableSchema::kDeclared) row.set(column->index, datum);
    }
    // Including columns not given: a default may violate the constraints of its column.
    for (const ColumnSchema& column : table.columns) check_constraints(row[column.index], column.type);
    return {{"uuid", Json::array({"uuid", chosen.to_string()})}};
  }

  /// If columns are chosen, equal rows are returned once, as in Open vSwitch.
  Json select(const Json& json) {
    const TableSchema& table = table_of(json);
    const std::vector<Uuid> found = matches(json, table);
    const std::vector<std::size_t> columns = parse_columns(json, table);
    drafts_.finish(table.index);
    std::set<std::vector<Datum>> seen;
    Json rows = Json::array();
    Budget rows_only = budget_;  // the result counts as a whole when it is complete
    for (const Uuid& uuid : found) {
      std::vector<Datum> values = project(transaction_.find(table.index, uuid)->data(), columns);
      Json row = Json::object();
      for (std::size_t i = 0; i < columns.size(); ++i) {
        const ColumnSchema& column = table.columns[columns[i]];
        row[column.name] = to_json(values[i], column.type);
      }
      if (!seen.insert(std::move(values)).second) continue;
      rows_only.take(memory_of(row));
      rows.push_back(std::move(row));
    }
    return {{"rows", std::move(rows)}};
  }

  Json update(const Json& json) {
    const TableSchema& table = table_of(json);
    const auto values = parse_row(json["row"], table);
    for (const auto& [column, datum] : values) {
      if (column->mutable_) continue;
      Error error = syntax_error(
          json, "Cannot update immutable column " + column->name + " in table " + table.name + ".");
      error.error = "constraint violation";
      throw error;
    }
    const std::vector<Uuid> found = matches(json, table);
    for (const auto& [column, datum] : values) drafts_.finish(table.index, column->index);
    budget_.visit(found.size(), values.size());
    for (const Uuid& uuid : found) {
      Row& row = transaction_.modify_row(table.index, uuid);
      for (const auto& [column, datum] : values) row.set(column->index, datum);
    }
    return {{"count", found.size()}};
  }

  Json mutate(const Json& json) {
    const TableSchema& table = table_of(json);
    std::vector<Mutation> mutations;
    for (const Json& mutation : json["mutations"])
      mutations.push_back(Mutation::parse(mutation, table, &names_));
    const std::vector<Uuid> found = matches(json, table);
    for (const Mutation& mutation : mutations) prepare(table, mutation, found.size());
    for (const Uuid& uuid : found) {
      Row& row = transaction_.modify_row(table.index, uuid);
      for (const Mutation& mutation : mutations) mutate(row, mutation);
    }
    return {{"count", found.size()}};
  }

  /// Each row gets a copy of its own of the elements.
  void prepare(const TableSchema& table, const Mutation& mutation, std::size_t rows) {
    budget_.visit(rows, 1 + mutation.argument.size());
    budget_.take(rows * mutation.argument.memory());
    if (!mutation.edits()) drafts_.finish(table.index, mutation.column->index);
  }

  void mutate(Row& row, const Mutation& mutation) {
    if (mutation.edits()) return drafts_.edit(row, mutation);
    budget_.visit(1, row[mutation.column->index].size());
    row.set(mutation.column->index, mutation.apply(row[mutation.column->index]));
  }

  Json remove(const Json& json) {
    const TableSchema& table = table_of(json);
    const std::vector<Uuid> found = matches(json, table);
    drafts_.finish(table.index);
    for (const Uuid& uuid : found) transaction_.erase_row(table.index, uuid);
    return {{"count", found.size()}};
  }

  Json wait(const Json& json) {
    const TableSchema& table = table_of(json);
    const std::vector<std::size_t> columns = parse_columns(json, table);
    const Json& until = json["until"];
    if (until != "==" && until != "!=") throw syntax_error(until, "\"until\" must be \"==\" or \"!=\"");
    std::set<std::vector<Datum>> expected;
    for (const Json& given : json["rows"]) {
      if (!given.is_object()) throw syntax_error(given, "a row must be an object");
      Row row(table, Uuid());
      for (const auto& [column, datum] : parse_row(given, table)) row.set(column->index, datum);
      expected.insert(project(row.data(), columns));
    }
    std::set<std::vector<Datum>> present;
    drafts_.finish(table.index);
    for (const Uuid& uuid : matches(json, table)) {
      present.insert(project(transaction_.find(table.index, uuid)->data(), columns));
    }
    if ((present == expected) == (until == "==")) return Json::object();
    not_yet(json);
  }

  [[noreturn]] void not_yet(const Json& json) const {
    const auto timeout = json.find("timeout");
    if (timeout == json.end()) throw NotYet{};
    const auto limit = timeout->get<std::int64_t>();
    if (context_.elapsed_ms < limit) throw NotYet{limit - context_.elapsed_ms};
    throw Error("timed out", context_.elapsed_ms == 0
                                 ? "\"where\" clause test failed"
                                 : "\"wait\" timed out after " + std::to_string(context_.elapsed_ms) + " ms");
  }

  /// Every commit is durable here, requested or not.
  Json commit_operation(const Json&) { return Json::object(); }
  Json abort(const Json&) { throw Error("aborted", "aborted by request"); }

  Json comment(const Json& json) {
    transaction_.comment(json["comment"].get_ref<const std::string&>());
    return Json::object();
  }

  Json assert_lock(const Json& json) {
    const std::string& name = json["lock"].get_ref<const std::string&>();
    if (context_.owns_lock && context_.owns_lock(name)) return Json::object();
    throw Error("not owner", "Asserted lock " + name + " not held.");
  }

  const TransactContext& context_;
  Budget budget_;
  Transaction transaction_;
  Drafts drafts_{budget_};
  NamedUuids names_;
  std::size_t number_ = 0;  ///< of the operation, starting at 1
  std::size_t count_ = 0;
};

}  // namespace

TransactResult Database::transact(const Json& operations, const TransactContext& context) {
  Json results = Json::array();
  try {
    Execution execution(*this, context);
    const bool succeeded = execution.run(operations, results);
    heap::released(execution.bytes());
    if (succeeded) {
      if (const auto error = execution.commit()) results.push_back(error->to_json());
    }
  } catch (const NotYet& waiting) {
    return {nullptr, waiting.retry_after_ms};
  }
  return {std::make_shared<Json>(std::move(results)), std::nullopt};
}

}  // namespace vswitch::ovsdb
