// SPDX-License-Identifier: Apache-2.0
// What clients are told while the control thread is in the middle of something long: the answers to `echo`, and
// nothing else.
#include "switchd/control/echo_thread.h"

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <atomic>

#include "tests/unit/switchd/control/test_client.h"

namespace vswitch::testing {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

template <typename Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < kPatienceMs; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

// "block" takes the control thread until go_on(); "block_next" answers first. "count" is a request like any other,
// "large" has a large answer.
class ControlEchoThread : public ::testing::Test {
 protected:
  void start(control::ServerOptions options = {}) {
    thread_ = std::make_unique<ServerThread>(options);
    control::Dispatcher& dispatcher = thread_->dispatcher();
    dispatcher.add_echo();
    dispatcher.add("block", [this](control::Client&, const jsonrpc::Request&) {
      block();
      return Json("done");
    });
    dispatcher.add("block_next", [this](control::Client&, const jsonrpc::Request&) {
      boost::asio::post(thread_->io(), [this] { block(); });
      return Json("next");
    });
    dispatcher.add("count", [](control::Client& client, const jsonrpc::Request&) {
      return Json(++client.state<int>());
    });
    dispatcher.add(
        "large", [](control::Client&, const jsonrpc::Request&) { return Json(std::string(6'000'000, 'x')); });
    thread_->start();
  }
  ~ControlEchoThread() override { go_on(); }

  void block() {
    blocked_ = true;
    go_on_.get_future().wait();
  }
  TestClient blocker() {
    TestClient client = thread_->connect();
    client.send(v2(1, "block"));
    EXPECT_TRUE(comes_true([this] { return blocked_.load(); }));
    return client;
  }
  void go_on() {
    if (!std::exchange(went_on_, true)) go_on_.set_value();
  }

  static bool has_input(const TestClient& client, std::chrono::milliseconds within) {
    pollfd waiting{client.fd(), POLLIN, 0};
    return ::poll(&waiting, 1, static_cast<int>(within.count())) == 1;
  }

  std::promise<void> go_on_;
  bool went_on_ = false;
  std::atomic<bool> blocked_ = false;
  std::unique_ptr<ServerThread> thread_;
};

TEST_F(ControlEchoThread, OthersAreAnsweredInTheirDialect) {
  start();
  TestClient other = thread_->connect();
  EXPECT_EQ(other.call(v2(1, "count"))["result"], 1);
  TestClient worker = blocker();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(other.call(v1(i, "echo", {"x", i})),
              Json({{"id", i}, {"result", {"x", i}}, {"error", nullptr}}));
    EXPECT_EQ(other.call(v2(i, "echo", {{"y", i}})),
              Json({{"id", i}, {"result", {{"y", i}}}, {"jsonrpc", "2.0"}}));
  }
  EXPECT_FALSE(has_input(worker, 0ms)) << "all of that was during its request";
  go_on();
  EXPECT_EQ(worker.receive()->value("result", Json()), "done");
  EXPECT_EQ(other.call(v2(2, "count"))["result"], 2);
}

TEST_F(ControlEchoThread, ThoseThatConnectMeanwhileToo) {
  start();
  TestClient worker = blocker();
  TestClient other = thread_->connect();
  EXPECT_EQ(other.call(v2(1, "echo", {1})).value("result", Json()), Json({1}));
  {
    TestClient brief = thread_->connect();
    EXPECT_EQ(brief.call(v1(1, "echo", {2})).value("result", Json()), Json({2}));
  }
  EXPECT_FALSE(has_input(worker, 0ms));
  go_on();
  EXPECT_EQ(other.call(v2(2, "count"))["result"], 1) << "they are clients like others";
  EXPECT_TRUE(thread_->becomes(2));
}

TEST_F(ControlEchoThread, WhatComesFirstIsAnsweredFirst) {
  start();
  TestClient other = thread_->connect();
  EXPECT_EQ(other.call(v2(0, "count"))["result"], 1);
  TestClient worker = blocker();
  other.send(v2(1, "echo").dump() + v2(2, "count").dump() + v2(3, "echo").dump());
  EXPECT_EQ(other.receive()->at("id"), 1);
  EXPECT_FALSE(has_input(other, 100ms)) << "an echo behind a request waits for it";
  other.send(v2(4, "echo").dump());
  EXPECT_FALSE(has_input(other, 50ms));
  go_on();
  for (int id = 2; id <= 4; ++id) EXPECT_EQ(other.receive()->at("id"), id);
}

// It has been read already: the socket has no more to say.
TEST_F(ControlEchoThread, AnEchoThatTheControlThreadHasReadButNotHandled) {
  start();
  TestClient client = thread_->connect();
  client.send(v2(1, "block_next").dump() + v2(2, "echo").dump());
  EXPECT_EQ(client.receive()->at("result"), "next");
  EXPECT_EQ(client.receive()->at("id"), 2) << "nobody has let the control thread go on";
}

TEST_F(ControlEchoThread, AnEchoInPieces) {
  start();
  TestClient other = thread_->connect();
  TestClient worker = blocker();
  const std::string text = v1(1, "echo", {"in pieces"}).dump();
  for (const char byte : text) {
    other.send(std::string_view(&byte, 1));
    if (byte == ',') std::this_thread::sleep_for(15ms);
  }
  EXPECT_EQ(other.receive()->at("result"), Json({"in pieces"}));
  EXPECT_FALSE(has_input(worker, 0ms));
}

TEST_F(ControlEchoThread, AllElseWaits) {
  start();
  TestClient request = thread_->connect(), large = thread_->connect(), many = thread_->connect(),
             batch = thread_->connect(), bad = thread_->connect(), over = thread_->connect();
  TestClient worker = blocker();
  request.send(v2(1, "count"));
  large.send(v1(1, "echo", {std::string(limits::kEchoBytes, 'x')}));
  many.send(v1(1, "echo", Json(std::vector<int>(20'000, 0))));
  batch.send(Json({v2(1, "echo")}));
  bad.send(std::string_view("nonsense"));
  over.end_output();
  for (TestClient* client : {&request, &large, &many, &batch, &bad, &over})
    EXPECT_FALSE(has_input(*client, 20ms));
  go_on();
  EXPECT_EQ(request.receive()->at("result"), 1);
  EXPECT_EQ(large.receive()->at("result")[0].get<std::string>().size(), limits::kEchoBytes);
  EXPECT_EQ(many.receive()->at("result").size(), 20'000U);
  EXPECT_EQ(batch.receive()->at(0).at("id"), 1);
  EXPECT_EQ(bad.receive()->at("error").at("code"), jsonrpc::kParseError);
  EXPECT_TRUE(bad.ended());
  EXPECT_TRUE(over.ended());
}

TEST_F(ControlEchoThread, WhatIsQueuedIsWrittenOn) {
  start();
  TestClient other = thread_->connect();
  other.send(v2(1, "large"));
  ASSERT_TRUE(has_input(other, std::chrono::milliseconds(kPatienceMs)));
  TestClient worker = blocker();
  EXPECT_EQ(other.receive()->at("result").get<std::string>().size(), 6'000'000U);
  EXPECT_EQ(other.call(v2(2, "echo")).at("id"), 2);
  EXPECT_FALSE(has_input(worker, 0ms));
}

TEST_F(ControlEchoThread, TheLimitOfClientsHolds) {
  control::ServerOptions options;
  options.clients = 2;
  start(options);
  TestClient worker = blocker();
  TestClient second = thread_->connect(), third = thread_->connect();
  EXPECT_EQ(second.call(v2(1, "echo")).at("id"), 1);
  EXPECT_TRUE(third.ended());
  EXPECT_FALSE(has_input(worker, 0ms));
}

TEST_F(ControlEchoThread, ManyAtOnceAndTheEndInTheMiddle) {
  start();
  TestClient worker = blocker();
  std::vector<TestClient> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(thread_->connect());
  for (int round = 0; round < 3; ++round) {
    for (TestClient& client : clients) client.send(v1(round, "echo"));
    for (TestClient& client : clients) ASSERT_EQ(client.receive()->at("id"), round);
  }
  EXPECT_FALSE(has_input(worker, 0ms));
  for (TestClient& client : clients) client.send(v1(9, "echo"));
  go_on();
  thread_->stop();
}

TEST_F(ControlEchoThread, AClientOfARemoteThatIsClosedMeanwhile) {
  start();
  TestClient worker = thread_->connect();
  boost::asio::post(thread_->io(), [this] {
    block();
    thread_->server().close("punix:" + thread_->path());
  });
  EXPECT_TRUE(comes_true([this] { return blocked_.load(); }));
  TestClient late = thread_->connect();
  EXPECT_EQ(late.call(v2(1, "echo")).at("id"), 1);
  go_on();
  EXPECT_TRUE(late.ended());
  EXPECT_TRUE(worker.ended());
  EXPECT_TRUE(thread_->becomes(0));
}

// ---- the thread by itself

class EchoThreadAlone : public ::testing::Test {
 protected:
  EchoThreadAlone() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_), 0); }
  ~EchoThreadAlone() override {
    for (const int end : ends_) ::close(end);
  }
  bool take_byte() {
    char byte = 0;
    const bool took = ::recv(ends_[0], &byte, 1, MSG_DONTWAIT) == 1;
    if (took) ++taken_;
    return took;
  }

  int ends_[2];
  std::atomic<int> taken_ = 0;
  std::shared_ptr<control::EchoThread> thread_ = std::make_shared<control::EchoThread>();
};

TEST_F(EchoThreadAlone, StandsInForWhatStaysReady) {
  control::EchoThread::Watch watch(thread_, ends_[0], [this] { return take_byte(); });
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(::send(ends_[1], "x", 1, 0), 1);
    EXPECT_TRUE(comes_true([this, i] { return taken_ == i; }));
  }
  watch.expect(false, false);
  ASSERT_EQ(::send(ends_[1], "x", 1, 0), 1);
  watch.owe(true);
  EXPECT_TRUE(comes_true([this] { return taken_ == 4; })) << "it looks at debts, too";
}

TEST_F(EchoThreadAlone, IsDoneWithASocketThatIsNoLongerWatched) {
  std::atomic<bool> inside = false, after = false;
  {
    control::EchoThread::Watch watch(thread_, ends_[0], [&] {
      inside = true;
      std::this_thread::sleep_for(50ms);
      after = true;
      return take_byte();
    });
    ASSERT_EQ(::send(ends_[1], "x", 1, 0), 1);
    EXPECT_TRUE(comes_true([&] { return inside.load(); }));
  }
  EXPECT_TRUE(after);
}

TEST_F(EchoThreadAlone, AFailureEndsNothing) {
  std::atomic<int> failures = 0;
  control::EchoThread::Watch watch(thread_, ends_[0], [&]() -> bool {
    if (++failures < 3) throw std::bad_alloc();
    return take_byte();
  });
  ASSERT_EQ(::send(ends_[1], "x", 1, 0), 1);
  EXPECT_TRUE(comes_true([this] { return taken_ == 1; }));
}

}  // namespace
}  // namespace vswitch::testing
