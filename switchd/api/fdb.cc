// SPDX-License-Identifier: Apache-2.0
// fdb.list and fdb.flush
#include <algorithm>
#include <tuple>

#include "switchd/api/methods.h"
#include "switchd/api/rows.h"

namespace vswitch::api {
namespace {

Json list(const Methods& methods, const std::string& bridge) {
  bridge_named(methods.database, bridge);
  std::vector<SwitchView::FdbEntry> learned = methods.view.fdb(bridge);
  std::sort(learned.begin(), learned.end(),
            [](const auto& a, const auto& b) { return std::tie(a.vlan, a.mac) < std::tie(b.vlan, b.mac); });
  Json entries = Json::array();
  for (const SwitchView::FdbEntry& entry : learned) {
    entries.push_back({{"bridge", bridge},
                       {"port", entry.port},
                       {"vlan", entry.vlan},
                       {"mac", entry.mac.to_string()},
                       {"age", entry.age_seconds}});
  }
  return {{"entries", entries}};
}

}  // namespace

void add_fdb_methods(Methods& methods) {
  const Methods shared = methods;
  methods.read("fdb.list", [shared](const Json& params) { return list(shared, params["bridge"]); });
  methods.read("fdb.flush", [shared](const Json& params) {
    bridge_named(shared.database, params["bridge"]);
    return Json{{"flushed", shared.view.flush_fdb(params["bridge"])}};
  });
}

}  // namespace vswitch::api
