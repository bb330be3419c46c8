// SPDX-License-Identifier: Apache-2.0
// The file of the log: lines that it did not take are counted, and standard error can be the file.
#include "switchd/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace vswitch::log::test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

const Module kLog{"log_test"};

class LogFileTrouble : public testing::Test {
 protected:
  LogFileTrouble() {
    char name[] = "/tmp/vswitch_log_XXXXXX";
    directory = ::mkdtemp(name);
    path = directory / "log";
    use_stderr(false);
    open_file(path);
  }
  ~LogFileTrouble() override {
    close_file();
    use_stderr(true);
    std::filesystem::remove_all(directory);
  }
  std::string text() const {
    std::ostringstream all;
    all << std::ifstream(path).rdbuf();
    return all.str();
  }

  std::filesystem::path directory, path;
};

TEST_F(LogFileTrouble, LinesThatADiskDidNotTakeAreCounted) {
  info(kLog, "first {}", 1);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{std::filesystem::file_size(path) + 10, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  for (int i = 0; i < 3; ++i) info(kLog, "lost {}", i);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  info(kLog, "last {}", 2);
  EXPECT_THAT(text(), HasSubstr("|log|WARN|3 lines before this one could not be written: File too large\n"));
  EXPECT_THAT(text(), EndsWith("|log_test|INFO|last 2\n"));
  EXPECT_EQ(text().find("lost"), std::string::npos);
}

TEST_F(LogFileTrouble, StandardErrorCanBeTheFileAndFollowsIt) {
  const int out = ::dup(STDOUT_FILENO), err = ::dup(STDERR_FILENO);
  standard_error_is_file(true);
  ASSERT_EQ(::write(STDERR_FILENO, "from a library\n", 15), 15);
  std::filesystem::rename(path, directory / "log.1");
  EXPECT_TRUE(reopen());
  ASSERT_EQ(::write(STDERR_FILENO, "later\n", 6), 6);
  standard_error_is_file(false);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::close(out);
  ::close(err);
  EXPECT_EQ(text(), "later\n");
  path = directory / "log.1";
  EXPECT_EQ(text(), "from a library\n");
}

}  // namespace
}  // namespace vswitch::log::test
