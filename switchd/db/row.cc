// SPDX-License-Identifier: Apache-2.0
#include "switchd/db/row.h"

namespace vswitch::ovsdb {

namespace {

template <class T>
std::optional<T> first_of(const Datum& datum) {
  const T* value = datum.first<T>();
  return value ? std::optional<T>(*value) : std::nullopt;
}

template <class T>
std::vector<T> all_of(const Datum& datum) {
  std::vector<T> result;
  result.reserve(datum.size());
  for (const Atom& atom : datum.keys()) {
    if (const T* value = std::get_if<T>(&atom)) result.push_back(*value);
  }
  return result;
}

template <class T>
std::map<std::string, T> pairs_of(const Datum& datum) {
  std::map<std::string, T> result;
  const auto values = datum.values();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string* key = std::get_if<std::string>(&datum.keys()[i]);
    const T* value = std::get_if<T>(&values[i]);
    if (key && value) result.emplace_hint(result.end(), *key, *value);
  }
  return result;
}

}  // namespace

Row::Row(const TableSchema& schema, const Uuid& uuid) : schema_(&schema), uuid_(uuid) {
  data_.reserve(schema.columns.size());
  for (const ColumnSchema& column : schema.columns) data_.push_back(column.initial);
  data_[TableSchema::kUuid] = Datum::of(uuid);
}

const std::string& Row::str(std::string_view column) const {
  static const std::string empty;
  const std::string* text = (*this)[column].first<std::string>();
  return text ? *text : empty;
}

std::optional<std::int64_t> Row::integer(std::string_view column) const {
  return first_of<std::int64_t>((*this)[column]);
}
std::optional<double> Row::real(std::string_view column) const {
  return first_of<double>((*this)[column]);
}
std::optional<bool> Row::boolean(std::string_view column) const {
  return first_of<bool>((*this)[column]);
}
std::optional<Uuid> Row::reference(std::string_view column) const {
  return first_of<Uuid>((*this)[column]);
}

std::vector<std::string> Row::strings(std::string_view column) const {
  return all_of<std::string>((*this)[column]);
}
std::vector<std::int64_t> Row::integers(std::string_view column) const {
  return all_of<std::int64_t>((*this)[column]);
}
std::vector<Uuid> Row::uuids(std::string_view column) const {
  return all_of<Uuid>((*this)[column]);
}

std::map<std::string, std::string> Row::map(std::string_view column) const {
  return pairs_of<std::string>((*this)[column]);
}
std::map<std::string, std::int64_t> Row::counters(std::string_view column) const {
  return pairs_of<std::int64_t>((*this)[column]);
}

const std::string* Row::value(std::string_view column, std::string_view key) const {
  const Atom* atom = (*this)[column].value_of(std::string(key));
  return atom ? std::get_if<std::string>(atom) : nullptr;
}

}  // namespace vswitch::ovsdb
