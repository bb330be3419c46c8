// SPDX-License-Identifier: Apache-2.0
// Manager rows become listeners, and what becomes of those stands in the rows.
#include "switchd/control/managers.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "schemas/ovsdb/schema.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"
#include "tests/support/certificates.h"
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
  control::ServerOptions with_tls() const {
    control::ServerOptions options;
    options.tls = tls_;
    return options;
  }
  void set_keys(const wire::TlsFiles& keys) {
    Transaction transaction(database_);
    for (const ovsdb::Row& row : database_.table("SSL"))
      transaction.remove("Open_vSwitch", root_, "ssl", Datum::of(row.uuid()));
    if (!keys.empty()) {
      const Uuid row = transaction.insert("SSL");
      transaction.set("SSL", row, "private_key", Datum::of(keys.private_key));
      transaction.set("SSL", row, "certificate", Datum::of(keys.certificate));
      transaction.set("SSL", row, "ca_cert", Datum::of(keys.ca_cert));
      transaction.add("Open_vSwitch", root_, "ssl", Datum::of(row));
    }
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
  const std::shared_ptr<control::TlsIdentity> tls_ = std::make_shared<control::TlsIdentity>();
  control::Server server_{io_, dispatcher_, with_tls()};
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
  const Uuid bad = add("pigeon:6640"), waiting = add("punix:" + directory + "/m.sock");
  EXPECT_THAT(status(bad).at("last_error"), HasSubstr("expected punix:PATH"));
  EXPECT_EQ(status(waiting).at("state"), "BACKOFF");
  std::filesystem::create_directory(directory);
  while (status(waiting).at("state") != "ACTIVE") io_.run_one();
  EXPECT_TRUE(TestClient(directory + "/m.sock").connected());
  remove(bad);
  remove(waiting);
  EXPECT_TRUE(server_.status().empty());
}

TEST_F(ManagerRows, TlsSaysWhatIsWrongWithTheKeysUntilTheyAreRight) {
  const Uuid row = add("pssl:0");
  EXPECT_EQ(status(row).at("state"), "BACKOFF");
  EXPECT_THAT(status(row).at("last_error"), HasSubstr("set-ssl"));
  EXPECT_GT(std::stoi(status(row).at("bound_port")), 0);
  const Authority authority(directory_ / "", "ca");
  const wire::TlsFiles keys = authority.certify("sw1"), others = authority.certify("sw2");
  wire::TlsFiles mixed = keys;
  mixed.private_key = others.private_key;
  set_keys(mixed);
  EXPECT_THAT(status(row).at("last_error"), HasSubstr("does not fit"));
  set_keys(keys);
  EXPECT_EQ(status(row).at("state"), "ACTIVE");
  EXPECT_FALSE(status(row).contains("last_error"));
  set_keys({});
  EXPECT_EQ(status(row).at("state"), "BACKOFF");
}

TEST_F(ManagerRows, ReplacedKeysAreReadAndUselessOnesAreNotTaken) {
  const Authority authority(directory_ / "", "ca");
  const wire::TlsFiles keys = authority.certify("sw1");
  set_keys(keys);
  const auto before = tls_->context();
  ASSERT_TRUE(before);
  tls_->refresh();
  EXPECT_EQ(tls_->context(), before) << "read again without need";
  std::filesystem::copy_file(authority.certify("sw2").certificate, keys.certificate,
                             std::filesystem::copy_options::overwrite_existing);  // and not yet the key
  tls_->refresh();
  EXPECT_EQ(tls_->context(), before);
  EXPECT_THAT(tls_->problem(), HasSubstr("were read before stay in use"));
  std::filesystem::copy_file(directory_ / "sw2-privkey.pem", keys.private_key,
                             std::filesystem::copy_options::overwrite_existing);
  tls_->refresh();
  EXPECT_NE(tls_->context(), before);
  EXPECT_EQ(tls_->problem(), "");
}

TEST_F(ManagerRows, APortForTheWholeNetworkIsAWarning) {
  EXPECT_THAT(status(add("ptcp:0:0.0.0.0")).at("warning"), HasSubstr("pssl:"));
  EXPECT_FALSE(status(add("ptcp:0:127.0.0.1")).contains("warning"));
}

TEST_F(ManagerRows, LeaveTheCommandLinesRemotesAlone) {
  const std::string remote = "punix:" + (directory_ / "given.sock");
  server_.open(remote);
  remove(add(remote));
  EXPECT_TRUE(server_.is_open(remote));
}

}  // namespace
}  // namespace vswitch::testing
