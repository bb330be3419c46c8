// SPDX-License-Identifier: Apache-2.0
// fdb.list and fdb.flush
#include <algorithm>
#include <tuple>

#include "switchd/api/methods.h"
#include "switchd/api/rows.h"

namespace vswitch::api {
namespace {

Json list_fdb(const Database& database, bridge::FdbView& fdb, const std::string& bridge) {
  bridge_named(database, bridge);
  std::vector<bridge::FdbEntry> learned = fdb.fdb(bridge);
  std::sort(learned.begin(), learned.end(),
            [](const auto& a, const auto& b) { return std::tie(a.vlan, a.mac) < std::tie(b.vlan, b.mac); });
  Json entries = Json::array();
  for (const bridge::FdbEntry& entry : learned) {
    entries.push_back({{"bridge", bridge},
                       {"port", entry.port},
                       {"vlan", entry.vlan},
                       {"mac", entry.mac.to_string()},
                       {"age", entry.age_seconds}});
  }
  return {{"entries", entries}};
}

}  // namespace

void add_fdb_methods(Methods& methods, bridge::FdbView& fdb) {
  const Database& database = methods.database;
  methods.read("fdb.list",
               [&database, &fdb](const Json& params) { return list_fdb(database, fdb, params["bridge"]); });
  methods.act("fdb.flush", [&database, &fdb](const Json& params) {
    bridge_named(database, params["bridge"]);
    return Json{{"flushed", fdb.flush_fdb(params["bridge"])}};
  });
}

}  // namespace vswitch::api
