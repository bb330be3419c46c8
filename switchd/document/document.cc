// SPDX-License-Identifier: Apache-2.0
#include "switchd/document/document.h"

#include <memory>
#include <optional>
#include <string>

#include "switchd/api/methods.h"
#include "switchd/api/mirror_life.h"
#include "switchd/api/rows.h"
#include "switchd/document/plan.h"
#include "switchd/document/present.h"

namespace vswitch::document {
namespace {

Json export_document(const Database& database, const Json& params) {
  std::optional<std::string> bridge;
  if (params.contains("bridge")) bridge = api::bridge_named(database, params["bridge"]).str("name");
  const Present present = read_present(database, bridge);
  return {{"document", document_of(present, !bridge)}, {"left_out", to_json(present.left_out)}};
}

api::Outcome apply_document(const api::Methods& methods, const control::Client& client, const Json& params) {
  ovsdb::Database& database = methods.database;
  const auto plan = std::make_shared<const Plan>(database, params);
  if (params["dry_run"] != true && !plan->empty()) {
    ovsdb::Transaction transaction(database);
    plan->write(transaction, ovsdb::Datum::map_of(api::origin_of(client)));
    api::commit(transaction);
  }
  return [&database, plan] { return plan->result(database); };
}

}  // namespace

void register_methods(control::Dispatcher& dispatcher, ovsdb::Database& database,
                      bridge::AppliedView& applied, history::History& history) {
  api::Methods methods(dispatcher, database, applied, history);
  const api::Methods shared = methods;
  methods.read("system.export",
               [shared](const Json& params) { return export_document(shared.database, params); });
  methods.change("system.apply", [shared](control::Client& client, const Json& params) {
    return apply_document(shared, client, params);
  });
}

}  // namespace vswitch::document
