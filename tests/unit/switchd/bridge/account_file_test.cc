// SPDX-License-Identifier: Apache-2.0
// Accounts that outlive the daemon.
#include "switchd/bridge/account_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "datapath/base/thread_annotations.h"
#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

constexpr auto kRateLimited = static_cast<std::size_t>(DropReason::rate_limited);
constexpr auto kEnded = static_cast<std::size_t>(DropReason::switch_ended);

class AccountFileTest : public testing::Test {
 protected:
  AccountFileTest() { std::filesystem::create_directory(directory); }
  ~AccountFileTest() override { std::filesystem::remove_all(directory); }

  void write(const std::string& text) { std::ofstream(path) << text; }
  AccountTotals load() {
    trouble.clear();
    return bridge::load_accounts(path, trouble);
  }

  const std::string directory = testing::TempDir() + "accounts." + std::to_string(::getpid());
  const std::string path = directory + "/conf.db.accounts";
  std::string trouble;
};

AccountTotals some_accounts() {
  DestinationTotals to_port{
      .matched = 10, .delivered = 6, .delivered_bytes = 600, .sent_packets = 7, .truncated = 1};
  to_port.lost[kRateLimited] = 4;
  const DestinationTotals largest{.matched = ~std::uint64_t{0}, .delivered = ~std::uint64_t{0}};
  return {{"a", {.frames = 10, .bytes = 640, .destinations = {{"t\xc3\xa4p", to_port}, {"", largest}}}},
          {"b", {}}};
}

TEST_F(AccountFileTest, IsReadAsItWasWritten) {
  EXPECT_EQ(bridge::save_accounts(path, some_accounts()), "");
  EXPECT_EQ(load(), some_accounts());
  EXPECT_EQ(trouble, "");
  EXPECT_EQ(bridge::save_accounts(path, {}), "") << "in place of the one before";
  EXPECT_EQ(load(), AccountTotals());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory), {}), 1) << "nothing else is left";
}

TEST_F(AccountFileTest, NoneIsNoTrouble) {
  EXPECT_EQ(load(), AccountTotals());
  EXPECT_EQ(trouble, "");
}

TEST_F(AccountFileTest, ADamagedOneBeginsAtZeroAndSaysSo) {
  const std::string good = bridge::account_text(some_accounts());
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{\"version\": 2, \"sessions\": {}}"),
        good.substr(0, good.size() / 2), std::string(100000, '['),
        std::string("{\"version\": 1, \"sessions\": {\"a\": 5}}"),
        std::string("{\"version\": 1, \"sessions\": {\"a\": {\"frames\": -1}}}")}) {
    write(text);
    EXPECT_EQ(load(), AccountTotals()) << text.substr(0, 60);
    EXPECT_NE(trouble.find("begin at zero: " + path), std::string::npos) << trouble;
  }
}

TEST_F(AccountFileTest, WhatIsNoFileIsRefusedWithoutWaiting) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(load(), AccountTotals());
  EXPECT_NE(trouble.find("not a regular file"), std::string::npos) << trouble;
}

TEST_F(AccountFileTest, AReasonOfAnotherVersionIsALossAllTheSame) {
  const AccountTotals known = bridge::parse_accounts(
      R"({"version": 1, "sessions": {"a": {"frames": 3, "bytes": 9, "destinations": {"p": {"matched": 3, "delivered": 1,
          "delivered_bytes": 1, "sent_packets": 1, "truncated": 0, "lost": {"of_tomorrow": 2}}}}}})");
  EXPECT_EQ(known.at("a").destinations.at("p").lost[kEnded], 2U);
}

TEST_F(AccountFileTest, AFullOrMissingDiskIsSaid) {
  const std::string said = bridge::save_accounts(directory + "/missing/accounts", {});
  EXPECT_NE(said.find("cannot be kept for the next start"), std::string::npos) << said;
}

TEST(Accounts, GoOnInTheNextRegistryAndCloseThere) {
  AccountTotals kept;
  {
    SwitchLab before;
    for (const char* name : {"p1", "m"}) before.port(name);
    SessionSpec& session = before.session("s");
    session.sources = {{"p1", Direction::from}};
    session.destinations = {"m"};
    before.apply();
    for (int i = 0; i < 3; ++i) before.inject("p1", frame().dst(kBroadcast).zeros(50));
    before.run();
    kept = totals_of(before.registry.sessions(), {});
    EXPECT_EQ(kept.at("br0/s").frames, 3U);
    EXPECT_EQ(kept.at("br0/s").destinations.at("m").delivered, 3U);
  }
  kept["br0/s"].destinations["m"].matched += 2;  // those had been queued
  kept["br0/later"].frames = 5;
  SwitchLab after;
  const RoleScope role(roles::control);
  after.registry.resume(kept);
  for (const char* name : {"p1", "m"}) after.port(name);
  SessionSpec& session = after.session("s");
  session.sources = {{"p1", Direction::from}};
  session.destinations = {"m"};
  after.apply();
  after.inject("p1", frame().dst(kBroadcast).zeros(50));
  after.run();
  EXPECT_EQ(after.account("s", "m"), (SwitchLab::Account{.matched = 6, .delivered = 4, .lost = 2}));
  EXPECT_EQ(after.lost("s", "m", DropReason::switch_ended), 2U);
  EXPECT_EQ(after.frames_of("s"), 4U);
  const AccountTotals all = totals_of(after.registry.sessions(), after.registry.resumed());
  EXPECT_EQ(all.at("br0/later").frames, 5U) << "a session that has not come yet keeps its account";
  after.registry.restart_account("br0/s");
  after.apply();
  EXPECT_EQ(after.account("s", "m"), SwitchLab::Account()) << "begun anew, and not resumed again";
}

}  // namespace
}  // namespace vswitch::test
