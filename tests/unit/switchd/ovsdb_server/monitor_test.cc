// SPDX-License-Identifier: Apache-2.0
// What monitors report, in the three notations. Expectations were compared with ovsdb-server 3.1.
#include "switchd/ovsdb_server/monitor.h"

#include "tests/unit/switchd/db/support.h"

namespace vswitch::ovsdb {
namespace {

using test::good;
using test::id;
using test::insert;
using test::ref;

class MonitorTest : public ::testing::Test {
 protected:
  MonitorTest() {
    good(db, insert("Root", 1,
                    R"({"name":"a","number":7,"config":["map",[["k","old"],["gone","x"]]],"nodes":["set",[)" +
                        ref(11) + "," + ref(12) + "]]}") +
                 "," + insert("Root", 2, R"({"name":"b"})") + "," + insert("Node", 11, R"({"name":"n11"})") +
                 "," + insert("Node", 12, R"({"name":"n12"})") + "," +
                 insert("Node", 13, R"({"name":"n13"})"));
    db.on_commit([this](const Changes& changes) { last = changes; });
  }
  View view(MonitorVersion version, const char* requests) {
    return View(version, db.schema(), Json::parse(requests));
  }
  /// The update of a view for a transaction.
  Json update(const View& watched, const std::string& operations) {
    last = Changes();
    good(db, operations);
    return watched.update(last);
  }
  std::string refusal(MonitorVersion version, const char* requests) {
    try {
      view(version, requests);
    } catch (const Error& error) {
      return error.error + ": " + error.details;
    }
    return "";
  }
  static Json rows(const char* table, std::uint64_t row, const std::string& update) {
    return {{table, {{id(row).to_string(), Json::parse(update)}}}};
  }

  Database db{test::schema()};
  Changes last;
};

TEST_F(MonitorTest, InitialRowsWithAndWithoutDefaults) {
  const char* requests = R"({"Root":{"columns":["name","number","load"]}})";
  const Json v1 = view(MonitorVersion::update, requests).initial(db);
  EXPECT_EQ(v1["Root"][id(1).to_string()],
            Json::parse(R"({"new":{"name":"a","number":7,"load":["set",[]]}})"));
  EXPECT_EQ(v1["Root"][id(2).to_string()],
            Json::parse(R"({"new":{"name":"b","number":0,"load":["set",[]]}})"));
  const Json v2 = view(MonitorVersion::update2, requests).initial(db);
  EXPECT_EQ(v2["Root"][id(1).to_string()], Json::parse(R"({"initial":{"name":"a","number":7}})"));
  EXPECT_EQ(v2["Root"][id(2).to_string()], Json::parse(R"({"initial":{"name":"b"}})"));
  EXPECT_EQ(view(MonitorVersion::update2, R"({"Leaf":{}})").initial(db), Json::object());
}

TEST_F(MonitorTest, WithoutColumnsAllButTheUuidAreWatched) {
  const Json v1 = view(MonitorVersion::update, R"({"Node":{}})").initial(db);
  const Json& row = v1["Node"][id(11).to_string()]["new"];
  EXPECT_FALSE(row.contains("_uuid"));
  EXPECT_TRUE(row.contains("_version"));
  EXPECT_TRUE(row.contains("leaf"));
}

TEST_F(MonitorTest, ModifyV1HasOldChangedColumnsAndTheWholeNewRow) {
  const View watched = view(MonitorVersion::update, R"({"Root":{"columns":["name","number"]}})");
  EXPECT_EQ(
      update(watched,
             R"({"op":"update","table":"Root","where":[["name","==","a"]],"row":{"number":8,"label":"l"}})"),
      rows("Root", 1, R"({"old":{"number":7},"new":{"name":"a","number":8}})"));
  EXPECT_EQ(
      update(watched,
             R"({"op":"update","table":"Root","where":[["name","==","a"]],"row":{"label":"unwatched"}})"),
      Json());
}

TEST_F(MonitorTest, ModifyV2HasDifferences) {
  const View watched =
      view(MonitorVersion::update2, R"({"Root":{"columns":["number","nodes","config","load"]}})");
  EXPECT_EQ(update(watched,
                   R"({"op":"update","table":"Root","where":[["name","==","a"]],"row":{"number":9,"load":2.5,
                  "config":["map",[["k","new"],["come","y"]]],"nodes":["set",[)" +
                       ref(12) + R"(]]}})"),
            rows("Root", 1,
                 R"({"modify":{"number":9,"load":2.5,"config":["map",[["come","y"],["gone","x"],["k","new"]]],
                                 "nodes":)" +
                     ref(11) + "}}"));
  EXPECT_EQ(update(watched,
                   R"({"op":"update","table":"Root","where":[["name","==","a"]],"row":{"load":["set",[]]}})"),
            rows("Root", 1, R"({"modify":{"load":["set",[]]}})"));
}

TEST_F(MonitorTest, InsertAndDelete) {
  const std::string in = insert("Root", 3, R"({"name":"c","number":3})");
  const std::string out = R"({"op":"delete","table":"Root","where":[["name","==","c"]]})";
  const char* requests = R"({"Root":{"columns":["name","label"]}})";
  const View v1 = view(MonitorVersion::update, requests);
  EXPECT_EQ(update(v1, in), rows("Root", 3, R"({"new":{"name":"c","label":""}})"));
  EXPECT_EQ(update(v1, out), rows("Root", 3, R"({"old":{"name":"c","label":""}})"));
  const View v2 = view(MonitorVersion::update2, requests);
  EXPECT_EQ(update(v2, in), rows("Root", 3, R"({"insert":{"name":"c"}})"));
  EXPECT_EQ(update(v2, out), rows("Root", 3, R"({"delete":null})"));
}

TEST_F(MonitorTest, GarbageIsInTheSameUpdate) {
  const View watched =
      view(MonitorVersion::update3, R"({"Root":{"columns":["nodes"]},"Node":{"columns":[]}})");
  const Json told =
      update(watched, R"({"op":"update","table":"Root","where":[],"row":{"nodes":["set",[]]}})");
  EXPECT_EQ(told["Node"], Json::parse("{\"" + id(11).to_string() + R"(":{"delete":null},")" +
                                      id(12).to_string() + R"(":{"delete":null}})"));
  EXPECT_EQ(told["Root"].size(), 1U);
}

TEST_F(MonitorTest, NoColumnsMeansRowsComeAndGoOnly) {
  const View watched = view(MonitorVersion::update2, R"({"Root":{"columns":[]}})");
  EXPECT_EQ(watched.initial(db)["Root"][id(1).to_string()], Json::parse(R"({"initial":{}})"));
  EXPECT_EQ(
      update(watched, R"({"op":"update","table":"Root","where":[],"row":{"config":["map",[["z","z"]]]}})"),
      Json());
  EXPECT_EQ(update(watched, insert("Root", 3, R"({"name":"c","number":1})")),
            rows("Root", 3, R"({"insert":{}})"));
}

TEST_F(MonitorTest, SelectChoosesKindsByColumn) {
  const View watched = view(MonitorVersion::update,
                            R"({"Root":[{"columns":["name"],"select":{"initial":false,"delete":false}},
                                        {"columns":["number"],"select":{"modify":false}}]})");
  EXPECT_EQ(watched.initial(db)["Root"][id(1).to_string()], Json::parse(R"({"new":{"number":7}})"));
  EXPECT_EQ(
      update(watched, R"({"op":"update","table":"Root","where":[["name","==","a"]],"row":{"number":70}})"),
      Json());
  EXPECT_EQ(
      update(watched, R"({"op":"update","table":"Root","where":[["name","==","a"]],"row":{"name":"A"}})"),
      rows("Root", 1, R"({"old":{"name":"a"},"new":{"name":"A"}})"));
  EXPECT_EQ(update(watched, R"({"op":"delete","table":"Root","where":[["name","==","b"]]})"),
            rows("Root", 2, R"({"old":{"number":0}})"));
  const View none =
      view(MonitorVersion::update2,
           R"({"Root":{"select":{"initial":false,"insert":false,"delete":false,"modify":false}}})");
  EXPECT_EQ(none.initial(db), Json::object());
  EXPECT_EQ(update(none, R"({"op":"delete","table":"Root","where":[]})"), Json());
}

TEST_F(MonitorTest, ConditionsMakeRowsComeAndGo) {
  const View watched =
      view(MonitorVersion::update2,
           R"({"Root":{"columns":["name","number"],"where":[["number","==",7],["name","==","z"]]}})");
  EXPECT_EQ(watched.initial(db), rows("Root", 1, R"({"initial":{"name":"a","number":7}})"));
  EXPECT_EQ(
      update(watched, R"({"op":"update","table":"Root","where":[["name","==","a"]],"row":{"number":6}})"),
      rows("Root", 1, R"({"delete":null})"));
  EXPECT_EQ(
      update(watched, R"({"op":"update","table":"Root","where":[["name","==","a"]],"row":{"number":5}})"),
      Json());
  EXPECT_EQ(
      update(watched, R"({"op":"update","table":"Root","where":[["name","==","a"]],"row":{"name":"z"}})"),
      rows("Root", 1, R"({"insert":{"name":"z","number":5}})"));
  EXPECT_EQ(view(MonitorVersion::update2, R"({"Root":{"where":[false]}})").initial(db), Json::object());
  EXPECT_EQ(view(MonitorVersion::update2, R"({"Root":{"where":[]}})").initial(db)["Root"].size(), 2U);
}

TEST_F(MonitorTest, ChangingTheConditionTellsTheDifference) {
  const View all =
      view(MonitorVersion::update3, R"({"Root":{"columns":["name","number"]},"Node":{"columns":["name"]}})");
  const View one = all.with_conditions(Json::parse(R"({"Root":[{"where":[["name","==","b"]]}]})"));
  EXPECT_EQ(all.transition(one, db), rows("Root", 1, R"({"delete":null})"));
  EXPECT_EQ(one.transition(all, db), rows("Root", 1, R"({"insert":{"name":"a","number":7}})"));
  EXPECT_EQ(one.transition(one, db), Json());
  EXPECT_EQ(one.initial(db)["Node"].size(), 2U) << "other tables keep their condition";
  EXPECT_THROW(all.with_conditions(Json::parse(R"({"Leaf":{"where":[]}})")), Error);
  EXPECT_THROW(all.with_conditions(Json::parse(R"({"Root":{"columns":["name"]}})")), Error);
}

TEST_F(MonitorTest, Refusals) {
  EXPECT_EQ(refusal(MonitorVersion::update, R"({"None":{}})"), "syntax error: no table named None");
  EXPECT_EQ(refusal(MonitorVersion::update, R"({"Root":5})"),
            "syntax error: Parsing table Root failed: Object expected.");
  EXPECT_EQ(refusal(MonitorVersion::update, R"({"Root":{"columns":["zz"]}})"),
            "syntax error: zz is not a valid column name");
  EXPECT_EQ(refusal(MonitorVersion::update, R"({"Root":[{"columns":["name"]},{"columns":["name"]}]})"),
            "syntax error: column name mentioned more than once");
  EXPECT_EQ(refusal(MonitorVersion::update, R"({"Root":{"where":[]}})"),
            "syntax error: Parsing table Root failed: Member 'where' is present but not allowed here.");
  EXPECT_NE(refusal(MonitorVersion::update2, R"({"Root":{"where":[["zz","==",1]]}})"), "");
  EXPECT_NE(refusal(MonitorVersion::update2, R"({"Root":{"select":{"often":true}}})"), "");
  EXPECT_NE(refusal(MonitorVersion::update2, R"([])"), "");
}

TEST_F(MonitorTest, Notifications) {
  const std::string updates = R"({"T":1})";
  EXPECT_EQ(update_notification(MonitorVersion::update, "m", updates),
            R"({"id":null,"method":"update","params":["m",{"T":1}]})");
  EXPECT_EQ(update_notification(MonitorVersion::update2, Json::array({1}), updates),
            R"({"id":null,"method":"update2","params":[[1],{"T":1}]})");
  EXPECT_EQ(
      update_notification(MonitorVersion::update3, nullptr, updates),
      R"({"id":null,"method":"update3","params":[null,"00000000-0000-0000-0000-000000000000",{"T":1}]})");
}

}  // namespace
}  // namespace vswitch::ovsdb
