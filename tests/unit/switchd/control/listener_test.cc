// SPDX-License-Identifier: Apache-2.0
// Where clients come in: remotes in Open vSwitch's notation, unix and TCP listeners, remotes that are
// connected to.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/unit/switchd/control/test_client.h"

namespace vswitch::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using namespace std::chrono_literals;

class ControlListener : public ::testing::Test {
 protected:
  void SetUp() override {
    thread_.dispatcher().add_echo();
    thread_.start();
  }
  std::string open(const std::string& remote) {
    return thread_.run([this, remote]() -> std::string {
      try {
        thread_.server().open(remote);
        return {};
      } catch (const std::exception& error) {
        return error.what();
      }
    });
  }
  bool close(const std::string& remote) {
    return thread_.run([this, remote] { return thread_.server().close(remote); });
  }
  std::optional<control::RemoteStatus> status(const std::string& remote) {
    return thread_.run([this, remote]() -> std::optional<control::RemoteStatus> {
      for (const control::RemoteStatus& one : thread_.server().status()) {
        if (one.remote == remote) return one;
      }
      return std::nullopt;
    });
  }
  ServerThread thread_;
};

TEST_F(ControlListener, TheSocketIsForOwnerAndGroupAndGoesWithTheListener) {
  const std::string path = thread_.path("two.sock");
  ASSERT_EQ(open("punix:" + path), "");
  struct stat found {};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0660u);
  TestClient client(path);
  EXPECT_EQ(client.call(v2(1, "echo")).at("id"), 1);
  EXPECT_TRUE(close("punix:" + path));
  EXPECT_TRUE(client.ended());
  EXPECT_NE(::stat(path.c_str(), &found), 0);
  EXPECT_FALSE(close("punix:" + path));
}

TEST_F(ControlListener, AStaleSocketIsReplacedALiveOneIsNot) {
  const std::string path = thread_.path("stale.sock");
  {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::close(fd);  // as a killed process leaves it
  }
  EXPECT_EQ(open("punix:" + path), "");
  EXPECT_EQ(TestClient(path).call(v2(1, "echo")).at("id"), 1);

  boost::asio::io_context io;
  control::Dispatcher none;
  control::Server second(io, none, {});
  EXPECT_THAT([&] { second.open("punix:" + path); },
              ThrowsMessage<std::runtime_error>(HasSubstr("another process")));
  EXPECT_EQ(TestClient(path).call(v2(2, "echo")).at("id"), 2) << "and goes on to be served";
}

TEST_F(ControlListener, WhatIsNoSocketIsLeftAlone) {
  const std::string path = thread_.path("file");
  ::close(::creat(path.c_str(), 0600));
  EXPECT_THAT(open("punix:" + path), HasSubstr("is not a socket"));
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  EXPECT_THAT(open("punix:" + thread_.path("no/such/dir.sock")), HasSubstr("cannot make the socket"));
}

TEST_F(ControlListener, ASuccessorsSocketIsNotRemoved) {
  const std::string path = thread_.path("moved.sock");
  ASSERT_EQ(open("punix:" + path), "");
  ::unlink(path.c_str());
  ::close(::creat(path.c_str(), 0600));
  EXPECT_TRUE(close("punix:" + path));
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

TEST_F(ControlListener, TcpOnAPortOfTheKernelsChoice) {
  ASSERT_EQ(open("ptcp:0"), "");
  const std::uint16_t port = status("ptcp:0").value().bound_port;
  ASSERT_NE(port, 0);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  TestClient client(fd);
  EXPECT_EQ(client.call(v1(1, "echo")).at("id"), 1);
  EXPECT_TRUE(status("ptcp:0").value().is_connected);
  EXPECT_THAT(open("ptcp:" + std::to_string(port)), HasSubstr("Address already in use"));
}

int listen_at(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 8) != 0)
    return -1;
  return fd;
}

TEST_F(ControlListener, AnActiveRemoteIsTriedAgainUntilItAnswersAndAfterItLeft) {
  const std::string path = thread_.path("manager.sock");
  ASSERT_EQ(open("unix:" + path), "") << "nobody there yet is no failure";
  for (int i = 0; i < 2000 && status("unix:" + path)->last_error.empty(); ++i)
    std::this_thread::sleep_for(5ms);
  EXPECT_EQ(status("unix:" + path)->state, "BACKOFF");
  EXPECT_THAT(status("unix:" + path)->last_error, HasSubstr("No such file"));

  const int manager = listen_at(path);
  ASSERT_GE(manager, 0);
  for (int round = 0; round < 2; ++round) {
    TestClient client(::accept(manager, nullptr, nullptr));
    EXPECT_EQ(client.call(v1(round, "echo")).at("id"), round);
    EXPECT_EQ(status("unix:" + path)->state, "ACTIVE");
  }
  ::close(manager);
}

TEST_F(ControlListener, BeyondTheMostSessionsClientsAreTurnedAway) {
  control::ServerOptions options;
  options.clients = 2;
  ServerThread small(options);
  small.dispatcher().add_echo();
  small.start();
  TestClient first = small.connect(), second = small.connect();
  EXPECT_EQ(first.call(v2(1, "echo")).at("id"), 1);
  EXPECT_EQ(second.call(v2(1, "echo")).at("id"), 1);
  TestClient third = small.connect();
  EXPECT_TRUE(third.ended());
  first.end();
  ASSERT_TRUE(small.becomes(1));
  TestClient fourth = small.connect();
  EXPECT_EQ(fourth.call(v2(1, "echo")).at("id"), 1);
}

TEST_F(ControlListener, StoppingSendsWhatIsQueuedAndEndsEveryClient) {
  TestClient client = thread_.connect();
  EXPECT_EQ(client.call(v2(1, "echo")).at("id"), 1);
  thread_.run([this] {
    thread_.server().stop();
    return 0;
  });
  EXPECT_TRUE(client.ended());
  EXPECT_FALSE(thread_.connect().connected());
}

}  // namespace
}  // namespace vswitch::testing
