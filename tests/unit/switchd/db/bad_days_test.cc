// SPDX-License-Identifier: Apache-2.0
// The disk's bad days: power cuts, flipped bits, crafted files, failing writes, bait beside the file. Whatever
// was acknowledged is there afterwards, or the file is left alone and the reason is said.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "switchd/base/log.h"
#include "switchd/db/log.h"
#include "switchd/db/storage.h"
#include "tests/unit/switchd/db/support.h"

namespace vswitch::ovsdb {
namespace {

using test::good;
using test::id;
using test::insert;
using test::run;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::size_t kPage = 4096;

/// One table of notes.
DatabaseSchema notes() {
  return DatabaseSchema::parse(Json::parse(R"({"name":"Test","version":"3.2.1","tables":{
    "Note":{"isRoot":true,"columns":{"text":{"type":"string"},"number":{"type":"integer"}}}}})"));
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

class BadDays : public ::testing::Test {
 protected:
  std::unique_ptr<Database> open() {
    warnings.clear();
    return Database::open(path, notes(), warnings);
  }
  std::string refusal() {
    try {
      open();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }
  static void sync(Database& db, std::error_code outcome = {}) {
    const Database::DiskWait wait = db.begin_sync();
    ASSERT_TRUE(wait);
    ASSERT_EQ(wait(), std::error_code());
    db.end_sync(outcome);
  }
  /// A row with a text of this size.
  static void add(Database& db, std::uint64_t number, std::size_t size = 10) {
    good(db, insert("Note", number, R"({"text":")" + std::string(size, 'x') + R"("})"));
  }
  static std::set<std::uint64_t> rows(const Database& db) {
    std::set<std::uint64_t> numbers;
    for (std::uint64_t number = 1; number < 100; ++number) {
      if (db.find("Note", id(number))) numbers.insert(number);
    }
    return numbers;
  }
  std::vector<std::string> torn_copies() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(path).parent_path())) {
      if (entry.path().filename().string().starts_with("conf.db.torn-")) names.push_back(entry.path());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  void remove_torn_copies() const {
    for (const std::string& name : torn_copies()) std::filesystem::remove(name);
  }

  test::TemporaryDirectory directory;
  std::string path = directory.file("conf.db");
  std::vector<std::string> warnings;
};

// What a power cut leaves of a file: everything that was synced, and of the rest any set of its pages.
class PowerCut : public BadDays {
 protected:
  void SetUp() override {
    db_ = open();
    db_->sync_later([] {});
    add(*db_, 1);
    add(*db_, 2, 3000);
    sync(*db_);
    synced_ = std::filesystem::file_size(path);
  }

  /// Opens what is left in every order of the pages; `acknowledged` must be there each time.
  void check_every_order(const std::set<std::uint64_t>& acknowledged, std::size_t written_from) {
    const std::string whole = read_file(path);
    db_.reset();
    const std::size_t first = written_from / kPage;
    const std::size_t pages = (whole.size() + kPage - 1) / kPage - first;
    ASSERT_GT(pages, 2U);
    ASSERT_LT(pages, 10U);
    for (unsigned lost = 0; lost < 1U << pages; ++lost) {
      std::string left = whole;
      for (std::size_t page = 0; page < pages; ++page) {
        if ((lost >> page & 1U) == 0) continue;
        const std::size_t begin = std::max(written_from, (first + page) * kPage);
        const std::size_t end = std::min(whole.size(), (first + page + 1) * kPage);
        std::fill(left.begin() + begin, left.begin() + end, '\0');
      }
      check(left, acknowledged, written_from, lost);
    }
  }

  void check(const std::string& left, const std::set<std::uint64_t>& acknowledged, std::size_t written_from,
             unsigned lost) {
    remove_torn_copies();
    write_file(path, left);
    ASSERT_EQ(refusal(), "") << "pages lost: " << std::hex << lost;
    const std::string kept = torn_copies().empty() ? "" : read_file(torn_copies()[0]);
    const std::string now = read_file(path);
    ASSERT_EQ(warnings.empty(), kept.empty());
    ASSERT_EQ(now.substr(0, left.size() - kept.size()) + kept, left) << "nothing is destroyed without a copy";
    ASSERT_GE(left.size() - kept.size(), written_from) << "what was synced stays";
    const std::set<std::uint64_t> found = rows(*open());
    ASSERT_TRUE(std::includes(found.begin(), found.end(), acknowledged.begin(), acknowledged.end())) << lost;
    EXPECT_TRUE(warnings.empty()) << "the second start has nothing to cut";
  }

  std::unique_ptr<Database> db_;
  std::size_t synced_ = 0;
};

TEST_F(PowerCut, PagesOfOneSyncArriveInAnyOrder) {
  for (std::uint64_t number = 3; number <= 6; ++number) add(*db_, number, 5000);
  check_every_order({1, 2}, synced_);
}

TEST_F(PowerCut, RecordsWrittenDuringASyncBelongToTheNext) {
  add(*db_, 3, 5000);
  const Database::DiskWait wait = db_->begin_sync();
  const std::size_t covered = std::filesystem::file_size(path);
  add(*db_, 4, 5000);
  ASSERT_EQ(wait(), std::error_code());
  db_->end_sync({});
  add(*db_, 5, 5000);
  check_every_order({1, 2, 3}, covered);
}

TEST_F(PowerCut, TheFirstSyncOfANewFileIsLikeAnyOther) {
  db_.reset();
  std::filesystem::remove(path);
  db_ = open();
  db_->sync_later([] {});
  const std::size_t made = std::filesystem::file_size(path);
  for (std::uint64_t number = 1; number <= 4; ++number) add(*db_, number, 5000);
  check_every_order({}, made);
}

TEST_F(PowerCut, TheFirstSyncAfterACompactionIsLikeAnyOther) {
  db_->compact();
  const std::size_t made = std::filesystem::file_size(path);
  for (std::uint64_t number = 3; number <= 6; ++number) add(*db_, number, 5000);
  check_every_order({1, 2}, made);
}

TEST_F(PowerCut, AFileOfAnotherWriterIsAdoptedWhenItIsOpened) {
  db_.reset();
  write_file(path, log_record(notes().to_json().dump()) +
                       log_record(R"({"Note":{")" + id(1).to_string() + R"(":{"text":"a"}}})"));
  db_ = open();
  db_->sync_later([] {});
  const std::size_t made = std::filesystem::file_size(path);
  for (std::uint64_t number = 3; number <= 6; ++number) add(*db_, number, 5000);
  check_every_order({1}, made);
}

TEST_F(PowerCut, WhatWasSyncedIsNeverTakenForATornTail) {
  for (std::uint64_t number = 3; number <= 6; ++number) add(*db_, number, 5000);
  sync(*db_);
  std::string bytes = read_file(path);
  db_.reset();
  std::fill_n(bytes.begin() + (synced_ / kPage + 2) * kPage, kPage, '\0');
  write_file(path, bytes);
  EXPECT_THAT(refusal(), HasSubstr("damaged"));
  EXPECT_EQ(read_file(path), bytes);
}

TEST_F(BadDays, AFlippedBitAnywhereLosesNothingWithoutAWord) {
  {
    auto db = open();
    for (std::uint64_t number = 1; number <= 3; ++number) add(*db, number);
  }
  const std::string whole = read_file(path);
  const std::size_t schema_end = whole.find("OVSDB JSON", 1);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    if (at > 70 && at + 70 < schema_end) continue;  // all alike: text of the schema
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
    write_file(path, bytes);
    remove_torn_copies();
    const std::string why = refusal();
    if (why.empty()) {  // the last mark: nothing says that it was on disk, and it is kept
      ASSERT_EQ(rows(*open()), (std::set<std::uint64_t>{1, 2, 3})) << at;
      ASSERT_EQ(torn_copies().size(), 1U) << at;
      continue;
    }
    ASSERT_EQ(read_file(path), bytes) << at;
    ASSERT_THAT(why, HasSubstr(path + ": ")) << at;
    ASSERT_THAT(why, HasSubstr(at < schema_end ? "at byte 0" : "at byte ")) << at;
    ASSERT_THAT(why, Not(HasSubstr("is not an OVSDB"))) << at;
    ASSERT_THAT(why, HasSubstr("restore a backup")) << at;
  }
}

TEST_F(BadDays, TheRemedyOfARefusalWorks) {
  {
    auto db = open();
    for (std::uint64_t number = 1; number <= 3; ++number) add(*db, number);
  }
  std::string bytes = read_file(path);
  const std::size_t second = bytes.find(id(2).to_string());
  bytes[second] ^= 1;
  write_file(path, bytes);
  const std::string why = refusal();
  EXPECT_THAT(why, HasSubstr("SHA-1"));
  const std::size_t command = why.find("truncate -s ");
  ASSERT_NE(command, why.npos) << why;
  ASSERT_EQ(std::system(why.substr(command).c_str()), 0);
  EXPECT_EQ(rows(*open()), std::set<std::uint64_t>{1});
}

class TornTail : public BadDays {
 protected:
  void SetUp() override {
    {
      auto db = open();
      add(*db, 1);
    }
    whole_ = read_file(path);
    write_file(path, whole_ + tail_);
  }
  std::string whole_;
  const std::string tail_ = "OVSDB JSON 99 torn";
};

TEST_F(TornTail, IsKeptBesideTheFileWithItsMode) {
  ASSERT_EQ(::chmod(path.c_str(), 0604), 0);
  EXPECT_EQ(rows(*open()), std::set<std::uint64_t>{1});
  ASSERT_EQ(torn_copies().size(), 1U);
  EXPECT_EQ(read_file(torn_copies()[0]), tail_);
  EXPECT_EQ(mode_of(torn_copies()[0]), 0604U);
  EXPECT_EQ(read_file(path), whole_);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_THAT(warnings[0], HasSubstr("an incomplete record header at byte " + std::to_string(whole_.size())));
  EXPECT_THAT(warnings[0], HasSubstr(torn_copies()[0]));
  EXPECT_THAT(warnings[0], Not(HasSubstr("never acknowledged")));
}

TEST_F(TornTail, TheCopyGoesThroughNoLinkAndReplacesNothing) {
  const std::string precious = directory.file("precious");
  write_file(precious, "precious");
  const std::time_t now = std::time(nullptr);
  for (int later = 0; later < 20; ++later) {
    const std::time_t then = now + later;
    char stamp[20];
    std::strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", std::gmtime(&then));
    const std::string bait = path + ".torn-" + stamp;
    if (later % 2 == 0) {
      std::filesystem::create_symlink(precious, bait);
    } else {
      std::filesystem::create_hard_link(precious, bait);
    }
  }
  open();
  EXPECT_EQ(read_file(precious), "precious");
  ASSERT_EQ(warnings.size(), 1U);
  const std::string copy = warnings[0].substr(warnings[0].rfind(' ') + 1);
  EXPECT_EQ(read_file(copy), tail_) << warnings[0];
}

TEST_F(TornTail, OnlyTheNewestCopiesStay) {
  for (int i = 10; i < 40; ++i) write_file(path + ".torn-202001" + std::to_string(i) + "T000000Z", "old");
  write_file(path + ".torn-keep-this", "by hand");
  open();
  const std::vector<std::string> left = torn_copies();
  ASSERT_EQ(left.size(), 17U);
  EXPECT_EQ(left[0], path + ".torn-20200125T000000Z");
  EXPECT_EQ(left[16], path + ".torn-keep-this");
  EXPECT_EQ(read_file(left[15]), tail_);
}

TEST_F(TornTail, StaysWhereItIsIfItCannotBeKept) {
  struct rlimit before {
  }, now{};
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &before);
  now = before;
  now.rlim_cur = 4;  // as a full disk
  setrlimit(RLIMIT_FSIZE, &now);
  const std::string why = refusal();
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(why, HasSubstr(".torn-"));
  EXPECT_EQ(read_file(path), whole_ + tail_);
  EXPECT_TRUE(torn_copies().empty());
}

TEST_F(TornTail, OfADatabaseThatIsRefusedIsNotTouched) {
  Json other = notes().to_json();
  other["name"] = "Other";
  const std::string bytes = log_record(other.dump()) + tail_;
  write_file(path, bytes);
  EXPECT_THAT(refusal(), HasSubstr("it holds a database Other"));
  EXPECT_EQ(read_file(path), bytes);
}

TEST_F(BadDays, CraftedNestingIsRefused) {
  constexpr std::size_t kDeep = 200'000;
  const std::string deep = std::string(kDeep, '[') + std::string(kDeep, ']');
  const std::string schema = log_record(notes().to_json().dump());
  const std::string value =
      schema + log_record(R"({"Note":{")" + id(1).to_string() + R"(":{"text":)" + deep + "}}}");
  const std::string column = log_record(
      R"({"name":"Test","version":"3.2.1","tables":{"Note":{"columns":{"text":{"type":)" + deep + "}}}}}");
  for (const std::string& bytes : {value, column, log_record(deep), schema + log_record(deep)}) {
    write_file(path, bytes);
    EXPECT_THAT(refusal(), HasSubstr("nested more than 1000 levels deep"));
    EXPECT_EQ(read_file(path), bytes);
  }
}

TEST_F(BadDays, RestartsDoNotLetTheFileGrow) {
  { add(*open(), 1); }
  const std::string text(100'000, 'x');
  for (int restart = 0; restart < 8; ++restart) {
    auto db = open();
    for (int i = 0; i < 15; ++i) {
      good(*db, R"({"op":"update","table":"Note","where":[],"row":{"text":")" + text + std::to_string(i) +
                    R"("}})");
    }
  }
  EXPECT_LT(std::filesystem::file_size(path), Storage::kCompactFloor + 2'000'000) << "contents: 0.1 MB";
}

TEST_F(BadDays, ANewFileGoesThroughNoLink) {
  const std::string precious = directory.file("precious");
  auto db = open();
  add(*db, 1);
  for (const bool symbolic : {true, false}) {
    write_file(precious, "precious");
    if (symbolic) {
      std::filesystem::create_symlink(precious, LogFile::temporary_name(path));
    } else {
      std::filesystem::create_hard_link(precious, LogFile::temporary_name(path));
    }
    db->compact();
    EXPECT_EQ(read_file(precious), "precious") << symbolic;
    EXPECT_FALSE(std::filesystem::is_symlink(path));
  }
  db.reset();
  EXPECT_EQ(rows(*open()), std::set<std::uint64_t>{1});
}

TEST_F(BadDays, TheLockGoesThroughNoLink) {
  const std::string elsewhere = directory.file("elsewhere");
  std::filesystem::create_symlink(elsewhere, directory.file(".conf.db.~lock~"));
  EXPECT_THAT(refusal(), HasSubstr("symbolic link"));
  EXPECT_FALSE(std::filesystem::exists(elsewhere));
}

TEST_F(BadDays, WhatIsNoFileIsASentence) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(refusal(), HasSubstr("is not a regular file"));
  std::filesystem::remove(path);
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  EXPECT_THAT(refusal(), HasSubstr("Is a directory"));
}

class FailingDisk : public BadDays {
 protected:
  void SetUp() override {
    log::open_file(log_);
    log::use_stderr(false);
  }
  void TearDown() override {
    log::open_file("/dev/null");
    log::use_stderr(true);
  }
  std::vector<std::string> errors() const {
    std::istringstream lines(read_file(log_));
    std::vector<std::string> found;
    for (std::string line; std::getline(lines, line);) {
      if (line.find("|ERR|") != line.npos) found.push_back(line);
    }
    return found;
  }
  const std::string log_ = directory.file("log");
};

TEST_F(FailingDisk, ASyncThatFailsIsLoggedOncePerKind) {
  auto db = open();
  db->sync_later([] {});
  const auto commit_and_sync = [&db](std::errc outcome) {
    static std::uint64_t number = 0;
    add(*db, ++number);
    sync(*db, outcome == std::errc() ? std::error_code() : std::make_error_code(outcome));
  };
  for (int i = 0; i < 4; ++i) commit_and_sync(std::errc::io_error);
  ASSERT_EQ(errors().size(), 1U);
  EXPECT_THAT(errors()[0], HasSubstr("cannot sync " + path + ": Input/output error"));
  EXPECT_THAT(errors()[0], HasSubstr("new file"));
  commit_and_sync(std::errc::no_space_on_device);
  EXPECT_EQ(errors().size(), 2U);
  commit_and_sync(std::errc());
  commit_and_sync(std::errc::no_space_on_device);
  EXPECT_EQ(errors().size(), 3U) << "it was over, and is back";
  db.reset();
  EXPECT_EQ(rows(*open()).size(), 7U);
}

TEST_F(FailingDisk, AWriteThatFailsIsLoggedOncePerKind) {
  auto db = open();
  add(*db, 1);
  struct rlimit before {
  }, now{};
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &before);
  now = before;
  now.rlim_cur = std::filesystem::file_size(path) + 40;
  setrlimit(RLIMIT_FSIZE, &now);
  for (std::uint64_t number = 2; number < 5; ++number)
    EXPECT_EQ(test::error_of(run(*db, insert("Note", number, R"({"text":"too much"})"))), "I/O error");
  setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_EQ(errors().size(), 1U);
  EXPECT_THAT(errors()[0], HasSubstr("cannot write " + path + ": File too large"));
  EXPECT_THAT(errors()[0], HasSubstr("refused"));
  add(*db, 2);
}

}  // namespace
}  // namespace vswitch::ovsdb
