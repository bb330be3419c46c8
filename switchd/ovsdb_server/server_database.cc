// SPDX-License-Identifier: Apache-2.0
#include "switchd/ovsdb_server/server_database.h"

#include "schemas/json.h"
#include "switchd/db/transaction.h"

namespace vswitch::ovsdb {

namespace {

constexpr std::string_view kSchema = R"({
  "name": "_Server", "version": "1.2.0", "cksum": "3009684573 744",
  "tables": {"Database": {"isRoot": true, "columns": {
    "name": {"type": "string"},
    "model": {"type": {"key": {"type": "string", "enum": ["set", ["standalone", "clustered", "relay"]]}}},
    "schema": {"type": {"key": "string", "min": 0}},
    "connected": {"type": "boolean"},
    "leader": {"type": "boolean"},
    "cid": {"type": {"key": "uuid", "min": 0}},
    "sid": {"type": {"key": "uuid", "min": 0}},
    "index": {"type": {"key": "integer", "min": 0}}}}}})";

}  // namespace

std::unique_ptr<Database> make_server_database(const DatabaseSchema& served) {
  auto database = std::make_unique<Database>(DatabaseSchema::parse_text(kSchema));
  Transaction transaction(*database);
  for (const DatabaseSchema* schema : {&served, &database->schema()}) {
    const Uuid row = transaction.insert("Database");
    transaction.set("Database", row, "name", Datum::of(schema->name));
    transaction.set("Database", row, "model", Datum::of("standalone"));
    transaction.set("Database", row, "schema", Datum::of(schema->to_json().dump()));
    transaction.set("Database", row, "connected", Datum::of(true));
    transaction.set("Database", row, "leader", Datum::of(true));
  }
  if (const auto error = transaction.commit()) throw *error;
  return database;
}

}  // namespace vswitch::ovsdb
