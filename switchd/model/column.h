// SPDX-License-Identifier: Apache-2.0
// A table of columns describes the columns of a row type completely: how each one is read into the struct of
// that type and written from it, which member of the session API it is, and what a change of it means to the
// switch. Readers, writers, JSON and bridge::concern_of() follow the tables (tables.h lists them).
//
// The default of a column is the initializer of its struct member. It is written as the value of a new row,
// so that rows look like those of other clients.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/json.h"
#include "switchd/db/row.h"
#include "switchd/db/transaction.h"

namespace vswitch::model {

/// What a change of a column means to the switch.
enum class Effect : std::uint8_t {
  none,           ///< nothing: other components read it, or only the switch writes it
  next_cfg,       ///< a client is waiting for cur_cfg
  interface_ids,  ///< may identify a source of a session, if a source pattern refers to it
  settings,       ///< the switch must be reconfigured
};

/// The properties of a column that do not depend on the row type.
struct ColumnInfo {
  std::string_view name;
  /// The member of the object in the session API: "sample", or "rate.bits" for a member of the object `rate`.
  /// Empty if the session API does not have it, or not as a member of its own.
  std::string_view member;
  Effect effect = Effect::none;

  std::string_view group() const { return member.substr(0, member.find('.')); }
  std::string_view in_group() const {
    const std::size_t dot = member.find('.');
    return dot == std::string_view::npos ? std::string_view() : member.substr(dot + 1);
  }
};

/// A column of the row type whose struct is T. If a function is null, that step is written by hand where the
/// type is read, written or shown, because it needs more than this one column.
template <class T>
struct Column : ColumnInfo {
  void (*read)(const ovsdb::Row& row, std::string_view name, T& object) = nullptr;
  ovsdb::Datum (*write)(const T& object) = nullptr;
  bool (*is_default)(const T& object) = nullptr;
  Json (*to_json)(const T& object) = nullptr;
  void (*from_json)(const Json& value, T& object) = nullptr;  ///< JSON null means the default
};
template <class T>
using Columns = std::span<const Column<T>>;

/// How a member of type V is represented in a column and in JSON.
template <class V>
struct Codec;

template <>
struct Codec<bool> {
  static void read(const ovsdb::Row& row, std::string_view name, bool& value) {
    value = row.boolean(name).value_or(value);
  }
  static ovsdb::Datum write(bool value) { return ovsdb::Datum::of(value); }
};

template <>
struct Codec<std::int64_t> {
  static void read(const ovsdb::Row& row, std::string_view name, std::int64_t& value) {
    value = row.integer(name).value_or(value);
  }
  static ovsdb::Datum write(std::int64_t value) { return ovsdb::Datum::of(value); }
};

template <>
struct Codec<std::string> {
  static void read(const ovsdb::Row& row, std::string_view name, std::string& value) {
    value = row.str(name);
  }
  static ovsdb::Datum write(const std::string& value) { return ovsdb::Datum::of(value); }
};

template <class V>
struct Codec<std::optional<V>> {
  static void read(const ovsdb::Row& row, std::string_view name, std::optional<V>& value) {
    if constexpr (std::is_same_v<V, bool>) {
      value = row.boolean(name);
    } else if constexpr (std::is_same_v<V, std::int64_t>) {
      value = row.integer(name);
    } else if (const std::string& text = row.str(name); !text.empty()) {
      value = text;
    }
  }
  static ovsdb::Datum write(const std::optional<V>& value) { return Codec<V>::write(*value); }
  static Json to_json(const std::optional<V>& value) { return value ? Json(*value) : Json(); }
  static std::optional<V> from_json(const Json& value) { return value.get<V>(); }
};

template <>
struct Codec<std::set<std::string>> {
  static void read(const ovsdb::Row& row, std::string_view name, std::set<std::string>& value) {
    for (std::string& text : row.strings(name)) value.insert(value.end(), std::move(text));
  }
  static ovsdb::Datum write(const std::set<std::string>& value) { return ovsdb::Datum::set_of(value); }
};

template <>
struct Codec<std::set<std::int64_t>> {
  static void read(const ovsdb::Row& row, std::string_view name, std::set<std::int64_t>& value) {
    for (const std::int64_t number : row.integers(name)) value.insert(value.end(), number);
  }
  static ovsdb::Datum write(const std::set<std::int64_t>& value) { return ovsdb::Datum::set_of(value); }
  static std::set<std::int64_t> from_json(const Json& value) {
    if (value.is_number()) return {value.get<std::int64_t>()};
    return value.get<std::set<std::int64_t>>();
  }
};

template <>
struct Codec<std::vector<ovsdb::Uuid>> {
  static void read(const ovsdb::Row& row, std::string_view name, std::vector<ovsdb::Uuid>& value) {
    value = row.uuids(name);
  }
};

/// The rows to which a map refers; the keys are left out.
struct ValuesOfMap {
  static void read(const ovsdb::Row& row, std::string_view name, std::vector<ovsdb::Uuid>& value) {
    const ovsdb::Datum& map = row[name];
    for (std::size_t i = 0; i < map.size(); ++i) value.emplace_back();
  }
};

template <>
struct Codec<std::map<std::string, std::string>> {
  static void read(const ovsdb::Row& row, std::string_view name, std::map<std::string, std::string>& value) {
    value = row.map(name);
  }
  static ovsdb::Datum write(const std::map<std::string, std::string>& value) {
    return ovsdb::Datum::map_of(value);
  }
};

/// A set that is null in JSON if it is empty, and may be given as one string.
struct ListOrNull : Codec<std::set<std::string>> {
  static Json to_json(const std::set<std::string>& value) { return value.empty() ? Json() : Json(value); }
  static std::set<std::string> from_json(const Json& value) {
    if (value.is_string()) return {value.get<std::string>()};
    return value.get<std::set<std::string>>();
  }
};

namespace detail {

template <class T, class V>
T struct_of(V T::*);
template <class T, class V>
V value_of(V T::*);

template <auto Member>
using Struct = decltype(struct_of(Member));
template <auto Member>
using Value = decltype(value_of(Member));

template <auto Member>
const Value<Member>& default_of() {
  static const Struct<Member> kDefaults{};
  return kDefaults.*Member;
}

}  // namespace detail

/// A column that the switch or the session API reads but never writes.
template <auto Member, class How = Codec<detail::Value<Member>>>
constexpr auto read_only(std::string_view name, Effect effect) {
  using T = detail::Struct<Member>;
  Column<T> column{{name, "", effect}};
  column.read = [](const ovsdb::Row& row, std::string_view at, T& object) {
    How::read(row, at, object.*Member);
  };
  return column;
}

/// A column that is read and written; its JSON is written by hand.
template <auto Member, class How = Codec<detail::Value<Member>>>
constexpr auto stored(std::string_view name, std::string_view member, Effect effect) {
  using T = detail::Struct<Member>;
  Column<T> column = read_only<Member, How>(name, effect);
  column.member = member;
  column.write = [](const T& object) { return How::write(object.*Member); };
  column.is_default = [](const T& object) { return object.*Member == detail::default_of<Member>(); };
  return column;
}

/// A column that is a member of the session API as it is.
template <auto Member, class How = Codec<detail::Value<Member>>>
constexpr auto plain(std::string_view name, std::string_view member, Effect effect) {
  using T = detail::Struct<Member>;
  using V = detail::Value<Member>;
  Column<T> column = stored<Member, How>(name, member, effect);
  column.to_json = [](const T& object) -> Json {
    if constexpr (requires { How::to_json(object.*Member); }) {
      return How::to_json(object.*Member);
    } else {
      return object.*Member;
    }
  };
  column.from_json = [](const Json& value, T& object) {
    if (value.is_null()) {
      object.*Member = detail::default_of<Member>();
    } else if constexpr (requires { How::from_json(value); }) {
      object.*Member = How::from_json(value);
    } else {
      object.*Member = value.get<V>();
    }
  };
  return column;
}

template <class T>
void read_columns(Columns<T> columns, const ovsdb::Row& row, T& object) {
  for (const Column<T>& column : columns) {
    if (column.read != nullptr) column.read(row, column.name, object);
  }
}

/// Writes the columns that correspond to the members of `params`.
template <class T>
void write_columns(Columns<T> columns, const T& object, const Json& params, ovsdb::Transaction& transaction,
                   std::string_view table, const ovsdb::Uuid& row) {
  const ovsdb::TableSchema& schema = transaction.database().table(table).schema();
  for (const Column<T>& column : columns) {
    if (column.write == nullptr || !params.contains(column.group())) continue;
    const bool is_default = column.is_default != nullptr && column.is_default(object);
    transaction.set(table, row, column.name,
                    is_default ? schema.columns[schema.at(column.name)].initial : column.write(object));
  }
}

/// Members of `params` replace those of the object. A nested object, such as `rate`, is replaced as a whole:
/// members that it does not mention get their defaults.
template <class T>
void take_members(Columns<T> columns, const Json& params, T& object) {
  for (const Column<T>& column : columns) {
    const auto found = params.find(column.group());
    if (column.from_json == nullptr || found == params.end()) continue;
    const std::string_view inner = column.in_group();
    const bool given = inner.empty() || (found->is_object() && found->contains(inner));
    column.from_json(!given ? Json() : inner.empty() ? *found : found->at(inner), object);
  }
}

/// The reverse: every member that is a column.
template <class T>
Json members_of(Columns<T> columns, const T& object) {
  Json json = Json::object();
  for (const Column<T>& column : columns) {
    if (column.to_json == nullptr) continue;
    const std::string inner(column.in_group());
    Json& at = inner.empty() ? json[std::string(column.group())] : json[std::string(column.group())][inner];
    at = column.to_json(object);
  }
  return json;
}

}  // namespace vswitch::model
