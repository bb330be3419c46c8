// SPDX-License-Identifier: Apache-2.0
// <mutation> of RFC 7047 section 5.1: what `mutate` does to a column.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "schemas/ovsdb/notation.h"

namespace vswitch::ovsdb {

enum class Mutator : std::uint8_t { add, subtract, multiply, divide, modulo, insert, remove };

struct Mutation {
  const ColumnSchema* column = nullptr;
  Mutator mutator = Mutator::add;
  Datum argument;

  /// Throws Error "syntax error", "unknown column", "unknown mutator", "constraint violation" (immutable
  /// column).
  static Mutation parse(const nlohmann::json& json, const TableSchema& table, NamedUuids* names = nullptr);
  /// The new value. Throws Error "domain error" (division by zero), "range error" (overflow) and "constraint
  /// violation" when the result is not allowed in the column.
  Datum apply(const Datum& value) const;
  /// Whether it changes elements one by one, so that it can be applied to a draft.
  bool edits() const { return mutator == Mutator::insert || mutator == Mutator::remove; }
  /// The same as apply(), for a mutation that edits.
  void apply(DatumDraft& draft) const;
};

}  // namespace vswitch::ovsdb
