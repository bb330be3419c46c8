// SPDX-License-Identifier: Apache-2.0
// One row of a table, as all its readers see it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/ovsdb/schema.h"

namespace vswitch::ovsdb {

/// Immutable once committed. Columns are addressed by their index in the schema, or by name; a name that the
/// table does not have throws std::out_of_range (a mistake in the code, not in the data).
class Row {
 public:
  /// A new row with every column at its default.
  Row(const TableSchema& schema, const Uuid& uuid);

  const TableSchema& schema() const { return *schema_; }
  const Uuid& uuid() const { return uuid_; }

  const Datum& operator[](std::size_t column) const { return data_[column]; }
  const Datum& operator[](std::string_view column) const { return data_[schema_->at(column)]; }
  std::span<const Datum> data() const { return data_; }
  void set(std::size_t column, Datum datum) { data_[column] = std::move(datum); }

  // Typed access. Empty optionals, and the wrong type of element, read as nullopt, "" or an empty container.
  const std::string& str(std::string_view column) const;
  std::optional<std::int64_t> integer(std::string_view column) const;
  std::optional<double> real(std::string_view column) const;
  std::optional<bool> boolean(std::string_view column) const;
  std::optional<Uuid> reference(std::string_view column) const;
  std::vector<std::string> strings(std::string_view column) const;
  std::vector<std::int64_t> integers(std::string_view column) const;
  std::vector<Uuid> uuids(std::string_view column) const;
  std::map<std::string, std::string> map(std::string_view column) const;
  /// A map string -> integer, such as statistics.
  std::map<std::string, std::int64_t> counters(std::string_view column) const;
  /// One value of a map string -> string, nullptr if the key is missing.
  const std::string* value(std::string_view column, std::string_view key) const;

 private:
  const TableSchema* schema_;
  Uuid uuid_;
  std::vector<Datum> data_;
};

using RowPtr = std::shared_ptr<const Row>;

}  // namespace vswitch::ovsdb
