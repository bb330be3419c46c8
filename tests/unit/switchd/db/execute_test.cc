// SPDX-License-Identifier: Apache-2.0
// The operations of `transact`, their results and their errors.
#include <algorithm>
#include <random>

#include "tests/unit/switchd/db/support.h"

namespace vswitch::ovsdb {
namespace {

using test::id;
using test::insert;
using test::ref;

class Transact : public test::DatabaseTest {
 protected:
  Json select(const std::string& table, const std::string& where, const std::string& columns) {
    return good(R"({"op":"select","table":")" + table + R"(","where":[)" + where + R"(],"columns":[)" +
                columns + "]}")[0]["rows"];
  }
  /// error and details of the last element
  std::string refusal(const std::string& operations) {
    const Json results = run(operations);
    return results.back().value("error", "") + ": " + results.back().value("details", "");
  }
};

TEST_F(Transact, InsertFillsDefaultsAndSelectReadsThem) {
  const Json results = good(insert("Root", 5, R"({"name":"r5","number":-17,"load":0.5})"));
  EXPECT_EQ(results, Json::parse("[{\"uuid\":" + ref(5) + "}]"));
  const Json rows = good(R"({"op":"select","table":"Root","where":[]})")[0]["rows"];
  ASSERT_EQ(rows.size(), 1U);
  Json row = rows[0];
  EXPECT_EQ(row["_uuid"], Json::parse(ref(5)));
  EXPECT_EQ(row["_version"][0], "uuid");
  row.erase("_uuid");
  row.erase("_version");
  EXPECT_EQ(row, Json::parse(R"({"name":"r5","number":-17,"label":"","fixed":"","nodes":["set",[]],
                                  "by_number":["map",[]],"config":["map",[]],"load":0.5})"));
}

TEST_F(Transact, WhereOverAnIndexSeesWhatTheTransactionDid) {
  good(insert("Root", 1, R"({"name":"a","number":1,"label":"x"})") + "," +
       insert("Root", 2, R"({"name":"b","number":2,"label":"y"})"));
  const auto select = [](const std::string& where) {
    return R"({"op":"select","table":"Root","columns":["_uuid"],"where":[)" + where + "]}";
  };
  const auto rows = [](const Json& result) {
    std::set<std::string> uuids;
    for (const Json& row : result["rows"]) uuids.insert(row["_uuid"].dump());
    return uuids;
  };
  const std::string a = R"(["name","==","a"])";
  const std::string c = R"(["name","==","c"])";
  const Json results =
      good(select(a) + R"(,{"op":"update","table":"Root","where":[["name","==","a"]],"row":{"name":"c"}},)" +
           select(a) + "," + select(c) + "," + insert("Root", 3, R"({"name":"a","number":3,"label":"x"})") +
           "," + select(a) + "," + select(R"(["label","==","x"],["number","==",3])") + "," +
           select(a + R"(,["number","==",1])") + "," +
           R"({"op":"delete","table":"Root","where":[["name","==","b"]]},)" + select(R"(["name","==","b"])"));
  EXPECT_EQ(rows(results[0]), std::set<std::string>{ref(1)});
  EXPECT_TRUE(rows(results[2]).empty());
  EXPECT_EQ(rows(results[3]), std::set<std::string>{ref(1)});
  EXPECT_EQ(rows(results[5]), std::set<std::string>{ref(3)});
  EXPECT_EQ(rows(results[6]), std::set<std::string>{ref(3)});
  EXPECT_TRUE(rows(results[7]).empty());
  EXPECT_EQ(results[8]["count"], 1);
  EXPECT_TRUE(rows(results[9]).empty());
}

TEST_F(Transact, DefaultsOutOfRangeAreRefusedLikeGivenValues) {
  Database limited(DatabaseSchema::parse_text(R"({"name": "L", "tables": {"A": {"columns": {
    "name": {"type": "string"},
    "level": {"type": {"key": {"type": "integer", "minInteger": 3}, "min": 1, "max": 2}}}}}})"));
  test::good(limited, insert("A", 1, R"({"level":3})"));
  const Json results = test::run(limited, insert("A", 2, R"({"name":"a"})"));
  EXPECT_EQ(results.back()["error"], "constraint violation");
  EXPECT_EQ(results.back()["details"], "0 is less than minimum allowed value 3");
}

TEST_F(Transact, ResultsBeforeTheErrorStayAndTheRestIsNull) {
  const Json results =
      run(insert("Root", 1, R"({"name":"a"})") + R"(,{"op":"frob"},{"op":"comment","comment":"never"})");
  ASSERT_EQ(results.size(), 3U);
  EXPECT_TRUE(results[0].contains("uuid"));
  EXPECT_EQ(results[1]["error"], "syntax error");
  EXPECT_TRUE(results[2].is_null());
  EXPECT_EQ(db.table("Root").size(), 0U);
}

TEST_F(Transact, ErrorOfTheCommitIsAnExtraElement) {
  const Json results = run(insert("Root", 1, R"({"name":"a","nodes":)" + ref(77) + "}"));
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[1]["error"], "referential integrity violation");
  EXPECT_EQ(results[1]["details"], "Table Root column nodes row " + id(1).to_string() +
                                       " references nonexistent row " + id(77).to_string() +
                                       " in table Node.");
}

TEST_F(Transact, NamedUuidsForwardsAndBackwards) {
  good(
      R"({"op":"insert","table":"Root","uuid-name":"r","row":{"name":"r","nodes":["set",[["named-uuid","n1"],["named-uuid","n2"]]]}},
              {"op":"insert","table":"Node","uuid-name":"n1","row":{"name":"one","next":["named-uuid","n2"]}},
              {"op":"insert","table":"Node","uuid-name":"n2","row":{"name":"two"}},
              {"op":"mutate","table":"Root","where":[["_uuid","==",["named-uuid","r"]]],
               "mutations":[["by_number","insert",["map",[[9,["named-uuid","n1"]]]]]]})");
  EXPECT_EQ(db.table("Node").size(), 2U);
  const Row* one = db.table("Node").find("name", "one");
  const Row* two = db.table("Node").find("name", "two");
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->reference("next"), two->uuid());
  EXPECT_EQ(*(*db.table("Root").begin())["by_number"].value_of(std::int64_t{9}), Atom(one->uuid()));
  EXPECT_EQ(error(R"({"op":"update","table":"Root","where":[],"row":{"nodes":["named-uuid","nobody"]}})"),
            "referential integrity violation");
}

TEST_F(Transact, InsertRefusals) {
  good(insert("Root", 1, R"({"name":"a"})"));
  EXPECT_EQ(error(insert("Root", 1, R"({"name":"b","number":2})")), "duplicate uuid");
  EXPECT_EQ(error(R"({"op":"delete","table":"Root","where":[]},)" + insert("Root", 1, "{}")),
            "duplicate uuid");
  EXPECT_EQ(error(R"({"op":"insert","table":"Watch","uuid-name":"x","row":{}},
                                {"op":"insert","table":"Watch","uuid-name":"x","row":{}})"),
            "duplicate uuid-name");
  EXPECT_EQ(refusal(R"({"op":"insert","table":"Root","row":{"none":1}})"),
            "unknown column: No column none in table Root.");
  EXPECT_EQ(refusal(R"({"op":"insert","table":"None","row":{}})"),
            "syntax error: Parsing ovsdb operation 1 of 1 failed: No table named None.");
  EXPECT_EQ(refusal(R"({"op":"insert","table":"Root"})"),
            "syntax error: Parsing ovsdb operation 1 of 1 failed: Required 'row' member is missing.");
  EXPECT_EQ(
      refusal(R"({"op":"insert","table":"Root","row":{},"more":1})"),
      "syntax error: Parsing ovsdb operation 1 of 1 failed: Member 'more' is present but not allowed here.");
  EXPECT_EQ(refusal(R"({"op":"insert","table":"Root","row":{},"uuid-name":"5"})"),
            "syntax error: Parsing ovsdb operation 1 of 1 failed: Type mismatch for member 'uuid-name'.");
  EXPECT_EQ(refusal("5"), "syntax error: Parsing ovsdb operation 1 of 1 failed: Object expected.");
  EXPECT_EQ(refusal("{}"),
            "syntax error: Parsing ovsdb operation 1 of 1 failed: Required 'op' member is missing.");
}

TEST_F(Transact, UpdateCountsAndRefusesImmutable) {
  good(insert("Root", 1, R"({"name":"a","number":1,"fixed":"f"})") + "," +
       insert("Root", 2, R"({"name":"b","number":2})"));
  EXPECT_EQ(
      good(
          R"({"op":"update","table":"Root","where":[["number",">",0]],"row":{"config":["map",[["k","v"]]]}})"),
      Json::parse(R"([{"count":2}])"));
  EXPECT_EQ(select("Root", R"(["name","==","b"])", R"("config")"),
            Json::parse(R"([{"config":["map",[["k","v"]]]}])"));
  EXPECT_EQ(refusal(R"({"op":"update","table":"Root","where":[],"row":{"fixed":"other"}})"),
            "constraint violation: Cannot update immutable column fixed in table Root.");
  EXPECT_EQ(error(R"({"op":"update","table":"Root","where":[],"row":{"_uuid":)" + ref(9) + "}}"),
            "constraint violation");
  EXPECT_EQ(db.find("Root", id(1))->str("fixed"), "f");
}

TEST_F(Transact, LaterOperationsSeeEarlierOnes) {
  const Json results = good(
      insert("Root", 1, R"({"name":"a","number":40})") +
      R"(,{"op":"mutate","table":"Root","where":[["name","==","a"]],"mutations":[["number","+=",2],["number","*=",2]]},
                       {"op":"select","table":"Root","where":[["number","==",84]],"columns":["name"]},
                       {"op":"delete","table":"Root","where":[["name","==","a"]]},
                       {"op":"select","table":"Root","where":[],"columns":["name"]})");
  EXPECT_EQ(results[1], Json::parse(R"({"count":1})"));
  EXPECT_EQ(results[2], Json::parse(R"({"rows":[{"name":"a"}]})"));
  EXPECT_EQ(results[3], Json::parse(R"({"count":1})"));
  EXPECT_EQ(results[4], Json::parse(R"({"rows":[]})"));
  EXPECT_EQ(db.table("Root").size(), 0U);
}

TEST_F(Transact, SelectGivesEqualRowsOnce) {
  good(insert("Root", 1, R"({"name":"a","number":1,"label":"same"})") + "," +
       insert("Root", 2, R"({"name":"b","number":2,"label":"same"})"));
  EXPECT_EQ(select("Root", "", R"("label")").size(), 1U);
  EXPECT_EQ(select("Root", "", R"("label","_uuid")").size(), 2U);
  EXPECT_EQ(refusal(R"({"op":"select","table":"Root","where":[],"columns":["zz"]})"),
            "syntax error: zz is not a valid column name");
  EXPECT_EQ(refusal(R"({"op":"select","table":"Root","where":[],"columns":["name","name"]})"),
            "syntax error: array of distinct column names expected");
}

TEST_F(Transact, AbortTakesEverythingBack) {
  EXPECT_EQ(refusal(insert("Root", 1, R"({"name":"a"})") + R"(,{"op":"abort"})"),
            "aborted: aborted by request");
  EXPECT_EQ(db.table("Root").size(), 0U);
}

TEST_F(Transact, CommitAndCommentAreAccepted) {
  EXPECT_EQ(good(R"({"op":"comment","comment":"why"},{"op":"commit","durable":true})"),
            Json::parse("[{},{}]"));
  EXPECT_EQ(error(R"({"op":"commit","durable":1})"), "syntax error");
}

TEST_F(Transact, AssertAsksWhoOwnsTheLock) {
  EXPECT_EQ(refusal(R"({"op":"assert","lock":"key"})"), "not owner: Asserted lock key not held.");
  TransactContext owner;
  owner.owns_lock = [](const std::string& name) { return name == "key"; };
  EXPECT_EQ(run(R"({"op":"assert","lock":"key"})", owner), Json::parse("[{}]"));
  EXPECT_EQ(error(R"({"op":"assert","lock":"other"})", owner), "not owner");
  EXPECT_EQ(error(R"({"op":"assert","lock":"5"})", owner), "syntax error");
}

TEST_F(Transact, WaitComparesRowsAndTimesOut) {
  good(insert("Root", 1, R"({"name":"a","number":3})"));
  const auto wait = [](const std::string& timeout, const std::string& until, const std::string& rows) {
    return R"({"op":"wait","table":"Root","where":[],"columns":["name","number"],)" + timeout +
           R"("until":")" + until + R"(","rows":[)" + rows + "]}";
  };
  const std::string row = R"({"name":"a","number":3})";
  EXPECT_EQ(run(wait(R"("timeout":0,)", "==", row)), Json::parse("[{}]"));
  EXPECT_EQ(refusal(wait(R"("timeout":0,)", "!=", row)), "timed out: \"where\" clause test failed");
  EXPECT_EQ(run(wait("", "!=", row)), "waiting");
  EXPECT_EQ(run(wait(R"("timeout":30,)", "!=", row)), "waiting");
  const TransactResult waiting =
      db.transact(Json::parse("[" + wait(R"("timeout":30,)", "!=", row) + "]"), {.elapsed_ms = 10});
  EXPECT_EQ(waiting.retry_after_ms, 20);
  const Json late = run(wait(R"("timeout":30,)", "!=", row), {.elapsed_ms = 30});
  EXPECT_EQ(late[0]["error"], "timed out");
  EXPECT_EQ(late[0]["details"], "\"wait\" timed out after 30 ms");
  EXPECT_EQ(run(wait(R"("timeout":0,)", "!=", R"({"name":"a","number":4})")), Json::parse("[{}]"));
  EXPECT_EQ(error(wait("", "<", row)), "syntax error");
}

TEST_F(Transact, AWaitingTransactionChangesNothing) {
  EXPECT_EQ(
      run(insert("Root", 1, R"({"name":"a"})") +
          R"(,{"op":"wait","table":"Root","where":[],"columns":["name"],"until":"==","rows":[{"name":"b"}]})"),
      "waiting");
  EXPECT_EQ(db.table("Root").size(), 0U);
}

TEST_F(Transact, ReadOnlyRefusesWrites) {
  TransactContext context;
  context.read_only = true;
  EXPECT_EQ(run(insert("Root", 1, "{}"), context)[0]["error"], "not allowed");
  EXPECT_EQ(run(R"({"op":"select","table":"Root","where":[]})", context), Json::parse(R"([{"rows":[]}])"));
}

TEST_F(Transact, VersionChangesWithTheRowOnly) {
  good(insert("Root", 1, R"({"name":"a"})"));
  const Datum first = (*db.find("Root", id(1)))["_version"];
  good(R"({"op":"update","table":"Root","where":[],"row":{"name":"a"}})");
  EXPECT_EQ((*db.find("Root", id(1)))["_version"], first);
  good(R"({"op":"update","table":"Root","where":[],"row":{"name":"b"}})");
  EXPECT_NE((*db.find("Root", id(1)))["_version"], first);
}

TEST_F(Transact, MutationsInOneTransactionAreThoseOfMany) {
  std::mt19937 random(4711);
  const auto number = [&random](unsigned below) { return std::to_string(random() % below); };
  const auto key = [&] { return R"("k)" + number(12) + R"(")"; };
  const auto mutation = [&]() -> std::string {
    const std::string pair = "[\"map\",[[" + key() + R"(,"v)" + number(3) + R"("]]])";
    switch (random() % 6) {
      case 0:
        return R"({"op":"mutate","table":"Root","where":[],"mutations":[["config","delete",)" + pair + "]]}";
      case 1:
        return R"({"op":"mutate","table":"Root","where":[],"mutations":[["config","delete",["set",[)" +
               key() + "]]]]}";
      case 2:
        return R"({"op":"update","table":"Root","where":[["config","includes",)" + pair +
               R"(]],"row":{"label":"l)" + number(9) + R"("}})";
      case 3:
        return R"({"op":"mutate","table":"Root","where":[["name","==","b"]],"mutations":[["number","+=",1],["config","insert",)" +
               pair + "]]}";
      case 4:
        if (random() % 4 == 0)
          return R"({"op":"update","table":"Root","where":[],"row":{"config":)" + pair + "}}";
        return R"({"op":"select","table":"Root","where":[],"columns":["name","config"]})";
      default:
        return R"({"op":"mutate","table":"Root","where":[],"mutations":[["config","insert",)" + pair + "]]}";
    }
  };
  const std::string rows = insert("Root", 1, R"({"name":"a","number":1,"label":"x"})") + "," +
                           insert("Root", 2, R"({"name":"b","number":2,"label":"y"})");
  for (int round = 0; round < 40; ++round) {
    Database one(test::schema()), many(test::schema());
    test::good(one, rows);
    test::good(many, rows);
    std::string all;
    Json expected = Json::array();
    for (int i = 0; i < 30; ++i) {
      const std::string each = mutation();
      all += (i ? "," : "") + each;
      expected.push_back(test::good(many, each)[0]);
    }
    const auto sorted = [](Json results) {
      for (Json& result : results) {
        if (result.contains("rows")) std::sort(result["rows"].begin(), result["rows"].end());
      }
      return results;
    };
    EXPECT_EQ(sorted(test::good(one, all)), sorted(expected)) << all;
    for (const std::uint64_t row : {1, 2}) {
      for (const char* column : {"config", "label", "number"})
        EXPECT_EQ((*one.find("Root", id(row)))[column], (*many.find("Root", id(row)))[column]) << all;
    }
  }
}

TEST_F(Transact, AColumnThatIsEditedAgainAndAgainKeepsToItsSize) {
  good(insert("Node", 7, R"({"name":"n"})") + "," +
       insert("Root", 2, R"({"name":"r","nodes":)" + ref(7) + "}") + "," +
       insert("Watch", 1, R"({"name":"w","some":)" + ref(7) + "}"));
  const std::string less =
      R"({"op":"mutate","table":"Watch","where":[],"mutations":[["some","delete",)" + ref(7) + "]]}";
  const std::string more =
      R"({"op":"mutate","table":"Watch","where":[],"mutations":[["some","insert",)" + ref(8) + "]]}";
  EXPECT_EQ(refusal(more + "," + less + "," + less.substr(0, less.find(ref(7))) + ref(8) + "]]}"),
            "constraint violation: Attempted to store 0 elements in set of 1 or more uuids.");
}

TEST_F(Transact, ATransactionIsBounded) {
  good(insert("Root", 1, R"({"name":"a","number":1,"label":")" + std::string(1000, 'l') + "\"}") + "," +
       insert("Root", 2, R"({"name":"b","number":2})"));
  const std::string all = R"({"op":"select","table":"Root","where":[]})";
  const std::string named =
      R"({"op":"select","table":"Root","where":[["label","!=","x"],["label","!=","y"]]})";
  const auto refused = [this](const std::string& operations, const TransactLimits& limits) {
    const Json results = run(operations, {.limits = limits});
    for (const Json& result : results) {
      if (result.is_object() && result.value("error", "") == "resources exhausted")
        return result["details"].get<std::string>();
    }
    return "granted: " + results.dump();
  };
  EXPECT_EQ(
      refused(all + "," + named, {.steps = 7}),
      "the operations of this transaction take more than 7 steps (rows times clauses); name rows by _uuid or "
      "by an index, or split it");
  EXPECT_EQ(refused(all + "," + named, {.steps = 8}).substr(0, 7), "granted");
  EXPECT_EQ(
      refused(all, {.bytes = 2000}),
      "the results and values of this transaction exceed 2000 bytes of memory; select fewer rows or columns, "
      "or split it");
  EXPECT_EQ(refused(all, {.bytes = 10'000}).substr(0, 7), "granted");
  EXPECT_EQ(refused(all + "," + all + "," + all + "," + all + "," + all, {.bytes = 10'000}).substr(0, 11),
            "the results");
  // One value, many rows: each gets a copy.
  const std::string wide =
      R"({"op":"mutate","table":"Root","where":[],"mutations":[["config","insert",["map",[["k",")" +
      std::string(6000, 'v') + R"("]]]]]})";
  EXPECT_EQ(refused(wide, {.bytes = 10'000}).substr(0, 11), "the results");
  EXPECT_EQ(refused(wide, {.bytes = 20'000}).substr(0, 7), "granted");
  try {
    run(all + "," + all + "," + all, {.limits = {.operations = 2}});
    ADD_FAILURE() << "three operations";
  } catch (const Error& error) {
    EXPECT_EQ(error.error, "resources exhausted");
    EXPECT_EQ(error.details, "the transaction has 3 operations, and 2 are allowed; split it");
  }
}

}  // namespace
}  // namespace vswitch::ovsdb
