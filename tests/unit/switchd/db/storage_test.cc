// SPDX-License-Identifier: Apache-2.0
// The database file: what is on disk after an acknowledgement, after a crash at any byte, and after a
// refusal.
#include "switchd/db/storage.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "schemas/ovsdb/notation.h"
#include "switchd/db/log.h"
#include "tests/unit/switchd/db/support.h"

namespace vswitch::ovsdb {
namespace {

using test::good;
using test::id;
using test::insert;
using test::ref;
using test::run;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class StorageTest : public ::testing::Test {
 protected:
  std::unique_ptr<Database> open() {
    warnings.clear();
    return Database::open(path, test::schema(), warnings);
  }
  std::string refusal() {
    try {
      open();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }
  /// All rows as JSON, without _version.
  static Json contents(const Database& db) {
    Json all = Json::object();
    for (const TableSchema& table : db.schema().tables) {
      for (const Row& row : db.table(table.index)) {
        for (std::size_t i = TableSchema::kDeclared; i < table.columns.size(); ++i) {
          all[table.name][row.uuid().to_string()][table.columns[i].name] =
              to_json(row[i], table.columns[i].type);
        }
      }
    }
    return all;
  }
  static void fill(Database& db) {
    good(db, insert("Root", 1,
                    R"({"name":"r\u00e9","number":-4,"load":1.5,"nodes":)" + ref(2) +
                        R"(,"config":["map",[["a","1"],["b","2"]]]})") +
                 "," + insert("Node", 2, R"({"name":"n","leaf":["set",[)" + ref(3) + "," + ref(4) + "]]}") +
                 "," + insert("Leaf", 3, R"({"value":33})") + "," + insert("Leaf", 4, R"({"value":44})") +
                 R"(,{"op":"comment","comment":"first"})");
    good(
        db,
        R"({"op":"mutate","table":"Root","where":[],"mutations":[["config","insert",["map",[["c","3"]]]],["config","delete",["set",["a"]]]]},
                {"op":"update","table":"Leaf","where":[["value","==",33]],"row":{"value":-33}})");
    good(db, R"({"op":"mutate","table":"Node","where":[],"mutations":[["leaf","delete",)" + ref(4) + "]]}");
  }

  test::TemporaryDirectory directory;
  std::string path = directory.file("conf.db");
  std::vector<std::string> warnings;
};

TEST_F(StorageTest, EverythingPersistentIsThereAfterReopening) {
  Json before;
  {
    auto db = open();
    fill(*db);
    before = contents(*db);
    EXPECT_EQ(before["Root"][id(1).to_string()]["load"], 1.5);
  }
  auto db = open();
  EXPECT_TRUE(warnings.empty());
  before["Root"][id(1).to_string()]["load"] = Json::parse(R"(["set",[]])");
  EXPECT_EQ(contents(*db), before);
  good(*db, R"({"op":"update","table":"Root","where":[],"row":{"nodes":["set",[]]}})");
  EXPECT_EQ(db->table("Leaf").size(), 0U) << "references were counted while reading";
}

TEST_F(StorageTest, RecordsHaveTheDocumentedForm) {
  {
    auto db = open();
    fill(*db);
  }
  const LogContents log = parse_log(read_file(path));
  ASSERT_EQ(log.records.size(), 4U);
  EXPECT_EQ(log.end, log.size);
  EXPECT_EQ(log.records[0], test::schema().to_json());
  EXPECT_EQ(log.records[1]["_comment"], "first");
  EXPECT_GT(log.records[1]["_date"].get<std::int64_t>(), 1600000000000);
  EXPECT_FALSE(log.records[1]["Root"][id(1).to_string()].contains("load")) << "ephemeral";
  EXPECT_FALSE(log.records[1]["Root"][id(1).to_string()].contains("label")) << "default";
  EXPECT_EQ(log.records[2]["_is_diff"], true);
  EXPECT_EQ(log.records[2]["Root"][id(1).to_string()],
            Json::parse(R"({"config":["map",[["a","1"],["c","3"]]]})"));
  EXPECT_EQ(log.records[2]["Leaf"][id(3).to_string()], Json::parse(R"({"value":-33})"));
  EXPECT_TRUE(log.records[3]["Leaf"][id(4).to_string()].is_null());
}

TEST_F(StorageTest, OnlyEphemeralChangesWriteNothing) {
  auto db = open();
  fill(*db);
  const auto size = std::filesystem::file_size(path);
  int told = 0;
  db->on_commit([&told](const Changes&) { ++told; });
  good(*db, R"({"op":"update","table":"Root","where":[],"row":{"load":0.25}})");
  good(*db, R"({"op":"comment","comment":"nothing"})");
  EXPECT_EQ(std::filesystem::file_size(path), size);
  EXPECT_EQ(told, 1);
}

TEST_F(StorageTest, TornAtEveryByteOfTheLastRecord) {
  Json before;
  std::uintmax_t acknowledged = 0;
  {
    auto db = open();
    fill(*db);
    before = contents(*db);
    acknowledged = std::filesystem::file_size(path);
    good(*db, R"({"op":"insert","table":"Root","row":{"name":"last","number":99}})");
  }
  before["Root"][id(1).to_string()]["load"] = Json::parse(R"(["set",[]])");
  const std::string whole = read_file(path);
  const std::size_t end = whole.rfind("OVSDB JSON");  // of the record: a mark follows
  ASSERT_GT(end, acknowledged + 60);
  for (std::size_t size = acknowledged; size < end; ++size) {
    write_file(path, whole.substr(0, size));
    auto db = open();
    ASSERT_EQ(contents(*db), before) << size;
    ASSERT_EQ(warnings.size(), size == acknowledged ? 0U : 1U) << size;
    ASSERT_EQ(std::filesystem::file_size(path), acknowledged) << size;
    if (size % 16 == 0) {
      good(*db, R"({"op":"insert","table":"Root","row":{"name":"again","number":7}})");
      db.reset();
      ASSERT_EQ(open()->table("Root").size(), 2U);
    }
  }
}

TEST_F(StorageTest, TornTailWithGarbageBytesIsCutOff) {
  { fill(*open()); }
  const std::string whole = read_file(path);
  for (const std::string& tail :
       {std::string("x"), std::string("\n\n"), std::string(5000, '\0'), std::string("OVSDB JSON 5 "),
        std::string("OVSDB JSON 99999999999999999999 0123456789012345678901234567890123456789\n")}) {
    write_file(path, whole + tail);
    EXPECT_EQ(open()->table("Node").size(), 1U);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("byte " + std::to_string(whole.size())), std::string::npos) << warnings[0];
    EXPECT_EQ(read_file(path), whole);
  }
}

TEST_F(StorageTest, DamageInTheMiddleIsRefusedAndNothingIsCut) {
  { fill(*open()); }
  std::string bytes = read_file(path);
  const std::size_t second = bytes.find("OVSDB JSON", 10);
  bytes[second + 80] ^= 1;
  write_file(path, bytes);
  EXPECT_NE(refusal().find("followed by 6 more records"), std::string::npos) << refusal();
  EXPECT_EQ(read_file(path), bytes);
}

TEST_F(StorageTest, WhatIsNotADatabaseIsRefused) {
  for (const char* bytes : {"hello", "OVSDB CLUSTER 5 0123456789012345678901234567890123456789\n{}\n"}) {
    write_file(path, bytes);
    EXPECT_NE(refusal().find("not an OVSDB standalone database"), std::string::npos);
    EXPECT_EQ(read_file(path), bytes);
  }
  Json other = test::schema().to_json();
  other["name"] = "Other";
  write_file(path, log_record(other.dump()));
  EXPECT_NE(refusal().find("it holds a database Other, not Test"), std::string::npos) << refusal();
}

TEST_F(StorageTest, AnEmptyFileCountsAsMissing) {
  write_file(path, "");
  EXPECT_EQ(open()->table("Root").size(), 0U);
  EXPECT_EQ(parse_log(read_file(path)).records.size(), 1U);
}

TEST_F(StorageTest, MissingDirectoryIsASentence) {
  path = directory.file("none/conf.db");
  EXPECT_NE(refusal().find("none"), std::string::npos);
}

TEST_F(StorageTest, ASecondUserIsRefused) {
  auto db = open();
  EXPECT_NE(refusal().find("in use"), std::string::npos) << refusal();
  db.reset();
  EXPECT_EQ(refusal(), "");
}

TEST_F(StorageTest, APosixLockOfAnotherProcessIsRespectedAndNamed) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {  // as ovsdb-server does it
    const int fd = ::open(directory.file(".conf.db.~lock~").c_str(), O_RDWR | O_CREAT, 0600);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    const bool locked = fcntl(fd, F_SETLK, &lock) == 0;
    if (write(ready[1], locked ? "y" : "n", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  EXPECT_NE(refusal().find("process " + std::to_string(child)), std::string::npos) << refusal();
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  EXPECT_EQ(refusal(), "");
}

/// A file size limit makes writes fail with EFBIG in the middle, as a full disk does with ENOSPC.
class SizeLimit {
 public:
  explicit SizeLimit(std::uintmax_t size) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    struct rlimit now = before_;
    now.rlim_cur = size;
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~SizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  struct rlimit before_ {};
};

TEST_F(StorageTest, AFullDiskRefusesTheTransactionAndLeavesNoTrace) {
  auto db = open();
  fill(*db);
  const Json before = contents(*db);
  const std::string bytes = read_file(path);
  int told = 0;
  db->on_commit([&told](const Changes&) { ++told; });
  {
    const SizeLimit limit(bytes.size() + 40);
    const Json results = run(*db, insert("Root", 7, R"({"name":"too much","number":7})"));
    ASSERT_EQ(results.size(), 2U);
    EXPECT_EQ(results[1]["error"], "I/O error");
    EXPECT_NE(results[1]["details"].get<std::string>().find(path), std::string::npos);
    EXPECT_EQ(contents(*db), before);
    EXPECT_EQ(told, 0);
    good(*db, R"({"op":"update","table":"Root","where":[],"row":{"load":2.5}})");
  }
  EXPECT_EQ(read_file(path), bytes);
  good(*db, insert("Root", 7, R"({"name":"now it fits","number":7})"));
  db.reset();
  EXPECT_EQ(open()->find("Root", id(7))->str("name"), "now it fits");
  EXPECT_TRUE(warnings.empty());
}

TEST_F(StorageTest, CompactionKeepsContentsAndMode) {
  auto db = open();
  fill(*db);
  chmod(path.c_str(), 0600);
  for (int i = 0; i < 50; ++i) {
    good(*db, R"({"op":"mutate","table":"Root","where":[],"mutations":[["number","+=",1]]})");
  }
  const Json before = contents(*db);
  const auto large = std::filesystem::file_size(path);
  db->compact();
  EXPECT_LT(std::filesystem::file_size(path), large / 2);
  EXPECT_EQ(contents(*db), before);
  struct stat status {};
  stat(path.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  good(*db, R"({"op":"mutate","table":"Root","where":[],"mutations":[["number","+=",1000]]})");
  db.reset();
  db = open();
  EXPECT_EQ(db->find("Root", id(1))->integer("number"), 1046);
  EXPECT_EQ(db->table("Leaf").size(), 1U);
  EXPECT_FALSE(std::filesystem::exists(LogFile::temporary_name(path)));
}

TEST_F(StorageTest, ASyncOutlivesTheFileItBeganWith) {
  auto db = open();
  db->sync_later([] {});
  fill(*db);
  const Database::DiskWait wait = db->begin_sync();
  EXPECT_FALSE(db->begin_sync()) << "nothing was committed since";
  db->compact();
  good(*db, R"({"op":"delete","table":"Root","where":[]})");
  EXPECT_EQ(wait(), std::error_code());
  db->end_sync({});
  EXPECT_TRUE(db->begin_sync()) << "for the commit behind it";
  db.reset();
  EXPECT_EQ(wait(), std::error_code());
  EXPECT_EQ(open()->table("Root").size(), 0U);
}

TEST_F(StorageTest, AFileWhoseDiskFailedIsReplacedAndUntilThenNotTrusted) {
  auto db = open();
  db->sync_later([] {});
  const std::string temporary = LogFile::temporary_name(path);
  const auto sync = [&db](std::error_code outcome) {
    ASSERT_TRUE(db->begin_sync());
    db->end_sync(outcome);
  };
  fill(*db);
  ::mkdir(temporary.c_str(), 0700);  // no new file
  EXPECT_THROW(sync(std::make_error_code(std::errc::io_error)), std::system_error);
  good(*db, R"({"op":"update","table":"Leaf","where":[],"row":{"value":7}})");
  const Database::DiskWait wait = db->begin_sync();
  EXPECT_NE(wait(), std::error_code()) << "the kernel reports an error once only";
  ::rmdir(temporary.c_str());
  db->end_sync(wait());
  EXPECT_EQ(parse_log(read_file(path)).records.size(), 2U) << "the schema and the whole";
  good(*db, R"({"op":"delete","table":"Root","where":[]})");
  EXPECT_EQ(db->begin_sync()(), std::error_code());
}

TEST_F(StorageTest, LeftoverOfACrashedCompactionIsRemoved) {
  { fill(*open()); }
  write_file(LogFile::temporary_name(path), "half a file");
  EXPECT_EQ(open()->table("Node").size(), 1U);
  EXPECT_FALSE(std::filesystem::exists(LogFile::temporary_name(path)));
}

TEST_F(StorageTest, CompactsByItselfAndSurvivesAFailure) {
  auto db = open();
  good(*db, insert("Root", 1, R"({"name":"r"})"));
  const std::string text(100000, 'x');
  const auto churn = [&](int times) {
    for (int i = 0; i < times; ++i) {
      good(*db, R"({"op":"update","table":"Root","where":[],"row":{"label":")" + text + std::to_string(i) +
                    R"("}})");
    }
  };
  churn(30);
  std::filesystem::create_directory(LogFile::temporary_name(path));  // nobody can write the new file
  churn(20);
  const std::vector<std::string> said = db->take_warnings();
  ASSERT_FALSE(said.empty());
  EXPECT_NE(said[0].find("compaction failed"), std::string::npos);
  EXPECT_TRUE(db->take_warnings().empty());
  EXPECT_GT(std::filesystem::file_size(path), Storage::kCompactFloor);
  std::filesystem::remove(LogFile::temporary_name(path));
  churn(60);
  EXPECT_LT(std::filesystem::file_size(path), Storage::kCompactFloor);
  db.reset();
  EXPECT_EQ(open()->find("Root", id(1))->str("label"), text + "59");
}

TEST_F(StorageTest, AnOtherSchemaIsConvertedAndTheOldFileKept) {
  Json old = test::schema().to_json();
  old["version"] = "1.0.0";
  old["tables"]["Root"]["columns"]["bygone"] = Json::parse(R"({"type":"string"})");
  old["tables"]["Root"]["columns"].erase("label");
  old["tables"]["Root"]["indexes"] = Json::parse(R"([["name"]])");
  old["tables"]["Gone"] = Json::parse(R"({"isRoot":true,"columns":{"x":{"type":"integer"}}})");
  {
    auto db = Database::open(path, DatabaseSchema::parse(old), warnings);
    good(*db, insert("Root", 1, R"({"name":"kept","number":12,"bygone":"dropped"})") + "," +
                  insert("Gone", 2, R"({"x":5})"));
  }
  const std::string bytes = read_file(path);
  {
    auto db = open();
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("from schema version 1.0.0 to 3.2.1"), std::string::npos) << warnings[0];
    EXPECT_NE(warnings[0].find("Gone, Root.bygone"), std::string::npos) << warnings[0];
    EXPECT_EQ(db->find("Root", id(1))->str("name"), "kept");
    EXPECT_EQ(db->find("Root", id(1))->integer("number"), 12);
  }
  EXPECT_EQ(read_file(path + ".backup-1.0.0"), bytes);
  EXPECT_EQ(parse_log(read_file(path)).records[0], test::schema().to_json());
  open();
  EXPECT_TRUE(warnings.empty());
}

TEST_F(StorageTest, AConversionThatWouldBreakAValueIsRefusedAndLeavesTheFile) {
  Json old = test::schema().to_json();
  old["tables"]["Root"]["columns"]["number"] = Json::parse(R"({"type":"string"})");
  {
    auto db = Database::open(path, DatabaseSchema::parse(old), warnings);
    good(*db, insert("Root", 1, R"({"name":"r","number":"seven"})"));
  }
  const std::string bytes = read_file(path);
  EXPECT_NE(refusal().find("Root.number"), std::string::npos) << refusal();
  EXPECT_EQ(read_file(path), bytes);
}

TEST_F(StorageTest, RecordsWithoutDifferencesAreRead) {
  std::string bytes = log_record(test::schema().to_json().dump());
  const std::string row = id(1).to_string();
  bytes += log_record(R"({"_date":1,"Root":{")" + row + R"(":{"name":"a","config":["map",[["k","v"]]]}}})");
  bytes += log_record(R"({"_date":2,"Root":{")" + row + R"(":{"config":["map",[["l","w"]]]}}})");
  write_file(path, bytes);
  EXPECT_EQ(open()->find("Root", id(1))->map("config"), (std::map<std::string, std::string>{{"l", "w"}}));
}

TEST_F(StorageTest, ContentsAreJudgedBehindTheLastRecord) {
  const std::string broken =
      log_record(test::schema().to_json().dump()) +
      log_record(R"({"Root":{")" + id(1).to_string() + R"(":{"name":"r","nodes":)" + ref(2) + "}}}");
  write_file(path, broken + log_record(R"({"Node":{")" + id(2).to_string() + R"(":{"name":"n"}}})"));
  EXPECT_NE(open()->find("Node", id(2)), nullptr);
  write_file(path, broken);
  EXPECT_NE(refusal().find("references nonexistent row " + id(2).to_string()), std::string::npos)
      << refusal();
  EXPECT_EQ(read_file(path), broken);
}

TEST_F(StorageTest, AColumnThatNoRecordNamesIsNotChecked) {
  Json schema = test::schema().to_json();
  schema["tables"]["Leaf"]["isRoot"] = true;
  schema["tables"]["Leaf"]["columns"]["level"]["type"] =
      Json::parse(R"({"key":{"type":"integer","minInteger":5}})");
  write_file(path, log_record(schema.dump()) +
                       log_record(R"({"Leaf":{")" + id(1).to_string() + R"(":{"value":7}}})"));
  const auto db = Database::open(path, DatabaseSchema::parse(schema), warnings);
  EXPECT_EQ(db->find("Leaf", id(1))->integer("value"), 7);
  EXPECT_EQ(db->find("Leaf", id(1))->integer("level"), 0);
}

TEST_F(StorageTest, ASymbolicLinkStaysOneWhenCompacting) {
  const std::string real = directory.file("real.db");
  { Database::open(real, test::schema(), warnings); }
  std::filesystem::create_symlink(real, path);
  auto db = open();
  good(*db, insert("Root", 1, R"({"name":"r"})"));
  db->compact();
  EXPECT_TRUE(std::filesystem::is_symlink(path));
  EXPECT_EQ(parse_log(read_file(real)).records.size(), 2U);
}

}  // namespace
}  // namespace vswitch::ovsdb
