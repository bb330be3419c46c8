// SPDX-License-Identifier: Apache-2.0
// Whatever a path of the user turns out to be, and whatever nobody has foreseen: a sentence and an exit status.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/unit/ctl/fake_world.h"

namespace vswitch::ctl {
namespace {

using test::FakeDaemon;
using test::Invocation;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class InputFile : public ::testing::Test {
 protected:
  InputFile() {
    std::string name = ::testing::TempDir() + "vswitch-input-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~InputFile() override { std::filesystem::remove_all(directory_); }
  std::string file(const std::string& name, const std::string& bytes = "") const {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << bytes;
    return directory_ + "/" + name;
  }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  /// Every command that reads a file says this about it.
  static void expect_refusal(const std::string& path, const std::string& why) {
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"import-mirrors", "br0", path},
          std::vector<std::string>{"explain", "br0", "--in-port", "t1", "--pcap", path}}) {
      const Invocation tool(arguments);
      EXPECT_EQ(tool.status, kWrongUsage) << arguments[0] << ' ' << path;
      EXPECT_THAT(tool.err, StartsWith("vswitch-ctl: "));
      EXPECT_THAT(tool.err, HasSubstr(path)) << arguments[0];
      EXPECT_THAT(tool.err, HasSubstr(why)) << arguments[0];
      EXPECT_TRUE(tool.calls.empty());
    }
  }
  std::string directory_;
};

TEST_F(InputFile, ThatIsNoneIsNamed) {
  expect_refusal(path("missing"), "No such file or directory");
  expect_refusal(file("file") + "/below", "Not a directory");
  expect_refusal(directory_, "it is a directory");
  expect_refusal("/dev/zero", "it is a device");
  expect_refusal("/dev/null", "it is a device");
  std::filesystem::create_symlink("itself", path("itself"));
  expect_refusal(path("itself"), "symbolic links");
  expect_refusal(path(std::string(5000, 'n')), "name too long");
}

TEST_F(InputFile, ThatIsASocketIsNamed) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path("socket").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  expect_refusal(path("socket"), "it is a socket");
  ::close(socket);
}

TEST_F(InputFile, WithoutPermissionIsNamed) {
  const std::string secret = file("secret", "[]");
  ASSERT_EQ(::chmod(secret.c_str(), 0), 0);
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  const uid_t before = ::geteuid();
  constexpr uid_t kNobody = 65534;
  if (before == 0 && ::seteuid(kNobody) != 0) GTEST_SKIP() << "root cannot become somebody else here";
  expect_refusal(secret, "Permission denied");
  ASSERT_EQ(::seteuid(before), 0);
}

TEST_F(InputFile, ThatFailsWhileItIsReadIsNamed) {
  // A file of the kernel that opens, and fails when it is read: as one on a disk or server that goes away.
  expect_refusal("/proc/self/mem", "Input/output error");
}

TEST_F(InputFile, AFifoWithoutAWriterIsNamedInTime) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  expect_refusal(path("fifo"), "a fifo that nobody writes to");
}

TEST_F(InputFile, AFifoWithAWriterIsRead) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  std::thread writer([this] {
    const int fd = ::open(path("fifo").c_str(), O_WRONLY | O_CLOEXEC);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // a writer that takes its time
    const std::string text = R"([{"key":"1","sessionType":"dvPortMirror"}])";
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(fd);
  });
  const Invocation tool({"import-mirrors", "br0", path("fifo")});
  writer.join();
  EXPECT_EQ(tool.status, kDone) << tool.err;
  ASSERT_EQ(tool.calls.size(), 1U);
  EXPECT_EQ(tool.calls[0].second["sessions"][0]["key"], "1");
}

TEST_F(InputFile, ThatIsTooLargeOrTooDeepIsNamed) {
  const Invocation large({"import-mirrors", "br0", file("large", std::string((16U << 20) + 1, ' '))});
  EXPECT_EQ(large.status, kWrongUsage);
  EXPECT_THAT(large.err, HasSubstr("larger than 16 MiB"));
  const Invocation deep(
      {"import-mirrors", "br0", file("deep", std::string(200'000, '[') + std::string(200'000, ']'))});
  EXPECT_EQ(deep.status, kWrongUsage);
  EXPECT_THAT(deep.err, HasSubstr("nested more than 1000 levels deep"));
}

TEST(Unforeseen, AnArgumentThatIsNotUtf8IsWrongUsage) {
  const Invocation tool({"del-mirror", "br0", "s\xff"});
  EXPECT_EQ(tool.status, kWrongUsage);
  EXPECT_THAT(tool.err, HasSubstr("not UTF-8"));
}

TEST(Unforeseen, AnAnswerOfAnotherShapeIsASentence) {
  FakeDaemon daemon;
  daemon.answers["bridge.list"] = {Json({{"bridges", 5}}), Json("nothing"), Json()};
  for (int i = 0; i < 3; ++i) {
    const Invocation tool({"list-br"}, &daemon);
    EXPECT_EQ(tool.status, 4) << tool.out;
    EXPECT_THAT(tool.err, StartsWith("vswitch-ctl: this should not happen: "));
  }
}

}  // namespace
}  // namespace vswitch::ctl
