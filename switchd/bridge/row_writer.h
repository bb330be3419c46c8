// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "switchd/db/database.h"
#include "switchd/db/transaction.h"

namespace vswitch::bridge {

/// Writes columns of one row, only if they differ.
class RowWriter {
 public:
  RowWriter(ovsdb::Transaction& transaction, std::string_view table, const ovsdb::Uuid& uuid)
      : transaction_(transaction), table_(table), uuid_(uuid), row_(transaction.find(table, uuid)) {}

  const ovsdb::Row* row() const { return row_; }
  void set(std::string_view column, ovsdb::Datum datum) {
    if (row_ == nullptr || (*row_)[column] == datum) return;
    transaction_.set(table_, uuid_, column, std::move(datum));
    row_ = transaction_.find(table_, uuid_);
  }
  void set(std::string_view column, std::int64_t value) { set(column, ovsdb::Datum::of(value)); }
  void set(std::string_view column, const std::string& text) {
    set(column, text.empty() ? ovsdb::Datum() : ovsdb::Datum::of(text));
  }
  void set(std::string_view column, const std::map<std::string, std::int64_t>& counters) {
    set(column, ovsdb::Datum::map_of(counters));
  }
  void set(std::string_view column, const std::map<std::string, std::string>& map) {
    set(column, ovsdb::Datum::map_of(map));
  }
  void clear(std::string_view column) { set(column, ovsdb::Datum()); }

 private:
  ovsdb::Transaction& transaction_;
  std::string_view table_;
  ovsdb::Uuid uuid_;
  const ovsdb::Row* row_;
};

}  // namespace vswitch::bridge
