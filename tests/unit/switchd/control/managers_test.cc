// SPDX-License-Identifier: Apache-2.0
// Manager rows become listeners, and what becomes of those stands in the rows.
#include "switchd/control/managers.h"

#include <gmock/gmock.h>

#include <fstream>

#include "schemas/ovsdb/schema.h"
#include "switchd/base/log.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"
#include "tests/unit/switchd/control/test_client.h"

namespace vswitch::testing {
namespace {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;
using ::testing::HasSubstr;

// One thread plays both sides: the event loop runs when the test says so.
class ManagerRows : public ::testing::Test {
 protected:
  ManagerRows() {
    dispatcher_.add_echo();
    Transaction transaction(database_);
    root_ = transaction.insert("Open_vSwitch");
    EXPECT_FALSE(transaction.commit());
  }
  Uuid add(const std::string& target) {
    Transaction transaction(database_);
    const Uuid row = transaction.insert("Manager");
    transaction.set("Manager", row, "target", Datum::of(target));
    transaction.add("Open_vSwitch", root_, "manager_options", Datum::of(row));
    EXPECT_FALSE(transaction.commit());
    io_.poll();
    return row;
  }
  void remove(const Uuid& row) {
    Transaction transaction(database_);
    transaction.remove("Open_vSwitch", root_, "manager_options", Datum::of(row));
    EXPECT_FALSE(transaction.commit());
    io_.poll();
  }
  std::map<std::string, std::string> status(const Uuid& row) {
    return database_.find("Manager", row)->map("status");
  }

  TempDir directory_;
  boost::asio::io_context io_;
  ovsdb::Database database_{ovsdb::vswitch_schema()};
  Uuid root_;
  control::Dispatcher dispatcher_;
  control::Server server_{io_, dispatcher_, {}};
  control::Managers managers_{io_, database_, server_};
};

TEST_F(ManagerRows, OpenAndCloseListeners) {
  const std::string path = directory_ / "manager.sock";
  const Uuid row = add("punix:" + path);
  EXPECT_EQ(status(row).at("state"), "ACTIVE");
  EXPECT_TRUE(TestClient(path).connected());
  remove(row);
  EXPECT_FALSE(TestClient(path).connected());
  EXPECT_TRUE(server_.status().empty());
}

TEST_F(ManagerRows, TellThePortAndWhetherSomebodyIsThere) {
  const std::string path = directory_ / "manager.sock";
  const Uuid tcp = add("ptcp:0:127.0.0.1"), local = add("punix:" + path);
  EXPECT_GT(std::stoi(status(tcp).at("bound_port")), 0);
  const TestClient client(path);
  while (database_.find("Manager", local)->boolean("is_connected") != true) io_.run_one();  // the next tick
  EXPECT_EQ(database_.find("Manager", tcp)->boolean("is_connected"), false);
}

TEST_F(ManagerRows, WhatCannotBeOpenedSaysWhyAndIsTriedAgain) {
  const std::string directory = directory_ / "later";
  const Uuid bad = add("pssl:6640"), waiting = add("punix:" + directory + "/m.sock");
  EXPECT_THAT(status(bad).at("last_error"), HasSubstr("TLS"));
  EXPECT_EQ(status(waiting).at("state"), "BACKOFF");
  std::filesystem::create_directory(directory);
  while (status(waiting).at("state") != "ACTIVE") io_.run_one();
  EXPECT_TRUE(TestClient(directory + "/m.sock").connected());
  remove(bad);
  remove(waiting);
  EXPECT_TRUE(server_.status().empty());
}

TEST_F(ManagerRows, KeysOfTlsAreNotTakenWithoutAWord) {
  const std::string file = directory_ / "log";
  log::open_file(file);
  const auto warnings = [&file] {
    std::ifstream lines(file);
    std::size_t found = 0;
    for (std::string line; std::getline(lines, line);) {
      if (line.find("|WARN|") != line.npos && line.find("TLS is not supported yet") != line.npos) ++found;
    }
    return found;
  };
  Transaction set(database_);
  const Uuid row = set.insert("SSL");
  set.add("Open_vSwitch", root_, "ssl", Datum::of(row));
  EXPECT_FALSE(set.commit());
  EXPECT_EQ(warnings(), 1U);
  const control::Managers next(io_, database_, server_);  // after a restart
  EXPECT_EQ(warnings(), 2U);
  Transaction remove(database_);
  remove.remove("Open_vSwitch", root_, "ssl", Datum::of(row));
  EXPECT_FALSE(remove.commit());
  EXPECT_EQ(warnings(), 2U);
  log::open_file("/dev/null");
}

TEST_F(ManagerRows, LeaveTheCommandLinesRemotesAlone) {
  const std::string remote = "punix:" + (directory_ / "given.sock");
  server_.open(remote);
  remove(add(remote));
  EXPECT_TRUE(server_.is_open(remote));
}

}  // namespace
}  // namespace vswitch::testing
