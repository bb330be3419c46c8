// SPDX-License-Identifier: Apache-2.0
// The client against real unix sockets that behave well and badly.
#include "ctl/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "schemas/jsonrpc/stream_decoder.h"

namespace vswitch::ctl {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

/// Takes one connection, reads one request, and does what the test says with both.
class Server {
 public:
  using Behaviour = std::function<void(int fd, const Json& request)>;
  explicit Server(Behaviour behave)
      : path_(testing::TempDir() + "vswitch-client-" + std::to_string(::getpid()) + ".sock"),
        behave_(std::move(behave)) {
    ::unlink(path_.c_str());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0)
        << std::strerror(errno);
    EXPECT_EQ(::listen(listener_, 1), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    thread_.join();
    ::close(listener_);
    ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  void serve() {
    const int fd = ::accept(listener_, nullptr, nullptr);
    jsonrpc::StreamDecoder decoder;
    std::optional<Json> request;
    char bytes[4096];
    while (!request) {
      const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
      if (got <= 0) break;
      decoder.feed({bytes, static_cast<std::size_t>(got)});
      request = decoder.next();
    }
    if (request) behave_(fd, *request);
    ::close(fd);
  }
  std::string path_;
  Behaviour behave_;
  int listener_ = -1;
  std::thread thread_;
};

void say(int fd, const std::string& text) {
  ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

std::string failure(const std::function<void()>& action) {
  try {
    action();
  } catch (const NoDaemon& error) {
    return error.what();
  }
  return "no failure";
}

TEST(Client, GivesTheResultAfterNotificationsInPieces) {
  Server server([](int fd, const Json& request) {
    EXPECT_EQ(request["method"], "bridge.get");
    EXPECT_EQ(request["params"], Json({{"name", "br0"}}));
    say(fd, R"({"jsonrpc":"2.0","method":"mirror.state","params":{}} {"jsonrpc":"2.0","res)");
    std::this_thread::sleep_for(10ms);
    say(fd, R"(ult":{"n":7},"id":)" + request["id"].dump() + "}");
  });
  EXPECT_EQ(connect_to(server.path(), 5s)->call("bridge.get", {{"name", "br0"}}), Json({{"n", 7}}));
}

TEST(Client, ThrowsTheErrorOfTheDaemon) {
  Server server([](int fd, const Json& request) {
    say(fd, Json({{"jsonrpc", "2.0"},
                  {"id", request["id"]},
                  {"error", {{"code", 1003}, {"message", "no"}, {"data", {{"reason", "conflict"}}}}}})
                .dump());
  });
  try {
    connect_to(server.path(), 5s)->call("x", Json::object());
    FAIL();
  } catch (const jsonrpc::Error& error) {
    EXPECT_EQ(error.code, 1003);
    EXPECT_EQ(error.message, "no");
    EXPECT_EQ(error.data["reason"], "conflict");
  }
}

TEST(Client, SaysWhenNobodyIsThere) {
  std::string directory = testing::TempDir() + "vswitch-empty-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/db.sock";
  EXPECT_THAT(failure([&path] { connect_to(path, 1s); }),
              HasSubstr("no daemon answers on " + path + " (No such file"));
  ::rmdir(directory.c_str());
  EXPECT_THAT(failure([] { connect_to(std::string(200, 'x'), 1s); }), HasSubstr("longer than the 107 bytes"));
}

TEST(Client, SaysWhenTheConnectionEnds) {
  Server server([](int, const Json&) {});
  EXPECT_THAT(failure([&] { connect_to(server.path(), 5s)->call("x", Json::object()); }),
              HasSubstr("closed the connection before it answered"));
}

TEST(Client, SaysWhenTheAnswerIsNoJsonRpc) {
  Server server([](int fd, const Json&) { say(fd, "HTTP/1.1 400 Bad Request\r\n"); });
  EXPECT_THAT(failure([&] { connect_to(server.path(), 5s)->call("x", Json::object()); }),
              HasSubstr("does not speak JSON-RPC"));
}

TEST(Client, GivesUpWhenNoAnswerComes) {
  Server server([](int fd, const Json&) {
    char byte;
    ::recv(fd, &byte, 1, 0);  // until the client has gone
  });
  EXPECT_THAT(failure([&] { connect_to(server.path(), 20ms)->call("x", Json::object()); }),
              HasSubstr("did not answer within"));
}

}  // namespace
}  // namespace vswitch::ctl
