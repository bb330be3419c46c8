// SPDX-License-Identifier: Apache-2.0
#include "schemas/ovsdb/condition.h"

#include <algorithm>
#include <array>

#include "schemas/json.h"
#include "schemas/ovsdb/error.h"

namespace vswitch::ovsdb {

namespace {

Function parse_function(const std::string& name) {
  static constexpr std::array<std::pair<std::string_view, Function>, 8> functions = {
      {{"==", Function::eq},
       {"!=", Function::ne},
       {"<", Function::lt},
       {"<=", Function::le},
       {">", Function::gt},
       {">=", Function::ge},
       {"includes", Function::includes},
       {"excludes", Function::excludes}}};
  const auto found =
      std::find_if(functions.begin(), functions.end(), [&](const auto& f) { return f.first == name; });
  if (found == functions.end()) throw Error("unknown function", "No function named " + name + ".");
  return found->second;
}

bool is_order(Function function) {
  return function == Function::lt || function == Function::le || function == Function::gt ||
         function == Function::ge;
}

/// The type of the argument: the column's, with the number of elements relaxed.
ColumnType argument_type(const ColumnSchema& column, Function function, const std::string& name,
                         const Json& json) {
  ColumnType type = column.type;
  const bool number = type.key.type == AtomicType::integer || type.key.type == AtomicType::real;
  if (is_order(function)) {
    if (!number || type.is_map() || type.is_composite()) {
      throw syntax_error(json, "Type mismatch: \"" + name + "\" operator may not be applied to column " +
                                   column.name + " of type " + type.to_text() + ".");
    }
    type.min = 1;
  } else if (!type.is_scalar()) {
    type.min = 0;
    if (function == Function::excludes) type.max = kUnlimited;
  }
  return type;
}

Clause parse_clause(const Json& json, const TableSchema& table, NamedUuids* names) {
  Clause clause;
  if (json.is_boolean()) {
    clause.function = json.get<bool>() ? Function::yes : Function::no;
    return clause;
  }
  if (!json.is_array() || json.size() != 3 || !json[0].is_string() || !json[1].is_string()) {
    throw syntax_error(json, "Parse error in condition.");
  }
  const ColumnSchema& column = column_of(table, json[0].get_ref<const std::string&>(), json);
  const std::string& function = json[1].get_ref<const std::string&>();
  clause.column = column.index;
  clause.function = parse_function(function);
  clause.argument = datum_from_json(json[2], argument_type(column, clause.function, function, json), names);
  return clause;
}

bool holds_order(Function function, const Datum& value, const Datum& argument) {
  if (value.size() != 1 || argument.size() != 1) return false;
  const Atom& a = value.keys()[0];
  const Atom& b = argument.keys()[0];
  switch (function) {
    case Function::lt:
      return a < b;
    case Function::le:
      return a <= b;
    case Function::ge:
      return a >= b;
    default:
      return a > b;
  }
}

}  // namespace

const ColumnSchema& column_of(const TableSchema& table, std::string_view name, const Json& where) {
  const ColumnSchema* column = table.find(name);
  if (column) return *column;
  Error error = syntax_error(where, "No column " + std::string(name) + " in table " + table.name + ".");
  error.error = "unknown column";
  throw error;
}

bool Clause::holds(std::span<const Datum> row) const {
  switch (function) {
    case Function::yes:
      return true;
    case Function::no:
      return false;
    case Function::eq:
      return row[column] == argument;
    case Function::ne:
      return row[column] != argument;
    case Function::includes:
      return included(argument, row[column]);
    case Function::excludes:
      return excluded(argument, row[column]);
    default:
      return holds_order(function, row[column], argument);
  }
}

Condition Condition::parse(const Json& json, const TableSchema& table, NamedUuids* names) {
  if (!json.is_array()) throw syntax_error(json, "array expected");
  Condition condition;
  for (const Json& clause : json) condition.clauses.push_back(parse_clause(clause, table, names));
  return condition;
}

bool Condition::all_hold(std::span<const Datum> row) const {
  return std::all_of(clauses.begin(), clauses.end(),
                     [row](const Clause& clause) { return clause.holds(row); });
}

bool Condition::any_holds(std::span<const Datum> row) const {
  return clauses.empty() || std::any_of(clauses.begin(), clauses.end(),
                                        [row](const Clause& clause) { return clause.holds(row); });
}

std::optional<Uuid> Condition::only_row() const {
  for (const Clause& clause : clauses) {
    const bool pins = clause.function == Function::eq || clause.function == Function::includes;
    if (clause.column == TableSchema::kUuid && pins) return *clause.argument.first<Uuid>();
  }
  return std::nullopt;
}

std::size_t Condition::cost() const {
  std::size_t cost = 1;
  for (const Clause& clause : clauses) cost += std::max<std::size_t>(1, clause.argument.size());
  return cost;
}

bool Condition::reads(std::size_t column) const {
  return std::any_of(clauses.begin(), clauses.end(), [column](const Clause& clause) {
    return clause.column == column && clause.function != Function::yes && clause.function != Function::no;
  });
}

}  // namespace vswitch::ovsdb
