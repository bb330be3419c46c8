// SPDX-License-Identifier: Apache-2.0
// Any JSON as the operations of an OVSDB transact: it is answered, and the database stays one whose
// references hold.
#include <cstdlib>
#include <string_view>

#include "schemas/embedded.h"
#include "schemas/json.h"
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Json operations =
      Json::parse(std::string_view(reinterpret_cast<const char*>(data), size), nullptr, false);
  if (!operations.is_array()) return 0;
  ovsdb::Database& database = fresh_database();
  const ovsdb::TransactResult result = database.transact(operations);
  if (!result.waiting() && !result.reply->is_array()) std::abort();
  read_desired(database);
  // Every strong reference leads to a row.
  for (const ovsdb::Row& bridge : database.table("Bridge")) {
    for (const ovsdb::Uuid& port : bridge.uuids("ports")) {
      if (database.find("Port", port) == nullptr) std::abort();
    }
  }
  return 0;
}
