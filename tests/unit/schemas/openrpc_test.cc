// SPDX-License-Identifier: Apache-2.0
// control.openrpc.json keeps its own promises, and violations name field and value.
#include "schemas/openrpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace vswitch::openrpc {
namespace {

Json session() {
  return {{"bridge", "br0"},
          {"name", "span0"},
          {"sources", {{"ports", {"t1"}}}},
          {"destination", {{"ports", {"t2"}}}}};
}

TEST(OpenRpc, EveryExampleHonoursTheSchemasOfItsMethod) {
  for (const Json& method : control().document()["methods"]) {
    const std::string name = method["name"];
    ASSERT_FALSE(method["examples"].empty()) << name;
    for (const Json& example : method["examples"]) {
      Json params = Json::object();
      for (const Json& param : example["params"]) params[param["name"].get<std::string>()] = param["value"];
      const auto wrong = control().check_params(name, params);
      EXPECT_FALSE(wrong) << name << ": " << wrong->sentence;
      const auto bad = control().check_result(name, example["result"]["value"]);
      EXPECT_FALSE(bad) << name << ": " << bad->sentence;
    }
  }
}

TEST(OpenRpc, EveryNotificationExampleHonoursItsSchema) {
  for (const Json& note : control().document()["x-notifications"]) {
    const auto wrong = control().check_notification(note["name"], note["example"]);
    EXPECT_FALSE(wrong) << note["name"] << ": " << wrong->sentence;
  }
}

TEST(OpenRpc, ResultsMayNotGrowMembersInSilence) {
  for (const Json& method : control().document()["methods"]) {
    if (method["name"] == "rpc.discover") continue;
    Json result = method["examples"][0]["result"]["value"];
    result["surprise"] = 1;
    EXPECT_TRUE(control().check_result(method["name"], result)) << method["name"];
  }
}

TEST(OpenRpc, ListsEveryMethodOfTheContract) {
  const std::vector<std::string> methods = control().methods();
  EXPECT_EQ(std::set<std::string>(methods.begin(), methods.end()),
            (std::set<std::string>{"bridge.add",        "bridge.del",         "bridge.list",
                                   "bridge.get",        "bridge.set",         "port.add",
                                   "port.del",          "port.list",          "port.get",
                                   "port.set",          "mirror.add",         "mirror.del",
                                   "mirror.list",       "mirror.get",         "mirror.set",
                                   "mirror.enable",     "mirror.disable",     "mirror.stats",
                                   "mirror.explain",    "mirror.who",         "fdb.list",
                                   "fdb.flush",         "system.info",        "system.stats",
                                   "system.config",     "system.check",       "system.metrics",
                                   "system.events",     "system.set_config",  "log.list",
                                   "log.set",           "database.compact",   "database.backup",
                                   "mirror.reset",      "port.del_transient", "mirror.import",
                                   "mirror.export",     "subscribe",          "unsubscribe",
                                   "rpc.discover",      "bridge.put",         "port.put",
                                   "mirror.put",        "system.export",      "system.apply",
                                   "mirror.dump_record"}));
}

/// The params of a method without those that are no settings.
std::set<std::string> settings_of(const std::string& name) {
  static const std::set<std::string> kOther = {"bridge", "name", "may_exist", "if_revision", "dry_run"};
  std::set<std::string> names;
  for (const Json& method : control().document()["methods"]) {
    if (method["name"] != name) continue;
    for (const Json& param : method["params"]) {
      if (!kOther.contains(param["name"].get<std::string>())) names.insert(param["name"]);
    }
  }
  return names;
}

TEST(OpenRpc, PutAndDocumentsHaveTheSettingsOfAdd) {
  const Json& schemas = control().document()["components"]["schemas"];
  for (const auto& [noun, schema] :
       {std::pair("bridge", "BridgeSettings"), {"port", "PortSettings"}, {"mirror", "MirrorSettings"}}) {
    const std::set<std::string> settings = settings_of(std::string(noun) + ".add");
    EXPECT_EQ(settings_of(std::string(noun) + ".put"), settings) << noun;
    std::set<std::string> members;
    for (const auto& [name, member] : schemas[schema]["properties"].items()) {
      members.insert(name);
    }
    EXPECT_EQ(members, settings) << schema;
  }
}

TEST(OpenRpc, NamesThatUsersChooseAreStepsOfThePath) {
  const auto check = [](const Json& port) {
    Json params = {{"document", {{"version", 1}, {"bridges", {{"br0", {{"ports", {{"eth0.100", port}}}}}}}}}};
    return control().check_params("system.apply", params);
  };
  EXPECT_FALSE(check({{"tag", 7}}));
  EXPECT_EQ(
      check({{"tag", 4096}})->sentence,
      "document.bridges.br0.ports[\"eth0.100\"].tag must be an integer from 0 to 4095 or null, not 4096");
  EXPECT_EQ(check({{"tagg", 7}})->sentence,
            "unknown parameter document.bridges.br0.ports[\"eth0.100\"].tagg");
  EXPECT_EQ(check({{"trunks", Json::array_t(4097, 1)}})->sentence,
            "document.bridges.br0.ports[\"eth0.100\"].trunks may have at most 4096 items");
  Json params = Json::parse(R"({"document": {"version": 1, "bridges": {"br0": {"mirrors": {
      "m": {"sources": {"ports": [{"name": "t1"}]}}}}}}})");
  ASSERT_FALSE(control().check_params("system.apply", params));
  const Json& session = params["document"]["bridges"]["br0"]["mirrors"]["m"];
  EXPECT_EQ(session["sources"]["ports"][0]["direction"], "both");
}

TEST(OpenRpc, FillsDefaultsAtEveryLevel) {
  Json params = session();
  params["sources"]["ports"] = {{{"name", "t1"}}, "t3"};
  ASSERT_FALSE(control().check_params("mirror.add", params));
  EXPECT_EQ(params["enabled"], true);
  EXPECT_EQ(params["description"], "");
  EXPECT_EQ(params["sources"]["all"], false);
  EXPECT_EQ(params["sources"]["vlans"], Json::array());
  EXPECT_EQ(params["sources"]["ports"][0]["direction"], "both");
  EXPECT_EQ(params["sources"]["ports"][1], "t3");
  EXPECT_EQ(params["snaplen"], nullptr);
  EXPECT_EQ(params["sample"], 1);
  EXPECT_EQ(params["destination"]["vlan"], nullptr);
  EXPECT_EQ(params["filter"], nullptr);
  EXPECT_EQ(params["skip"], nullptr);
  EXPECT_FALSE(params.contains("rate"));
}

TEST(OpenRpc, APatchPortMayBeASourceByItsLongName) {
  Json params = session();
  params["sources"]["ports"] = {"patch-br-int-to-provnet", {{"name", "patch-br-int-to-provnet"}}};
  const auto violation = control().check_params("mirror.add", params);
  EXPECT_FALSE(violation) << violation->sentence;
}

TEST(OpenRpc, AFilterIsOneMatchOrAListOrNull) {
  for (const Json& filter : {Json("tcp"), Json({"tcp", "udp"}), Json::array(), Json()}) {
    Json params = session();
    params.update({{"filter", filter}, {"skip", filter}});
    const auto violation = control().check_params("mirror.add", params);
    EXPECT_FALSE(violation) << violation->sentence;
    EXPECT_EQ(params["filter"], filter);
  }
  Json params = session();
  params["skip"] = {"tcp", 7};
  const auto violation = control().check_params("mirror.add", params);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->field, "skip[1]");
}

TEST(OpenRpc, SetFillsNoDefaultOfWhatWasNotGiven) {
  Json params = {{"bridge", "br0"}, {"name", "span0"}, {"normal_io", true}};
  ASSERT_FALSE(control().check_params("mirror.set", params));
  EXPECT_EQ(params, Json({{"bridge", "br0"}, {"name", "span0"}, {"normal_io", true}}));
}

struct Wrong {
  const char* method;
  const char* params;
  const char* field;
  const char* value;
  const char* sentence;
};

class Violations : public testing::TestWithParam<Wrong> {};

TEST_P(Violations, NameFieldAndValueAndChangeNothing) {
  Json params = Json::parse(GetParam().params);
  const Json before = params;
  const auto violation = control().check_params(GetParam().method, params);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->field, GetParam().field);
  EXPECT_EQ(violation->value, Json::parse(GetParam().value));
  EXPECT_THAT(violation->sentence, testing::HasSubstr(GetParam().sentence));
  EXPECT_EQ(params, before);
}

INSTANTIATE_TEST_SUITE_P(
    OpenRpc, Violations,
    testing::Values(
        Wrong{"bridge.add", R"({})", "name", "null", "name is missing"},
        Wrong{"bridge.add", R"({"name":"br0","nmae":1})", "nmae", "1", "unknown parameter nmae"},
        Wrong{"bridge.add", R"({"name":7})", "name", "7", "must be a string of 1 to 15 characters, not 7"},
        Wrong{"bridge.add", R"({"name":"a/b"})", "name", R"("a/b")",
              "name: \"a/b\" cannot be the name of a device: it contains '/'"},
        Wrong{"bridge.add", R"({"name":"\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc"})", "name",
              R"("\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc")", "longer than 15 bytes"},
        Wrong{"port.add", R"({"bridge":"br0","name":"lo"})", "name", R"("lo")", "loopback"},
        Wrong{"mirror.add", R"({"bridge":"br0","name":"s","destination":{"ports":["a b"]}})",
              "destination.ports[0]", R"("a b")", "white space"},
        Wrong{"bridge.add", R"({"name":".."})", "name", R"("..")", "directories"},
        Wrong{"bridge.add", R"({"name":"abcdefghijklmnop"})", "name", R"("abcdefghijklmnop")",
              "longer than 15 bytes"},
        Wrong{"bridge.add", R"([1])", "", "[1]", "must be an object"},
        Wrong{"bridge.add", R"({"name":"br0","mac_aging_time":14})", "mac_aging_time", "14",
              "an integer from 15 to 3600"},
        Wrong{"bridge.set", R"({"name":"br0","fail_mode":"open"})", "fail_mode", R"("open")",
              "standalone, secure or null"},
        Wrong{"port.add", R"({"bridge":"br0","name":"p","tag":4096})", "tag", "4096",
              "0 to 4095 or null, not 4096"},
        Wrong{"port.add", R"({"bridge":"br0","name":"p","tag":1.5})", "tag", "1.5", "an integer"},
        Wrong{"port.add", R"({"bridge":"br0","name":"p","trunks":[1,-1]})", "trunks[1]", "-1",
              "trunks[1] must be"},
        Wrong{"mirror.set",
              R"({"bridge":"br0","name":"s","sources":{"ports":["t1",{"name":"t2","direction":"rx"}]}})",
              "sources.ports[1].direction", R"("rx")", "from, to or both, not \"rx\""},
        Wrong{"mirror.set", R"({"bridge":"br0","name":"s","sources":{"ports":[{"glob":""}]}})",
              "sources.ports[0].glob", R"("")", "a string of 1 to 255 characters"},
        Wrong{"mirror.set", R"({"bridge":"br0","name":"s","sources":{"port":["t1"]}})", "sources.port",
              R"(["t1"])", "unknown parameter sources.port"}));

TEST(OpenRpc, WhatASessionMayLackMayStandAtItsNeutralValue) {
  Json params = session();
  params.update({{"rate", nullptr}, {"expires", nullptr}});
  params["destination"].update({{"endpoints", Json::array()}});
  const auto violation = control().check_params("mirror.add", params);
  EXPECT_FALSE(violation) << violation->sentence;
}

TEST(OpenRpc, HugeValuesAreRefusedBeforeTheRegularExpressions) {
  Json params = {{"name", std::string(10'000'000, 'a')}};
  EXPECT_TRUE(control().check_params("bridge.add", params));
  params = session();
  params["sources"]["ports"] = {std::string(10'000'000, 'a')};
  ASSERT_TRUE(control().check_params("mirror.add", params));
  EXPECT_EQ(control().check_params("mirror.add", params)->field, "sources.ports[0]");
  params = session();
  params["sources"]["vlans"] = std::vector<int>(100'000, 7);
  EXPECT_EQ(control().check_params("mirror.add", params)->field, "sources.vlans");
}

}  // namespace
}  // namespace vswitch::openrpc
