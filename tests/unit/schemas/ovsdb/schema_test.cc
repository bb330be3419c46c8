// SPDX-License-Identifier: Apache-2.0
// Schemas: parsing, refusals, and the schema of the switch itself.
#include "schemas/ovsdb/schema.h"

#include <gtest/gtest.h>

#include "schemas/embedded.h"
#include "schemas/json.h"
#include "schemas/ovsdb/error.h"

namespace vswitch::ovsdb {
namespace {

Json valid() {
  return Json::parse(R"({"name": "Db", "version": "1.22.333", "cksum": "12 34", "tables": {
    "A": {"columns": {"name": {"type": "string", "mutable": false},
                      "to": {"type": {"key": {"type": "uuid", "refTable": "B"}, "min": 0, "max": "unlimited"}},
                      "near": {"type": {"key": {"type": "uuid", "refTable": "B", "refType": "weak"}, "min": 0, "max": 7}},
                      "seen": {"type": {"key": {"type": "real", "minReal": 0.5, "maxReal": 9.5}}, "ephemeral": true}},
          "isRoot": true, "maxRows": 5, "indexes": [["name"]]},
    "B": {"columns": {"level": {"type": {"key": {"type": "integer", "minInteger": 3}, "value": "string", "min": 0}}}}}})");
}

TEST(Schema, ParsesAndWritesBack) {
  const DatabaseSchema schema = DatabaseSchema::parse(valid());
  EXPECT_EQ(schema.name, "Db");
  EXPECT_EQ(schema.version, "1.22.333");
  const TableSchema& a = schema.at("A");
  EXPECT_TRUE(a.is_root);
  EXPECT_FALSE(schema.at("B").is_root);
  EXPECT_EQ(a.max_rows, 5U);
  EXPECT_FALSE(a.columns[a.at("name")].mutable_);
  EXPECT_FALSE(a.columns[a.at("seen")].persistent);
  EXPECT_TRUE(a.columns[a.at("to")].type.has_reference(true));
  EXPECT_FALSE(a.columns[a.at("near")].type.has_reference(true));
  EXPECT_EQ(a.columns[a.at("near")].type.key.ref_index, schema.at("B").index);
  EXPECT_EQ(a.at("_uuid"), TableSchema::kUuid);
  EXPECT_EQ(a.at("_version"), TableSchema::kVersion);
  EXPECT_EQ(a.find("none"), nullptr);
  EXPECT_THROW(a.at("none"), std::out_of_range);
  const Json again = schema.to_json();
  EXPECT_EQ(DatabaseSchema::parse(again), schema);
  EXPECT_EQ(DatabaseSchema::parse(again).to_json(), again);
  Json real = again;
  real["tables"]["A"]["maxRows"] = 5.0;  // an integer too
  EXPECT_EQ(DatabaseSchema::parse(real), schema);
  EXPECT_EQ(again["tables"]["A"]["columns"],
            valid()["tables"]["A"]["columns"].patch(
                Json::parse(R"([{"op": "test", "path": "/name/mutable", "value": false}])")));
}

TEST(Schema, WithoutAnyRootEveryTableIsRoot) {
  Json json = valid();
  json["tables"]["A"].erase("isRoot");
  const DatabaseSchema schema = DatabaseSchema::parse(json);
  EXPECT_TRUE(schema.at("B").is_root);
  EXPECT_FALSE(schema.to_json()["tables"]["A"].contains("isRoot"));
  EXPECT_EQ(DatabaseSchema::parse(schema.to_json()), schema);
}

TEST(Schema, RefusesWhatIsNotASchema) {
  const std::pair<const char*, Json> changes[] = {
      {"/name", "9x"},
      {"/name", 5},
      {"/version", ""},
      {"/version", "1.2"},
      {"/version", "1..3"},
      {"/extra", 1},
      {"/tables", Json::array()},
      {"/tables/_Hidden", Json::parse(R"({"columns": {"a": {"type": "string"}}})")},
      {"/tables/A/columns", Json::object()},
      {"/tables/A/columns/_x", Json::parse(R"({"type": "string"})")},
      {"/tables/A/columns/name/type", "text"},
      {"/tables/A/columns/name/frob", true},
      {"/tables/A/columns/to/type/key/refTable", "Nowhere"},
      {"/tables/A/columns/to/type/key/refType", "firm"},
      {"/tables/A/columns/to/type/max", 0},
      {"/tables/A/columns/to/type/min", 2},
      {"/tables/A/columns/to/type/max", "many"},
      {"/tables/A/columns/seen/type/key/minReal", 10},
      {"/tables/A/columns/seen/type/key/minInteger", 1},
      {"/tables/A/columns/seen/type/key/maxReal", "9"},
      {"/tables/A/columns/name/type", Json::parse(R"({"key": {"type": "string", "minLength": -1}})")},
      {"/tables/B/columns/level/type/key/minInteger", std::uint64_t{1} << 63},
      {"/tables/B/columns/level/type/key/maxInteger", 4.5},
      {"/tables/A/maxRows", 0},
      {"/tables/A/maxRows", -1},
      {"/tables/A/maxRows", 1.5},
      {"/tables/A/indexes", Json::parse(R"([["seen"]])")},
      {"/tables/A/indexes", Json::parse(R"([["missing"]])")},
      {"/tables/A/indexes", Json::parse(R"([[]])")},
      {"/tables/A/isRoot", "yes"}};
  EXPECT_NO_THROW(DatabaseSchema::parse(valid()));
  for (const auto& [path, value] : changes) {
    Json json = valid();
    json[Json::json_pointer(path)] = value;
    EXPECT_THROW(DatabaseSchema::parse(json), Error) << path << " = " << value;
  }
  EXPECT_THROW(DatabaseSchema::parse_text("{"), Error);
  EXPECT_THROW(DatabaseSchema::parse(Json(7)), Error);
}

// The following are what ovsdb-tool 3.1 says, schema by schema.

TEST(Schema, CountsHave32Bits) {
  const auto with = [](const std::string& path, const char* value) {
    Json json = valid();
    json[Json::json_pointer(path)] = Json::parse(value);
    return json;
  };
  const std::string max = "/tables/A/columns/to/type/max";
  const std::string rows = "/tables/A/maxRows";
  const std::string length = "/tables/A/columns/name/type";
  for (const auto& [path, value] : std::initializer_list<std::pair<std::string, const char*>>{
           {max, "4294967295"},
           {max, "4294967296"},
           {max, "9223372036854775807"},
           {max, "-1"},
           {max, "2.5"},
           {max, "\"Unlimited\""},
           {rows, "9223372036854775808"},
           {rows, "\"unlimited\""},
           {length, R"({"key": {"type": "string", "minLength": 4294967296}})"},
           {length, R"({"key": {"type": "string", "maxLength": 9223372036854775807}})"}}) {
    EXPECT_THROW(DatabaseSchema::parse(with(path, value)), Error) << path << " = " << value;
  }
  const auto read = [&with](const std::string& path, const char* value) {
    return DatabaseSchema::parse(with(path, value)).at("A");
  };
  const TableSchema many = read(max, "4294967294");
  EXPECT_EQ(many.columns[many.at("to")].type.max, 4294967294U);
  EXPECT_EQ(read(max, "1e3").columns[many.at("to")].type.max, 1000U);
  EXPECT_EQ(read(rows, "4294967295").max_rows, kUnlimited);
  EXPECT_EQ(read(rows, "9223372036854775807").max_rows, kUnlimited);
  const TableSchema text = read(length, R"({"key": {"type": "string", "maxLength": 4294967295}})");
  EXPECT_EQ(text.columns[text.at("name")].type, ColumnType{});
}

TEST(Schema, AnEnumLeavesNoRoomForOtherLimits) {
  Json json = valid();
  Json& type = json["tables"]["A"]["columns"]["name"]["type"];
  type = Json::parse(R"({"key": {"type": "string", "enum": ["set", ["a", "bc"]]}})");
  EXPECT_NO_THROW(DatabaseSchema::parse(json));
  type["key"]["maxLength"] = 1;
  EXPECT_THROW(DatabaseSchema::parse(json), Error);
}

TEST(Schema, Versions) {
  Json json = valid();
  for (const char* version :
       {"0.0.0", "01.002.3", " 1.2.3", "1. 2.3", "-1.2.3", "+1.2.3", "4294967296.0.0"}) {
    json["version"] = version;
    EXPECT_EQ(DatabaseSchema::parse(json).version, version);
  }
  for (const char* version : {"", "1", "1.2", "1..3", ".1.2.3", "1.2.3.", "1.2.3.4", "1.2.3 ", "1.2.3\n",
                              "1 .2.3", "1.2.3a", "1.2.3-rc1", "1.2.x", "a.b.c", "1,2,3", "0x1.2.3"}) {
    json["version"] = version;
    EXPECT_THROW(DatabaseSchema::parse(json), Error) << version;
  }
}

TEST(VswitchSchema, IsOpenVSwitch831WithOurMirrorColumns) {
  const DatabaseSchema& schema = vswitch_schema();
  EXPECT_EQ(schema.name, "Open_vSwitch");
  EXPECT_EQ(schema.version, "8.3.1");
  EXPECT_FALSE(schema.cksum.empty());
  EXPECT_EQ(schema.tables.size(), 20U) << "those of 8.3.1, and Mirror_Endpoint";
  for (const char* root : {"Open_vSwitch", "QoS", "Queue", "Flow_Sample_Collector_Set"}) {
    EXPECT_TRUE(schema.at(root).is_root) << root;
  }
  for (const char* leaf :
       {"Bridge", "Port", "Interface", "Mirror", "Mirror_Endpoint", "SSL", "Manager", "Controller"}) {
    EXPECT_FALSE(schema.at(leaf).is_root) << leaf;
  }
  for (const char* single : {"Open_vSwitch", "SSL"}) EXPECT_EQ(schema.at(single).max_rows, 1U);
  const TableSchema& mirror = schema.at("Mirror");
  for (const char* weak : {"select_src_port", "select_dst_port", "output_port"}) {
    EXPECT_TRUE(mirror.columns[mirror.at(weak)].type.has_reference(false)) << weak;
  }
  EXPECT_TRUE(mirror.columns[mirror.at("enabled")].type.is_optional());
  EXPECT_FALSE(mirror.columns[mirror.at("status")].persistent);
  EXPECT_TRUE(
      mirror.columns[mirror.at("source_ports")].type.value->enumeration.contains(std::string("both")));
  for (const char* table : {"Bridge", "Port", "Interface"}) {
    EXPECT_FALSE(schema.at(table).columns[schema.at(table).at("name")].mutable_);
    EXPECT_EQ(schema.at(table).indexes.size(), 1U);
  }
  EXPECT_TRUE(schema.at("Interface").columns[schema.at("Interface").at("ofport")].persistent);
}

}  // namespace
}  // namespace vswitch::ovsdb
