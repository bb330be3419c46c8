// SPDX-License-Identifier: Apache-2.0
// Which commits share a sync, and when what is said about them may be heard.
#include "switchd/group_commit.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <sys/stat.h>

#include <chrono>

#include "switchd/db/log.h"
#include "tests/unit/switchd/db/support.h"

namespace vswitch::ovsdb {
namespace {

using test::good;
using test::insert;

class GroupCommitTest : public ::testing::Test {
 protected:
  /// As a client's request: the commit, and what is said about it as soon as the gate lets it out.
  void commit(int number) {
    good(*db_,
         R"({"op":"update","table":"Root","where":[],"row":{"number":)" + std::to_string(number) + "}}");
    say(number, gate_.needed());
  }
  void say(int number, control::OutputGate::SyncNumber needed) {
    if (!gate_.lets_pass(needed)) return gate_.when_open([this, number, needed] { say(number, needed); });
    said_.push_back(number);
  }
  void run_until_said(std::size_t count) {
    while (said_.size() < count && io_.run_one_for(std::chrono::seconds(20)) > 0) {
    }
    ASSERT_EQ(said_.size(), count);
  }

  std::unique_ptr<Database> open_with_a_row() {
    std::vector<std::string> warnings;
    auto db = Database::open(path_, test::schema(), warnings);
    good(*db, insert("Root", 1, R"({"name":"r"})"));
    return db;
  }

  test::TemporaryDirectory directory_;
  std::string path_ = directory_.file("conf.db");
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  std::unique_ptr<Database> db_ = open_with_a_row();
  control::OutputGate gate_;
  std::vector<std::string> failures_;
  GroupCommit group_commit_{io_, *db_, gate_, [this](const std::string& why) { failures_.push_back(why); }};
  std::vector<int> said_;
};

TEST_F(GroupCommitTest, CommitsOfATurnShareASync) {
  for (int i = 1; i <= 5; ++i) commit(i);
  EXPECT_TRUE(said_.empty());
  run_until_said(5);
  EXPECT_EQ(said_, (std::vector{1, 2, 3, 4, 5}));
  EXPECT_EQ(group_commit_.syncs(), 1U);
  EXPECT_FALSE(gate_.is_shut());
}

TEST_F(GroupCommitTest, WhatACommitLeadsToInItsTurnIsCoveredToo) {
  boost::asio::post(io_, [this] {
    commit(1);
    boost::asio::post(io_, [this] { commit(2); });  // as the switch reports what it has done
  });
  run_until_said(2);
  EXPECT_EQ(group_commit_.syncs(), 1U);
}

TEST_F(GroupCommitTest, CommitsDuringASyncAreSaidAfterTheNext) {
  commit(1);
  io_.run_one();
  io_.run_one();  // begun
  commit(2);
  commit(3);
  EXPECT_EQ(gate_.needed(), 2U);
  run_until_said(1);
  EXPECT_TRUE(gate_.is_shut());
  run_until_said(3);
  EXPECT_EQ(said_, (std::vector{1, 2, 3}));
  EXPECT_EQ(group_commit_.syncs(), 2U);
}

TEST_F(GroupCommitTest, ChangesThatAreNotStoredWaitForNothing) {
  good(*db_, R"({"op":"update","table":"Root","where":[],"row":{"load":0.25}})");
  EXPECT_FALSE(gate_.is_shut());
}

TEST_F(GroupCommitTest, FlushCoversTheSyncUnderWayAndWhatFollowed) {
  commit(1);
  io_.run_one();
  io_.run_one();  // begun
  commit(2);
  group_commit_.flush();
  EXPECT_EQ(said_, (std::vector{1, 2}));
  commit(3);  // and life goes on
  run_until_said(3);
  EXPECT_EQ(group_commit_.syncs(), 3U);
}

TEST_F(GroupCommitTest, AFailureIsHeardBeforeTheGateOpens) {
  // No room for a new file, after the old one has failed.
  ::mkdir(LogFile::temporary_name(path_).c_str(), 0700);
  commit(1);
  const Database::DiskWait wait = db_->begin_sync();
  EXPECT_THROW(db_->end_sync(std::make_error_code(std::errc::io_error)), std::system_error);
  commit(2);
  const auto heard = [this] { EXPECT_EQ(failures_.size(), 1U); };
  gate_.when_open(heard);
  run_until_said(2);
  EXPECT_EQ(group_commit_.syncs(), 0U);
  ::rmdir(LogFile::temporary_name(path_).c_str());
  commit(3);
  run_until_said(3);
  EXPECT_EQ(failures_.size(), 1U);
  EXPECT_EQ(group_commit_.syncs(), 1U);
}

}  // namespace
}  // namespace vswitch::ovsdb
