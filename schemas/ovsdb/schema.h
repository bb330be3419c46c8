// SPDX-License-Identifier: Apache-2.0
// Database, table and column schemas of OVSDB (RFC 7047 section 3.2).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "schemas/ovsdb/atom.h"
#include "schemas/ovsdb/datum.h"

namespace vswitch::ovsdb {

/// No limit on elements, characters or rows. Open vSwitch counts with 32 bits and refuses more in a schema.
inline constexpr std::size_t kUnlimited = std::numeric_limits<std::uint32_t>::max();
inline constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

/// <base-type>: the type of keys or of values, with its constraints. Constraints of other types stay at "no
/// limit".
struct BaseType {
  AtomicType type = AtomicType::string;
  Datum enumeration;  ///< allowed values, empty: all
  std::int64_t min_integer = std::numeric_limits<std::int64_t>::min();
  std::int64_t max_integer = std::numeric_limits<std::int64_t>::max();
  double min_real = std::numeric_limits<double>::lowest();
  double max_real = std::numeric_limits<double>::max();
  std::size_t min_length = 0;  ///< in characters, not bytes
  std::size_t max_length = kUnlimited;
  std::string ref_table;          ///< for UUIDs: the table they refer to, "" if none
  std::size_t ref_index = kNone;  ///< its index in DatabaseSchema::tables
  bool strong = true;             ///< refType

  bool is_reference() const { return !ref_table.empty(); }
  bool operator==(const BaseType&) const = default;
};

/// <type>: a set of keys, or a map when `value` is given, with min..max elements.
struct ColumnType {
  BaseType key;
  std::optional<BaseType> value;
  std::size_t min = 1;
  std::size_t max = 1;

  bool is_map() const { return value.has_value(); }
  bool is_scalar() const { return min == 1 && max == 1 && !value; }
  bool is_optional() const { return min == 0 && max == 1; }
  /// May hold more than one element: then `update2` and the database file contain differences.
  bool is_composite() const { return max > 1; }
  bool has_reference(bool strong) const;
  /// The value in a new row: empty if that is allowed, else the default atoms.
  Datum default_datum() const;
  /// "set of 1 or more uuids", for messages
  std::string to_text() const;
  bool operator==(const ColumnType&) const = default;
};

/// Indexes by name; a lookup does not create a string.
struct NameHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
};
using NameIndex = std::unordered_map<std::string, std::size_t, NameHash, std::equal_to<>>;

struct ColumnSchema {
  std::string name;
  ColumnType type;
  bool mutable_ = true;
  bool persistent = true;  ///< false: "ephemeral", not in the file
  std::size_t index = 0;   ///< in TableSchema::columns and in every row
  Datum initial;           ///< type.default_datum(), shared by all rows

  bool operator==(const ColumnSchema&) const = default;
};

/// The first two columns are always _uuid and _version, the declared ones follow, sorted by name.
struct TableSchema {
  static constexpr std::size_t kUuid = 0;
  static constexpr std::size_t kVersion = 1;
  static constexpr std::size_t kDeclared = 2;

  std::string name;
  std::vector<ColumnSchema> columns;
  NameIndex column_index;
  bool is_root = false;
  std::size_t max_rows = kUnlimited;
  std::vector<std::vector<std::size_t>> indexes;  ///< unique indexes, by column
  std::size_t index = 0;                          ///< in DatabaseSchema::tables
  std::vector<std::size_t> strong_columns;        ///< columns that hold strong references
  std::vector<std::size_t> weak_columns;

  /// nullptr if there is no such column.
  const ColumnSchema* find(std::string_view column) const;
  /// Index of a column; throws std::out_of_range. For names written in code.
  std::size_t at(std::string_view column) const;
  bool operator==(const TableSchema&) const = default;
};

struct DatabaseSchema {
  std::string name;
  std::string version;
  std::string cksum;
  std::vector<TableSchema> tables;  ///< sorted by name
  NameIndex table_index;

  const TableSchema* find(std::string_view table) const;
  const TableSchema& at(std::string_view table) const;
  bool operator==(const DatabaseSchema&) const = default;

  /// Throws Error ("syntax error" and the like) on anything that is not a valid <database-schema>.
  static DatabaseSchema parse(const nlohmann::json& json);
  static DatabaseSchema parse_text(std::string_view text);
  /// Canonical <database-schema>: members equal to their default are left out, so two schemas can be
  /// compared.
  nlohmann::json to_json() const;
};

/// The schema of the switch, schemas/vswitch.ovsschema, parsed once.
const DatabaseSchema& vswitch_schema();

}  // namespace vswitch::ovsdb
