// SPDX-License-Identifier: Apache-2.0
#include "schemas/ovsdb/schema.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <stdexcept>

#include "schemas/embedded.h"
#include "schemas/json.h"
#include "schemas/ovsdb/error.h"
#include "schemas/ovsdb/notation.h"

namespace vswitch::ovsdb {

namespace {

/// Reads the members of a JSON object and refuses unknown ones.
class Members {
 public:
  Members(const Json& json, std::string what) : json_(json), what_(std::move(what)) {
    if (!json.is_object()) throw syntax_error(json, what_ + " must be an object");
  }
  const Json* optional(const char* name) {
    const auto found = json_.find(name);
    if (found == json_.end()) return nullptr;
    used_.insert(name);
    return &*found;
  }
  const Json& required(const char* name) {
    const Json* member = optional(name);
    if (!member) throw syntax_error(json_, what_ + " lacks member \"" + name + "\"");
    return *member;
  }
  const std::string& text(const char* name) {
    const Json& member = required(name);
    if (!member.is_string()) refuse(name, "a string");
    return member.get_ref<const std::string&>();
  }
  bool boolean(const char* name, bool otherwise) {
    const Json* member = optional(name);
    if (!member) return otherwise;
    if (!member->is_boolean()) refuse(name, "a boolean");
    return member->get<bool>();
  }
  void finish() const {
    if (used_.size() != json_.size()) throw syntax_error(json_, what_ + " has a member that is not known");
  }
  [[noreturn]] void refuse(const char* name, const char* expected) const {
    throw syntax_error(json_, what_ + ": \"" + name + "\" must be " + expected);
  }
  const Json& json() const { return json_; }

 private:
  const Json& json_;
  std::string what_;
  std::set<std::string_view> used_;
};

AtomicType parse_atomic_type(const Json& json) {
  static const std::map<std::string, AtomicType, std::less<>> types = {{"integer", AtomicType::integer},
                                                                       {"real", AtomicType::real},
                                                                       {"boolean", AtomicType::boolean},
                                                                       {"string", AtomicType::string},
                                                                       {"uuid", AtomicType::uuid}};
  const auto found = json.is_string() ? types.find(json.get_ref<const std::string&>()) : types.end();
  if (found == types.end()) throw syntax_error(json, "not an atomic type");
  return found->second;
}

/// Reads the number like a value of an integer or real column: 1.0 is an integer, 2^63 is not.
template <class T>
T parse_number(const Json& json) {
  return std::get<T>(atom_from_json(json, {.type = type_of(T()), .enumeration = {}, .ref_table = {}}));
}

template <>
std::size_t parse_number(const Json& json) {
  const auto number = parse_number<std::int64_t>(json);
  if (number < 0 || number > std::int64_t{kUnlimited})
    throw syntax_error(json, "must be an integer of 0 to " + std::to_string(kUnlimited));
  return static_cast<std::size_t>(number);
}

template <class T>
void parse_limits(Members& members, const char* low_name, const char* high_name, T& low, T& high) {
  const auto read = [&](const char* name, T& into) {
    if (const Json* json = members.optional(name)) into = parse_number<T>(*json);
  };
  read(low_name, low);
  read(high_name, high);
  if (low > high) throw syntax_error(members.json(), std::string(low_name) + " exceeds " + high_name);
}

void parse_reference(Members& members, BaseType& type) {
  if (members.optional("refTable")) {
    type.ref_table = members.text("refTable");
    if (!is_id(type.ref_table)) members.refuse("refTable", "an identifier");
  }
  const Json* kind = members.optional("refType");
  if (!kind) return;
  if (*kind != "strong" && *kind != "weak") members.refuse("refType", "\"strong\" or \"weak\"");
  if (type.ref_table.empty()) throw syntax_error(members.json(), "refType without refTable");
  type.strong = *kind == "strong";
}

void parse_enum(const Json& json, BaseType& type) {
  ColumnType set;
  set.key.type = type.type;
  set.max = kUnlimited;
  type.enumeration = datum_from_json(json, set);
}

BaseType parse_base_type(const Json& json) {
  BaseType type;
  if (json.is_string()) {
    type.type = parse_atomic_type(json);
    return type;
  }
  Members members(json, "type");
  type.type = parse_atomic_type(members.required("type"));
  if (const Json* allowed = members.optional("enum")) {
    parse_enum(*allowed, type);
  } else if (type.type == AtomicType::integer) {
    parse_limits(members, "minInteger", "maxInteger", type.min_integer, type.max_integer);
  } else if (type.type == AtomicType::real) {
    parse_limits(members, "minReal", "maxReal", type.min_real, type.max_real);
  } else if (type.type == AtomicType::string) {
    parse_limits(members, "minLength", "maxLength", type.min_length, type.max_length);
  } else if (type.type == AtomicType::uuid) {
    parse_reference(members, type);
  }
  members.finish();
  return type;
}

std::size_t parse_max(const Json& json) {
  if (json == "unlimited") return kUnlimited;
  const auto max = parse_number<std::size_t>(json);
  if (max == kUnlimited) throw syntax_error(json, "too many elements, unless \"unlimited\" says so");
  return max;
}

ColumnType parse_column_type(const Json& json) {
  ColumnType type;
  if (json.is_string()) {
    type.key.type = parse_atomic_type(json);
    return type;
  }
  Members members(json, "column type");
  type.key = parse_base_type(members.required("key"));
  if (const Json* value = members.optional("value")) type.value = parse_base_type(*value);
  if (const Json* min = members.optional("min")) type.min = parse_number<std::size_t>(*min);
  if (const Json* max = members.optional("max")) type.max = parse_max(*max);
  members.finish();
  if (type.min > 1 || type.max < 1 || type.min > type.max)
    throw syntax_error(json, "impossible number of elements");
  return type;
}

ColumnSchema parse_column(const std::string& name, const Json& json) {
  if (!is_id(name) || name[0] == '_') throw syntax_error(json, "\"" + name + "\" is not a name for a column");
  Members members(json, "schema of column " + name);
  ColumnSchema column;
  column.name = name;
  column.type = parse_column_type(members.required("type"));
  column.mutable_ = members.boolean("mutable", true);
  column.persistent = !members.boolean("ephemeral", false);
  members.finish();
  return column;
}

ColumnSchema builtin_column(std::string name, bool persistent) {
  ColumnSchema column;
  column.name = std::move(name);
  column.type.key.type = AtomicType::uuid;
  column.mutable_ = false;
  column.persistent = persistent;
  return column;
}

void place_columns(TableSchema& table) {
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    ColumnSchema& column = table.columns[i];
    column.index = i;
    column.initial = column.type.default_datum();
    table.column_index.emplace(column.name, i);
  }
}

void parse_indexes(const Json& json, TableSchema& table) {
  if (!json.is_array()) throw syntax_error(json, "indexes must be an array of arrays of column names");
  for (const Json& names : json) {
    std::vector<std::size_t> index;
    if (!names.is_array() || names.empty())
      throw syntax_error(names, "an index must be an array of column names");
    for (const Json& name : names) {
      const ColumnSchema* column =
          name.is_string() ? table.find(name.get_ref<const std::string&>()) : nullptr;
      if (!column) throw syntax_error(name, "not a column of table " + table.name);
      if (!column->persistent) throw syntax_error(name, "an ephemeral column cannot be indexed");
      index.push_back(column->index);
    }
    table.indexes.push_back(std::move(index));
  }
}

TableSchema parse_table(const std::string& name, const Json& json) {
  if (!is_id(name) || name[0] == '_') throw syntax_error(json, "\"" + name + "\" is not a name for a table");
  Members members(json, "schema of table " + name);
  TableSchema table;
  table.name = name;
  table.columns.push_back(builtin_column("_uuid", true));
  table.columns.push_back(builtin_column("_version", false));
  const Json& columns = members.required("columns");
  if (!columns.is_object() || columns.empty()) throw syntax_error(json, "table " + name + " has no columns");
  for (const auto& [column, definition] : columns.items())
    table.columns.push_back(parse_column(column, definition));
  place_columns(table);
  if (const Json* max_rows = members.optional("maxRows")) {
    const auto rows = parse_number<std::int64_t>(*max_rows);
    if (rows < 1) members.refuse("maxRows", "at least 1");
    table.max_rows = static_cast<std::size_t>(std::min(rows, std::int64_t{kUnlimited}));
  }
  table.is_root = members.boolean("isRoot", false);
  if (const Json* indexes = members.optional("indexes")) parse_indexes(*indexes, table);
  members.finish();
  return table;
}

void resolve_reference(BaseType& type, const DatabaseSchema& schema, const std::string& where) {
  if (!type.is_reference()) return;
  const TableSchema* target = schema.find(type.ref_table);
  if (!target)
    throw Error("syntax error", where + " refers to table " + type.ref_table + ", which does not exist");
  type.ref_index = target->index;
}

void resolve_references(DatabaseSchema& schema) {
  for (TableSchema& table : schema.tables) {
    for (ColumnSchema& column : table.columns) {
      const std::string where = "column " + column.name + " of table " + table.name;
      resolve_reference(column.type.key, schema, where);
      if (column.type.value) resolve_reference(*column.type.value, schema, where);
      if (column.type.has_reference(true)) table.strong_columns.push_back(column.index);
      if (column.type.has_reference(false)) table.weak_columns.push_back(column.index);
    }
  }
}

/// What Open vSwitch's own scanf() accepts: three numbers, with blanks and signs before them.
bool is_version(const std::string& text) {
  int end = -1;
  std::sscanf(text.c_str(), "%*u.%*u.%*u%n", &end);
  return end >= 0 && static_cast<std::size_t>(end) == text.size();
}

Json base_type_to_json(const BaseType& type) {
  const BaseType none{.type = type.type, .enumeration = {}, .ref_table = {}};
  Json json = {{"type", name_of(type.type)}};
  const auto add = [&json](const char* name, const auto& value, const auto& otherwise) {
    if (value != otherwise) json[name] = value;
  };
  if (!type.enumeration.empty()) {
    ColumnType set;
    set.key.type = type.type;
    set.max = kUnlimited;
    json["enum"] = to_json(type.enumeration, set);
  }
  add("minInteger", type.min_integer, none.min_integer);
  add("maxInteger", type.max_integer, none.max_integer);
  add("minReal", type.min_real, none.min_real);
  add("maxReal", type.max_real, none.max_real);
  add("minLength", type.min_length, none.min_length);
  add("maxLength", type.max_length, none.max_length);
  add("refTable", type.ref_table, none.ref_table);
  if (!type.strong) json["refType"] = "weak";
  return json.size() == 1 ? json["type"] : json;
}

Json column_type_to_json(const ColumnType& type) {
  Json key = base_type_to_json(type.key);
  if (type.is_scalar() && key.is_string()) return key;
  Json json = {{"key", key}};
  if (type.value) json["value"] = base_type_to_json(*type.value);
  if (type.min != 1) json["min"] = type.min;
  if (type.max == kUnlimited) {
    json["max"] = "unlimited";
  } else if (type.max != 1) {
    json["max"] = type.max;
  }
  return json;
}

Json table_to_json(const TableSchema& table, bool write_root) {
  Json columns = Json::object();
  for (std::size_t i = TableSchema::kDeclared; i < table.columns.size(); ++i) {
    const ColumnSchema& column = table.columns[i];
    Json& json = columns[column.name];
    json["type"] = column_type_to_json(column.type);
    if (!column.mutable_) json["mutable"] = false;
    if (!column.persistent) json["ephemeral"] = true;
  }
  Json json = {{"columns", std::move(columns)}};
  if (table.is_root && write_root) json["isRoot"] = true;
  if (table.max_rows != kUnlimited) json["maxRows"] = table.max_rows;
  for (const auto& index : table.indexes) {
    Json names = Json::array();
    for (const std::size_t column : index) names.push_back(table.columns[column].name);
    json["indexes"].push_back(std::move(names));
  }
  return json;
}

}  // namespace

bool ColumnType::has_reference(bool strong) const {
  const auto refers = [strong](const BaseType& type) { return type.is_reference() && type.strong == strong; };
  return refers(key) || (value && refers(*value));
}

Datum ColumnType::default_datum() const {
  if (min == 0) return {};
  if (value) return Datum::map({{default_atom(key.type), default_atom(value->type)}});
  return Datum::scalar(default_atom(key.type));
}

std::string ColumnType::to_text() const {
  std::string element(name_of(key.type));
  if (value) element = "(" + element + ", " + std::string(name_of(value->type)) + ") pair";
  if (is_scalar()) return element;
  std::string count;
  if (max != kUnlimited) {
    count = (min == 0 ? "up to " : std::to_string(min) + " to ") + std::to_string(max) + " ";
  } else if (min != 0) {
    count = std::to_string(min) + " or more ";
  }
  return (value ? "map of " : "set of ") + count + element + "s";
}

const ColumnSchema* TableSchema::find(std::string_view column) const {
  const auto found = column_index.find(column);
  return found == column_index.end() ? nullptr : &columns[found->second];
}

std::size_t TableSchema::at(std::string_view column) const {
  const ColumnSchema* found = find(column);
  if (!found) throw std::out_of_range("table " + name + " has no column " + std::string(column));
  return found->index;
}

const TableSchema* DatabaseSchema::find(std::string_view table) const {
  const auto found = table_index.find(table);
  return found == table_index.end() ? nullptr : &tables[found->second];
}

const TableSchema& DatabaseSchema::at(std::string_view table) const {
  const TableSchema* found = find(table);
  if (!found) throw std::out_of_range("database " + name + " has no table " + std::string(table));
  return *found;
}

DatabaseSchema DatabaseSchema::parse(const Json& json) {
  Members members(json, "database schema");
  DatabaseSchema schema;
  schema.name = members.text("name");
  if (!is_id(schema.name)) members.refuse("name", "an identifier");
  if (members.optional("version")) {
    schema.version = members.text("version");
    if (!is_version(schema.version)) members.refuse("version", "of the form 1.2.3");
  }
  if (members.optional("cksum")) schema.cksum = members.text("cksum");
  const Json& tables = members.required("tables");
  if (!tables.is_object()) members.refuse("tables", "an object");
  members.finish();
  for (const auto& [name, definition] : tables.items()) {
    TableSchema table = parse_table(name, definition);
    table.index = schema.tables.size();
    schema.table_index.emplace(name, table.index);
    schema.tables.push_back(std::move(table));
  }
  // A schema in which no table is root dates from before isRoot existed: then no row is garbage.
  if (std::none_of(schema.tables.begin(), schema.tables.end(),
                   [](const TableSchema& t) { return t.is_root; })) {
    for (TableSchema& table : schema.tables) table.is_root = true;
  }
  resolve_references(schema);
  return schema;
}

DatabaseSchema DatabaseSchema::parse_text(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) throw Error("syntax error", "the schema is not JSON");
  return parse(json);
}

Json DatabaseSchema::to_json() const {
  Json json = {{"name", name}, {"tables", Json::object()}};
  if (!version.empty()) json["version"] = version;
  if (!cksum.empty()) json["cksum"] = cksum;
  const bool all_root =  // written like a schema without isRoot, see parse()
      std::all_of(tables.begin(), tables.end(), [](const TableSchema& table) { return table.is_root; });
  for (const TableSchema& table : tables) json["tables"][table.name] = table_to_json(table, !all_root);
  return json;
}

const DatabaseSchema& vswitch_schema() {
  static const DatabaseSchema schema = DatabaseSchema::parse_text(embedded::vswitch_ovsschema);
  return schema;
}

}  // namespace vswitch::ovsdb
