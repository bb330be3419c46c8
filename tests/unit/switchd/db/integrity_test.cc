// SPDX-License-Identifier: Apache-2.0
// References, garbage, indexes, limits, and what listeners are told.
#include "switchd/db/integrity.h"

#include <algorithm>

#include "tests/unit/switchd/db/support.h"

namespace vswitch::ovsdb {
namespace {

using test::id;
using test::insert;
using test::ref;

class Integrity : public test::DatabaseTest {
 protected:
  Integrity() {
    db.on_commit([this](const Changes& changes) { told.push_back(changes); });
  }

  /// Root 1 -> Node 2 -> Leaf 3; Watch 4 sees Node 2.
  void fill() {
    good(insert("Root", 1, R"({"name":"r","nodes":)" + ref(2) + "}") + "," +
         insert("Node", 2, R"({"name":"n","leaf":)" + ref(3) + "}") + "," +
         insert("Leaf", 3, R"({"value":33})") + "," +
         insert("Watch", 4,
                R"({"name":"w","any":)" + ref(2) + R"(,"some":["set",[)" + ref(2) + "," + ref(5) + "]]}") +
         "," + insert("Node", 5, R"({"name":"m"})") + "," +
         insert("Root", 6, R"({"name":"q","number":6,"nodes":)" + ref(5) + "}"));
    told.clear();
  }
  std::size_t size(const char* table) const { return db.table(table).size(); }
  const RowChange* change(const char* table, std::uint64_t number) const {
    for (const RowChange& row : told.back().of(table)) {
      if (row.uuid == id(number)) return &row;
    }
    return nullptr;
  }

  std::vector<Changes> told;
};

TEST_F(Integrity, UnreferencedRowsOfOtherTablesVanishAtOnce) {
  good(insert("Node", 2, R"({"name":"n"})") + "," + insert("Leaf", 3, "{}"));
  EXPECT_EQ(size("Node") + size("Leaf"), 0U);
  EXPECT_TRUE(told.empty()) << "a row that came and went is no change";
}

TEST_F(Integrity, GarbageGoesDownTheChainAndWeakReferencesWithIt) {
  fill();
  ASSERT_EQ(size("Node"), 2U);
  good(R"({"op":"update","table":"Root","where":[["name","==","r"]],"row":{"nodes":["set",[]]}})");
  EXPECT_EQ(size("Node"), 1U);
  EXPECT_EQ(size("Leaf"), 0U);
  const Row& watch = *db.find("Watch", id(4));
  EXPECT_TRUE(watch["any"].empty());
  EXPECT_EQ(watch.uuids("some"), std::vector<Uuid>{id(5)});
  ASSERT_EQ(told.size(), 1U) << "one notification for all of it";
  EXPECT_TRUE(change("Root", 1)->touches("nodes"));
  EXPECT_FALSE(change("Root", 1)->touches("name"));
  EXPECT_TRUE(change("Node", 2)->deleted());
  EXPECT_EQ(change("Node", 2)->before->str("name"), "n");
  EXPECT_TRUE(change("Leaf", 3)->deleted());
  EXPECT_TRUE(change("Watch", 4)->touches("any"));
  EXPECT_EQ(told.back().of("Watch").size(), 1U);
}

TEST_F(Integrity, LastWeakReferenceOfAColumnThatNeedsOneRefuses) {
  fill();
  const Json results = run(R"({"op":"update","table":"Root","where":[],"row":{"nodes":["set",[]]}})");
  EXPECT_EQ(test::error_of(results), "constraint violation");
  EXPECT_NE(results.back()["details"].get<std::string>().find("column some"), std::string::npos);
  EXPECT_EQ(size("Node"), 2U);
  EXPECT_TRUE(told.empty());
}

TEST_F(Integrity, DeletingAReferencedRowRefuses) {
  fill();
  const Json results = run(R"({"op":"delete","table":"Leaf","where":[]})");
  EXPECT_EQ(results.back()["error"], "referential integrity violation");
  EXPECT_EQ(results.back()["details"],
            "cannot delete Leaf row " + id(3).to_string() + " because of 1 remaining reference(s)");
}

TEST_F(Integrity, DeletingBothEndsIsFine) {
  fill();
  // A row that will be garbage counts as long as nobody deletes it, as in Open vSwitch.
  const Json results =
      run(R"({"op":"delete","table":"Watch","where":[]},{"op":"delete","table":"Leaf","where":[]},
                                  {"op":"delete","table":"Root","where":[]})");
  EXPECT_EQ(results.back()["error"], "referential integrity violation");
  good(R"({"op":"delete","table":"Watch","where":[]},{"op":"delete","table":"Leaf","where":[]},
              {"op":"delete","table":"Node","where":[]},{"op":"delete","table":"Root","where":[]})");
  EXPECT_EQ(size("Root") + size("Node") + size("Leaf") + size("Watch"), 0U);
}

TEST_F(Integrity, ARowHeldTwiceStaysUntilTheSecondGoes) {
  fill();
  good(
      R"({"op":"mutate","table":"Root","where":[["name","==","q"]],"mutations":[["by_number","insert",["map",[[7,)" +
      ref(2) + R"(]]]]]})");
  good(R"({"op":"update","table":"Root","where":[["name","==","r"]],"row":{"nodes":["set",[]]}})");
  EXPECT_NE(db.find("Node", id(2)), nullptr);
  good(
      R"({"op":"mutate","table":"Root","where":[["name","==","q"]],"mutations":[["by_number","delete",["set",[7]]]]})");
  EXPECT_EQ(db.find("Node", id(2)), nullptr);
}

TEST_F(Integrity, CirclesAreCollectedOnceUnreachable) {
  EXPECT_TRUE(db.has_circle());
  EXPECT_FALSE(has_circle(vswitch_schema()));
  good(insert("Root", 1, R"({"name":"r","nodes":)" + ref(2) + "}") + "," +
       insert("Node", 2, R"({"name":"a","next":)" + ref(3) + "}") + "," +
       insert("Node", 3, R"({"name":"b","next":)" + ref(2) + R"(,"leaf":)" + ref(8) + "}") + "," +
       insert("Leaf", 8, R"({"value":8})"));
  EXPECT_EQ(size("Node"), 2U);
  good(R"({"op":"update","table":"Root","where":[],"row":{"nodes":["set",[]]}})");
  EXPECT_EQ(size("Node"), 0U);
  EXPECT_EQ(size("Leaf"), 0U);
  good(insert("Node", 9, R"({"name":"self","next":)" + ref(9) + "}"));
  EXPECT_EQ(size("Node"), 0U);
}

TEST_F(Integrity, WeakReferencesToNothingAreDroppedAtInsert) {
  fill();
  good(insert("Watch", 7,
              R"({"name":"x","any":["set",[)" + ref(2) + "," + ref(99) + R"(]],"some":)" + ref(5) + "}"));
  EXPECT_EQ(db.find("Watch", id(7))->uuids("any"), std::vector<Uuid>{id(2)});
}

TEST_F(Integrity, IndexesCompareBeforeAndAfter) {
  good(insert("Root", 1, R"({"name":"a","number":1})") + "," +
       insert("Root", 2, R"({"name":"b","number":2})"));
  const Json results = run(insert("Root", 3, R"({"name":"a","number":3})"));
  EXPECT_EQ(test::error_of(results), "constraint violation");
  EXPECT_EQ(
      results.back()["details"],
      "Transaction causes multiple rows in \"Root\" table to have identical values (a) for index on column "
      "\"name\".  First row, with UUID " +
          id(1).to_string() +
          ", existed in the database before this transaction and was not modified by the transaction.  "
          "Second "
          "row, with UUID " +
          id(3).to_string() + ", was inserted by this transaction.");
  good(R"({"op":"update","table":"Root","where":[["_uuid","==",)" + ref(1) + R"(]],"row":{"name":"b"}},
              {"op":"update","table":"Root","where":[["_uuid","==",)" +
       ref(2) + R"(]],"row":{"name":"a"}})");
  EXPECT_EQ(db.table("Root").find("name", "a")->uuid(), id(2));
  EXPECT_EQ(db.table("Root").find("name", "b")->uuid(), id(1));
  good(R"({"op":"delete","table":"Root","where":[["name","==","a"]]},)" +
       insert("Root", 4, R"({"name":"a","number":4})"));
  EXPECT_EQ(db.table("Root").find("name", "a")->uuid(), id(4));
  EXPECT_EQ(db.table("Root").find("name", "zz"), nullptr);
  EXPECT_EQ(error(insert("Root", 5, R"({"name":"y","number":5})") + "," +
                  insert("Root", 6, R"({"name":"y","number":6})")),
            "constraint violation");
}

TEST_F(Integrity, IndexOverTwoColumns) {
  good(insert("Root", 1, R"({"name":"a","number":1,"label":"x"})") + "," +
       insert("Root", 2, R"({"name":"b","number":1,"label":"y"})"));
  EXPECT_EQ(error(insert("Root", 3, R"({"name":"c","number":1,"label":"y"})")), "constraint violation");
}

TEST_F(Integrity, MaxRows) {
  for (std::uint64_t i = 1; i <= 4; ++i) {
    good(insert("Root", i, R"({"name":"r)" + std::to_string(i) + R"(","number":)" + std::to_string(i) + "}"));
  }
  const Json results = run(insert("Root", 5, R"({"name":"r5","number":5})"));
  EXPECT_EQ(results.back()["details"],
            "transaction causes \"Root\" table to contain 5 rows, greater than the schema-defined limit of 4 "
            "row(s)");
  good(R"({"op":"delete","table":"Root","where":[["name","==","r1"]]},)" +
       insert("Root", 5, R"({"name":"r5","number":5})"));
}

TEST_F(Integrity, ChangedAndChangedBackTellsNothing) {
  fill();
  good(R"({"op":"update","table":"Root","where":[],"row":{"config":["map",[["a","b"]]]}},
              {"op":"update","table":"Root","where":[],"row":{"config":["map",[]]}})");
  EXPECT_TRUE(told.empty());
}

TEST_F(Integrity, ListenersThatCommitAreToldInOrder) {
  std::vector<std::string> heard;
  db.on_commit([&](const Changes& changes) {
    if (changes.of("Root").empty()) return;
    Transaction inner(db);
    const Uuid watch = inner.insert("Watch");
    inner.set("Watch", watch, "name", Datum::of("made by listener"));
    inner.set("Watch", watch, "some", Datum::of(id(2)));
    EXPECT_FALSE(inner.commit());
  });
  db.on_commit([&](const Changes& changes) {
    heard.push_back(changes.of("Root").empty() ? "watch" : "root");
    EXPECT_EQ(db.table("Watch").size(), 1U);
  });
  good(insert("Root", 1, R"({"name":"r","nodes":)" + ref(2) + "}") + "," +
       insert("Node", 2, R"({"name":"n"})"));
  EXPECT_EQ(heard, (std::vector<std::string>{"root", "watch"}));
}

TEST_F(Integrity, AListenerMayRemoveItselfAndOthers) {
  int first = 0;
  int second = 0;
  Database::ListenerId other = 0;
  const auto own = db.on_commit([&](const Changes&) {
    ++first;
    db.remove_listener(other);
  });
  other = db.on_commit([&](const Changes&) { ++second; });
  good(insert("Root", 1, R"({"name":"a"})"));
  db.remove_listener(own);
  good(insert("Root", 2, R"({"name":"b","number":2})"));
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 0);
}

TEST_F(Integrity, TransactionsFromCodeHaveTheSameChecks) {
  fill();
  Transaction bad(db);
  bad.set("Root", id(1), "name", Datum::of(std::int64_t{5}));
  bad.set("Root", id(1), "label", Datum::of("kept"));
  const auto refused = bad.commit();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error, "constraint violation");
  EXPECT_EQ(db.find("Root", id(1))->str("label"), "");

  Transaction immutable(db);
  immutable.set("Root", id(1), "fixed", Datum::of("x"));
  EXPECT_EQ(immutable.commit()->error, "constraint violation");

  Transaction fine(db);
  const Uuid node = fine.insert("Node");
  fine.set("Node", node, "name", Datum::of("new"));
  fine.add("Root", id(1), "nodes", Datum::of(node));
  fine.add("Root", id(1), "config",
           Datum::map_of(std::map<std::string, std::string>{{"a", "1"}, {"b", "2"}}));
  fine.remove("Root", id(1), "config", Datum::of("a"));
  fine.erase("Watch", id(4));
  EXPECT_EQ(fine.find("Node", node)->str("name"), "new");
  EXPECT_EQ(fine.find("Watch", id(4)), nullptr);
  EXPECT_FALSE(fine.commit());
  EXPECT_EQ(db.find("Root", id(1))->map("config"), (std::map<std::string, std::string>{{"b", "2"}}));
  EXPECT_EQ(db.find("Root", id(1))->uuids("nodes").size(), 2U);
  EXPECT_THROW(Transaction(db).set("Root", id(50), "name", Datum::of("x")), std::out_of_range);
  EXPECT_THROW(Transaction(db).set("Root", id(1), "nope", Datum::of("x")), std::out_of_range);
  EXPECT_THROW(Transaction(db).insert("Nope"), std::out_of_range);
}

}  // namespace
}  // namespace vswitch::ovsdb
