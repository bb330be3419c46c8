// SPDX-License-Identifier: Apache-2.0
// OVSDB transactions in memory, without a file, and the way from rows to settings.
#include <benchmark/benchmark.h>

#include "schemas/embedded.h"
#include "schemas/json.h"
#include "switchd/bridge/desired.h"
#include "switchd/db/database.h"

namespace vswitch {
namespace {

/// A bridge with that many ports.
std::unique_ptr<ovsdb::Database> database_with(std::int64_t ports) {
  auto database =
      std::make_unique<ovsdb::Database>(ovsdb::DatabaseSchema::parse_text(embedded::vswitch_ovsschema));
  Json operations = Json::array();
  Json named = Json::array();
  for (std::int64_t i = 0; i < ports; ++i) {
    const std::string name = "p" + std::to_string(i);
    operations.push_back(
        {{"op", "insert"}, {"table", "Interface"}, {"uuid-name", "i" + name}, {"row", {{"name", name}}}});
    operations.push_back(
        {{"op", "insert"},
         {"table", "Port"},
         {"uuid-name", name},
         {"row", {{"name", name}, {"interfaces", Json::array({"named-uuid", "i" + name})}}}});
    named.push_back(Json::array({"named-uuid", name}));
  }
  operations.push_back({{"op", "insert"},
                        {"table", "Bridge"},
                        {"uuid-name", "b"},
                        {"row", {{"name", "br0"}, {"ports", Json::array({"set", named})}}}});
  operations.push_back({{"op", "insert"},
                        {"table", "Open_vSwitch"},
                        {"row", {{"bridges", Json::array({"named-uuid", "b"})}}}});
  database->transact(operations);
  return database;
}

/// One port's external_ids are set to and fro.
void TransactUpdate(benchmark::State& state) {
  const auto database = database_with(state.range(0));
  const auto update = [](const char* value) {
    return Json::array(
        {{{"op", "update"},
          {"table", "Port"},
          {"where", Json::array({Json::array({"name", "==", "p0"})})},
          {"row", {{"external_ids", Json::array({"map", Json::array({Json::array({"x", value})})})}}}}});
  };
  const Json to = update("to"), fro = update("fro");
  for (bool back = false; auto _ : state)
    benchmark::DoNotOptimize(database->transact((back = !back) ? to : fro));
}
BENCHMARK(TransactUpdate)->ArgName("ports")->Arg(10)->Arg(1000);

void ReadDesired(benchmark::State& state) {
  const auto database = database_with(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(bridge::read_desired(*database, 0));
}
BENCHMARK(ReadDesired)->ArgName("ports")->Arg(10)->Arg(1000);

}  // namespace
}  // namespace vswitch
