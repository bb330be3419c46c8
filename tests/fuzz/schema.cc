// SPDX-License-Identifier: Apache-2.0
// Any text as a database schema: one that is taken is written so that it reads back as the same.
#include "schemas/ovsdb/schema.h"

#include <cstdlib>
#include <string_view>

#include "schemas/json.h"
#include "schemas/ovsdb/error.h"

namespace {

using namespace vswitch;

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto schema = ovsdb::DatabaseSchema::parse_text({reinterpret_cast<const char*>(data), size});
    const Json written = schema.to_json();
    const auto again = ovsdb::DatabaseSchema::parse_text(written.dump());
    check(again == schema && again.to_json() == written);
    for (const ovsdb::TableSchema& table : schema.tables) {
      check(schema.find(table.name) == &table);
      for (const ovsdb::ColumnSchema& column : table.columns) {
        check(table.find(column.name) == &column && column.initial == column.type.default_datum());
        for (const ovsdb::BaseType& type : {column.type.key, column.type.value.value_or(ovsdb::BaseType{})})
          check(!type.is_reference() || schema.tables.at(type.ref_index).name == type.ref_table);
      }
    }
  } catch (const ovsdb::Error&) {
  }
  return 0;
}
