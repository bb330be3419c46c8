// SPDX-License-Identifier: Apache-2.0
// What the daemon makes in places where others may write too.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <system_error>

#include "switchd/base/log.h"
#include "switchd/run_directory.h"
#include "tests/unit/switchd/control/test_client.h"

namespace vswitch {
namespace {

using ::testing::HasSubstr;
using vswitch::testing::TempDir;

TEST(RunDirectories, AreNotForOthersToWriteWhateverTheUmask) {
  for (const auto& [mask, mode] : {std::pair<mode_t, mode_t>{0, 0755}, {0022, 0755}, {0077, 0700}}) {
    const TempDir directory;
    const mode_t before = ::umask(mask);
    { RunDirectory(directory / "a/b/run/"); }
    ::umask(before);
    for (const char* made : {"a", "a/b", "a/b/run"}) {
      struct stat status {};
      ASSERT_EQ(::stat((directory / made).c_str(), &status), 0);
      EXPECT_EQ(status.st_mode & 07777, mode) << made << " with umask " << std::oct << mask;
    }
  }
}

TEST(RunDirectories, SayWhyTheyCannotBeMade) {
  const TempDir directory;
  std::ofstream(directory / "file") << "";
  try {
    RunDirectory(directory / "file/run");
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::not_a_directory) << error.what();
  }
}

class LogLink : public ::testing::Test {
 protected:
  void SetUp() override { log::use_stderr(false); }
  void TearDown() override {
    log::open_file("/dev/null");
    log::use_stderr(true);
  }
  TempDir directory_;
  const std::string link_ = directory_ / "log", target_ = directory_ / "target";
  const log::Module module_{"unit-link"};
};

TEST_F(LogLink, OfTheDaemonsUserIsFollowed) {
  std::filesystem::create_symlink("target", link_);
  log::open_file(link_);
  log::info(module_, "a line");
  EXPECT_GT(std::filesystem::file_size(target_), 0U);
}

TEST_F(LogLink, OfAnybodyElseIsNot) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make a link for somebody else";
  std::filesystem::create_symlink(target_, link_);
  ASSERT_EQ(::lchown(link_.c_str(), 4711, 4711), 0);
  try {
    log::open_file(link_);
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_THAT(error.what(), HasSubstr(link_ + " is a symbolic link"));
  }
  EXPECT_FALSE(std::filesystem::exists(target_));
}

}  // namespace
}  // namespace vswitch
