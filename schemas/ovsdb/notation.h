// SPDX-License-Identifier: Apache-2.0
// Values in the JSON notation of RFC 7047 section 5.1, and the constraints of their types.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <map>
#include <optional>
#include <string>

#include "schemas/ovsdb/datum.h"
#include "schemas/ovsdb/schema.h"

namespace vswitch::ovsdb {

/// The named UUIDs of one transaction. A name may be used before the insert that defines it: the first use
/// picks the UUID, and the insert takes it.
class NamedUuids {
 public:
  const Uuid& mention(const std::string& name);
  /// Defines a name for an insert, which may bring its own UUID. Throws Error "duplicate uuid-name".
  const Uuid& define(const std::string& name, const std::optional<Uuid>& uuid);

 private:
  struct Entry {
    Uuid uuid;
    bool defined = false;
  };
  std::map<std::string, Entry> entries_;
};

/// <id> of RFC 7047: a letter or underscore, then letters, digits, underscores.
bool is_id(std::string_view text);

/// All parsers throw Error: "syntax error" for a wrong shape or type or number of elements, "constraint
/// violation" for a value out of range, "ovsdb error" for a duplicate element. `names` may be null: then
/// ["named-uuid", ...] is a syntax error.
Atom atom_from_json(const nlohmann::json& json, const BaseType& type, NamedUuids* names = nullptr);
Datum datum_from_json(const nlohmann::json& json, const ColumnType& type, NamedUuids* names = nullptr);
/// The same without the limits on the number of elements (differences in the database file, `delete`
/// mutations).
Datum datum_from_json_any_size(const nlohmann::json& json, const ColumnType& type,
                               NamedUuids* names = nullptr);

nlohmann::json to_json(const Atom& atom);
/// A set of one element is written bare, an empty set as ["set", []], a map always as ["map", ...].
nlohmann::json to_json(const Datum& datum, const ColumnType& type);
/// Appends the text of to_json(), without building a tree first.
void append_text(std::string& text, const Datum& datum, const ColumnType& type);
/// Appends a string as JSON.
void append_text(std::string& text, const std::string& string);

/// Throws Error if a value violates its enum, range or length, or if the number of elements is not allowed.
void check_constraints(const Atom& atom, const BaseType& type);
void check_constraints(const Datum& datum, const ColumnType& type);
/// Only the number of elements.
void check_number(std::size_t elements, const ColumnType& type);
/// check_constraints(), and checks that the atoms have the column's type at all (for values made in code).
void check_type(const Datum& datum, const ColumnType& type);

}  // namespace vswitch::ovsdb
