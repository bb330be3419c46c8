// SPDX-License-Identifier: Apache-2.0
// Any JSON as the operations of an OVSDB transact: it is answered, and the database keeps what its schema
// promises.
#include <cstdlib>
#include <string_view>

#include "schemas/embedded.h"
#include "schemas/json.h"
#include "schemas/ovsdb/notation.h"
#include "switchd/bridge/desired.h"
#include "switchd/db/database.h"

namespace {

using namespace vswitch;

ovsdb::Database& fresh_database() {
  static std::unique_ptr<ovsdb::Database> database;
  static int uses = 0;
  if (uses++ % 1000 == 0)
    database =
        std::make_unique<ovsdb::Database>(ovsdb::DatabaseSchema::parse_text(embedded::vswitch_ovsschema));
  return *database;
}

void check(bool holds) {
  if (!holds) std::abort();
}

void check_references(const ovsdb::Database& database, std::span<const ovsdb::Atom> atoms,
                      const ovsdb::BaseType& type) {
  if (!type.is_reference()) return;
  for (const ovsdb::Atom& atom : atoms)
    check(database.table(type.ref_index).find(std::get<ovsdb::Uuid>(atom)) != nullptr);
}

void check_table(const ovsdb::Database& database, const ovsdb::Table& table) {
  const ovsdb::TableSchema& schema = table.schema();
  check(table.size() <= schema.max_rows);
  for (const auto& [uuid, slot] : table.slots()) {
    check(schema.is_root || slot.references > 0);
    for (std::size_t i = 0; i < schema.indexes.size(); ++i)
      check(table.with_equal_index(i, *slot.row) == std::vector{uuid});
    for (const ovsdb::ColumnSchema& column : schema.columns) {
      const ovsdb::Datum& datum = (*slot.row)[column.index];
      check_type(datum, column.type);  // throws
      check_references(database, datum.keys(), column.type.key);
      if (column.type.value) check_references(database, datum.values(), *column.type.value);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Json operations =
      Json::parse(std::string_view(reinterpret_cast<const char*>(data), size), nullptr, false);
  if (!operations.is_array()) return 0;
  ovsdb::Database& database = fresh_database();
  const ovsdb::TransactResult result = database.transact(operations);
  check(result.waiting() || result.reply->is_array());
  bridge::read_desired(database, 0);
  for (const ovsdb::TableSchema& table : database.schema().tables)
    check_table(database, database.table(table.index));
  return 0;
}
