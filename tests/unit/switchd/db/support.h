// SPDX-License-Identifier: Apache-2.0
// What the tests of the database share: a schema with every kind of column and table, and short ways to talk
// to it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "schemas/json.h"
#include "switchd/db/transaction.h"

namespace vswitch::ovsdb::test {

/// Root -> Node (strong, a Node may point to Nodes) -> Leaf (strong); Watch (root) -> Node (weak).
inline DatabaseSchema schema() {
  return DatabaseSchema::parse(Json::parse(R"({"name": "Test", "version": "3.2.1", "tables": {
    "Root": {"isRoot": true, "indexes": [["name"], ["number", "label"]], "maxRows": 4, "columns": {
      "name": {"type": "string"}, "number": {"type": "integer"}, "label": {"type": "string"},
      "fixed": {"type": "string", "mutable": false},
      "nodes": {"type": {"key": {"type": "uuid", "refTable": "Node"}, "min": 0, "max": "unlimited"}},
      "by_number": {"type": {"key": "integer", "value": {"type": "uuid", "refTable": "Node"}, "min": 0, "max": "unlimited"}},
      "config": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
      "load": {"type": {"key": "real", "min": 0, "max": 1}, "ephemeral": true}}},
    "Node": {"columns": {
      "name": {"type": "string"},
      "next": {"type": {"key": {"type": "uuid", "refTable": "Node"}, "min": 0, "max": 1}},
      "leaf": {"type": {"key": {"type": "uuid", "refTable": "Leaf"}, "min": 0, "max": "unlimited"}}}},
    "Leaf": {"columns": {"value": {"type": "integer"}}},
    "Watch": {"isRoot": true, "columns": {
      "name": {"type": "string"},
      "any": {"type": {"key": {"type": "uuid", "refTable": "Node", "refType": "weak"}, "min": 0, "max": "unlimited"}},
      "some": {"type": {"key": {"type": "uuid", "refTable": "Node", "refType": "weak"}, "min": 1, "max": "unlimited"}}}}}})"));
}

/// "00000000-0000-00NN-0000-000000000000"
inline Uuid id(std::uint64_t number) {
  return Uuid{number, 0};
}
inline std::string ref(std::uint64_t number) {
  return R"(["uuid",")" + id(number).to_string() + R"("])";
}

/// Executes operations given as the inside of a JSON array.
inline Json run(Database& database, const std::string& operations, const TransactContext& context = {}) {
  const TransactResult result = database.transact(Json::parse("[" + operations + "]"), context);
  return result.waiting() ? Json("waiting") : *result.reply;
}

/// `error` of the last element, "" when it is good.
inline std::string error_of(const Json& results) {
  return results.is_array() && !results.empty() && results.back().is_object()
             ? results.back().value("error", "")
             : "";
}

/// run() that must succeed.
inline Json good(Database& database, const std::string& operations) {
  Json results = run(database, operations);
  EXPECT_EQ(error_of(results), "") << results.dump();
  return results;
}

/// An insert of a row with a chosen UUID.
inline std::string insert(const std::string& table, std::uint64_t number, const std::string& row) {
  return R"({"op":"insert","table":")" + table + R"(","uuid":")" + id(number).to_string() + R"(","row":)" +
         row + "}";
}

/// A database of that schema.
class DatabaseTest : public ::testing::Test {
 protected:
  Json run(const std::string& operations, const TransactContext& context = {}) {
    return test::run(db, operations, context);
  }
  Json good(const std::string& operations) { return test::good(db, operations); }
  /// error of the last element, when it is refused
  std::string error(const std::string& operations, const TransactContext& context = {}) {
    return error_of(run(operations, context));
  }

  Database db{schema()};
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "vswitch_db_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace vswitch::ovsdb::test
