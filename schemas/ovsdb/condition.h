// SPDX-License-Identifier: Apache-2.0
// <condition> of RFC 7047 section 5.1: the clauses of `where`.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "schemas/ovsdb/notation.h"

namespace vswitch::ovsdb {

enum class Function : std::uint8_t { lt, le, eq, ne, ge, gt, includes, excludes, yes, no };

struct Clause {
  std::size_t column = 0;
  Function function = Function::yes;  ///< `yes` and `no` are the clauses true and false, which have no column
  Datum argument;

  /// `row`: the values of a row, by column.
  bool holds(std::span<const Datum> row) const;
};

/// Clauses are ANDed in `transact`, ORed in `monitor_cond`; without any clause, both are true.
struct Condition {
  std::vector<Clause> clauses;

  /// Throws Error "syntax error", "unknown column", "unknown function" and those of the notation.
  static Condition parse(const nlohmann::json& json, const TableSchema& table, NamedUuids* names = nullptr);
  bool all_hold(std::span<const Datum> row) const;
  bool any_holds(std::span<const Datum> row) const;
  /// The UUID of the only row that can satisfy all clauses, if one of them names it.
  std::optional<Uuid> only_row() const;
  /// What it takes at most to test one row: 1 for each clause and each element of an argument, and 1.
  std::size_t cost() const;
  bool reads(std::size_t column) const;
};

/// The column an operation names; throws Error "unknown column".
const ColumnSchema& column_of(const TableSchema& table, std::string_view name, const nlohmann::json& where);

}  // namespace vswitch::ovsdb
