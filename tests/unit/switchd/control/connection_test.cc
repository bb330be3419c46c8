// SPDX-License-Identifier: Apache-2.0
// Clients of the control socket, the well-behaved and the others.
#include <gmock/gmock.h>

#include <random>

#include "tests/unit/switchd/control/test_client.h"

namespace vswitch::testing {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

// echo; "fail" and "break" throw; "later" answers when "release" comes; "flood" pushes notifications of 64
// KiB.
class ControlConnection : public ::testing::Test {
 protected:
  ControlConnection() { add_handlers(); }

  void start(control::ConnectionLimits limits = {}, control::ClientMemory::Limits memory = {}) {
    control::ServerOptions options;
    options.limits = limits;
    options.memory = std::make_shared<control::ClientMemory>(memory);
    memory_ = options.memory;
    options.gate = &gate_;
    thread_ = std::make_unique<ServerThread>(options);
    std::swap(thread_->dispatcher(), dispatcher_);
    thread_->start();
  }
  TestClient connect() { return thread_->connect(); }

  void add_handlers() {
    dispatcher_.add_echo();
    dispatcher_.add("fail", [](control::Client&, const jsonrpc::Request&) -> Json {
      throw jsonrpc::invalid_params("no bridge \"br9\"", "bridge", "br9");
    });
    const control::Dispatcher::PlainHandler breaks = [](control::Client&, const jsonrpc::Request&) -> Json {
      throw std::runtime_error("disk on fire");
    };
    const control::Dispatcher::PlainHandler starves = [](control::Client&, const jsonrpc::Request&) -> Json {
      throw std::bad_alloc();
    };
    dispatcher_.add("starve", starves);
    dispatcher_.add_v1("starve", starves);
    dispatcher_.add("break", breaks);
    dispatcher_.add_v1("break", breaks);
    const control::Dispatcher::Handler later = [this](control::Client& client, const jsonrpc::Request&,
                                                      const control::Reply& reply) {
      later_.push_back(reply);
      client.on_close([this] { ++closed_; });
    };
    dispatcher_.add("later", later);
    dispatcher_.add_v1("later", later);
    dispatcher_.add("release", [this](control::Client&, const jsonrpc::Request&) {
      const std::size_t count = later_.size();
      for (const control::Reply& reply : std::exchange(later_, {})) reply("at last");
      return Json(count);
    });
    dispatcher_.add("forget", [this](control::Client&, const jsonrpc::Request&) {
      later_.clear();
      return Json(true);
    });
    dispatcher_.add("flood", [](control::Client& client, const jsonrpc::Request& request) {
      const Json note = jsonrpc::make_notification(jsonrpc::Version::v2, "noise", {std::string(65536, 'x')});
      for (int left = request.params.at(0); left > 0; --left) client.send(note);
      return Json("sent");
    });
    dispatcher_.add("who", [](control::Client& client, const jsonrpc::Request&) {
      return client.peer() ? Json{{"uid", client.peer()->uid}, {"pid", client.peer()->pid}} : Json();
    });
    dispatcher_.add("count", [](control::Client& client, const jsonrpc::Request&) {
      return Json(++client.state<int>());
    });
    dispatcher_.add_v1_notification(
        "note", [this](control::Client&, const jsonrpc::Request&) { return Json(++notes_); });
    dispatcher_.add("notes", [this](control::Client&, const jsonrpc::Request&) { return Json(notes_); });
    dispatcher_.add("commit", [this](control::Client& client, const jsonrpc::Request&) {
      gate_.hold();
      client.send(jsonrpc::make_notification(jsonrpc::Version::v2, "committed", Json::object()));
      return Json("done");
    });
    dispatcher_.add("begin_sync", [this](control::Client&, const jsonrpc::Request&) {
      gate_.begin();
      return Json("begun");
    });
    dispatcher_.add("end_sync", [this](control::Client&, const jsonrpc::Request&) {
      gate_.open();
      return Json("ended");
    });
    dispatcher_.add("listen", [this](control::Client& client, const jsonrpc::Request&) {
      listener_ = client.weak_from_this();
      return Json("listening");
    });
    dispatcher_.add("commit_and_tell", [this](control::Client&, const jsonrpc::Request&) {
      gate_.hold();
      if (const auto listener = listener_.lock())
        listener->send(jsonrpc::make_notification(jsonrpc::Version::v2, "told", Json::object()));
      return Json("done");
    });
    dispatcher_.add("closed", [this](control::Client&, const jsonrpc::Request&) { return Json(closed_); });
  }

  Json ask(const std::string& method, Json params = Json::object()) {
    TestClient client = connect();
    return client.call(v2(1, method, std::move(params))).value("result", Json("no result"));
  }

  control::Dispatcher dispatcher_;
  std::vector<control::Reply> later_;  // control thread only, as are the counts
  control::OutputGate gate_;
  std::weak_ptr<control::Client> listener_;
  int closed_ = 0;
  int notes_ = 0;
  std::unique_ptr<ServerThread> thread_;
  std::shared_ptr<control::ClientMemory> memory_;  // control thread only

  std::size_t in_the_works() {
    return thread_->run([this] { return memory_->used(); });
  }
  /// Waits until the requests have come in.
  bool parked(std::size_t wanted) {
    for (int i = 0; i < kPatienceMs / 5; ++i) {
      if (thread_->run([this] { return later_.size(); }) == wanted) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }
  static std::string sentence(const Json& answer) { return answer.at("error").at("message"); }

  static bool has_input(const TestClient& client, std::chrono::milliseconds within) {
    pollfd poll_fd{client.fd(), POLLIN, 0};
    return ::poll(&poll_fd, 1, static_cast<int>(within.count())) == 1;
  }
};

// Requests are handled all the while; what is said about them waits.
TEST_F(ControlConnection, SaysNothingOfACommitBeforeItsSyncEnds) {
  start();
  TestClient writer = connect();
  TestClient other = connect();
  writer.send(v2(1, "commit"));
  writer.send(v2(2, "echo", {"later"}));
  EXPECT_FALSE(has_input(writer, 100ms));
  other.send(v2(3, "begin_sync"));
  EXPECT_FALSE(has_input(other, 100ms));
  EXPECT_EQ(other.call(v2(4, "end_sync"))["result"], "begun");
  EXPECT_EQ(other.receive()->value("result", Json()), "ended");
  EXPECT_EQ(writer.receive()->value("method", ""), "committed");  // everything, in its order
  EXPECT_EQ(writer.receive()->value("result", Json()), "done");
  EXPECT_EQ(writer.receive()->value("result", Json()), Json({"later"}));
  EXPECT_EQ(writer.call(v2(5, "echo", {"x"}))["result"], Json({"x"}));
}

// It is no news: who hears of the commit later misses nothing that anybody knows.
TEST_F(ControlConnection, AnEchoDoesNotWaitForTheDiskBehindNews) {
  start();
  TestClient listener = connect();
  TestClient writer = connect();
  EXPECT_EQ(listener.call(v2(1, "listen"))["result"], "listening");
  writer.send(v2(1, "commit_and_tell"));
  writer.send(v2(2, "commit_and_tell"));
  EXPECT_FALSE(has_input(writer, 50ms));
  for (int id = 2; id < 5; ++id) EXPECT_EQ(listener.call(v2(id, "echo", {id}))["result"], Json({id}));
  listener.send(v2(5, "count").dump() + v2(6, "echo").dump());
  EXPECT_FALSE(has_input(listener, 50ms)) << "behind an answer it does";
  TestClient disk = connect();
  disk.send(v2(1, "begin_sync").dump() + v2(2, "end_sync").dump());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(listener.receive()->value("method", ""), "told");
  for (int id = 5; id < 7; ++id) EXPECT_EQ(listener.receive()->at("id"), id);
}

TEST_F(ControlConnection, WhatIsCommittedDuringASyncWaitsForTheNext) {
  start();
  TestClient early = connect();
  TestClient late = connect();
  TestClient disk = connect();
  early.send(v2(1, "commit"));
  EXPECT_FALSE(has_input(early, 50ms));
  disk.send(v2(1, "begin_sync"));
  EXPECT_FALSE(has_input(disk, 50ms));
  early.send(v2(2, "commit"));
  late.send(v2(1, "commit"));
  EXPECT_FALSE(has_input(late, 50ms));
  EXPECT_EQ(disk.call(v2(2, "end_sync"))["result"], "begun");  // was said before the second commit
  EXPECT_EQ(early.receive()->value("method", ""), "committed");
  EXPECT_EQ(early.receive()->value("id", 0), 1);
  EXPECT_FALSE(has_input(early, 50ms));
  EXPECT_FALSE(has_input(late, 50ms));
  disk.send(v2(3, "begin_sync"));
  disk.send(v2(4, "end_sync"));
  EXPECT_EQ(early.receive()->value("method", ""), "committed");
  EXPECT_EQ(early.receive()->value("id", 0), 2);
  EXPECT_EQ(late.receive()->value("method", ""), "committed");
}

// The disk may take longer than a client that leaves is given to take its last answer.
TEST_F(ControlConnection, AClientThatEndedItsInputGetsWhatWaitsForTheDisk) {
  control::ConnectionLimits limits;
  limits.linger = 50ms;
  start(limits);
  TestClient writer = connect();
  writer.send(v2(1, "commit"));
  writer.end_output();
  EXPECT_FALSE(has_input(writer, 300ms));
  TestClient disk = connect();
  disk.send(v2(1, "begin_sync"));
  disk.send(v2(2, "end_sync"));
  EXPECT_EQ(writer.receive()->value("method", ""), "committed");
  EXPECT_EQ(writer.receive()->value("result", Json()), "done");
}

TEST_F(ControlConnection, AnswersEachDialectInItsOwnShape) {
  start();
  TestClient client = connect();
  EXPECT_EQ(client.call(v1("a", "echo", {1, "x"})),
            Json::parse(R"({"id":"a","result":[1,"x"],"error":null})"));
  EXPECT_EQ(client.call(v2(7, "echo", {{"k", 1}})),
            Json::parse(R"({"jsonrpc":"2.0","id":7,"result":{"k":1}})"));
}

TEST_F(ControlConnection, GluedRequestsOfBothDialectsAreAnsweredInOrder) {
  start();
  TestClient client = connect();
  client.send(v1(0, "echo").dump() + v2(1, "echo").dump() + "\n\t " + v1(2, "echo").dump() +
              v2(3, "echo").dump());
  for (int id = 0; id < 4; ++id) EXPECT_EQ(client.receive().value().at("id"), id);
}

TEST_F(ControlConnection, RequestsSplitAtAnyByteAreUnderstood) {
  start();
  const std::string text =
      v1(1, "echo", {"}{\"\\"}).dump() + " " + v2(2, "echo", {"\xF0\x9F\x98\x80"}).dump();
  TestClient client = connect();
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    ASSERT_TRUE(client.send(text.substr(0, cut)));
    thread_->clients();  // a turn of the server in between
    ASSERT_TRUE(client.send(text.substr(cut)));
    ASSERT_EQ(client.receive().value().at("result"), Json({"}{\"\\"})) << "cut at " << cut;
    ASSERT_EQ(client.receive().value().at("result"), Json({"\xF0\x9F\x98\x80"})) << "cut at " << cut;
  }
}

TEST_F(ControlConnection, ThousandsOfPipelinedRequestsKeepTheirOrder) {
  start();
  TestClient client = connect();
  std::string text;
  for (int id = 0; id < 5000; ++id) text += v1(id, "echo").dump();
  std::thread sender([&] { client.send(text); });
  for (int id = 0; id < 5000; ++id) ASSERT_EQ(client.receive().value().at("id"), id);
  sender.join();
}

TEST_F(ControlConnection, VersionTwoRefusalsKeepTheConnection) {
  start();
  TestClient client = connect();
  const Json unknown = client.call(v2(1, "bridge.paint")).at("error");
  EXPECT_EQ(unknown.at("code"), jsonrpc::kMethodNotFound);
  EXPECT_THAT(unknown.at("message"), HasSubstr("bridge.paint"));
  EXPECT_EQ(unknown.at("data").at("value"), "bridge.paint");
  const Json refused = client.call(v2(2, "fail")).at("error");
  EXPECT_EQ(refused.at("code"), jsonrpc::kInvalidParams);
  EXPECT_EQ(refused.at("data"), Json({{"field", "bridge"}, {"value", "br9"}}));
  const Json invalid = client.call(Json::parse(R"({"jsonrpc":"2.0","method":1,"id":3})"));
  EXPECT_EQ(invalid.at("error").at("code"), jsonrpc::kInvalidRequest);
  EXPECT_EQ(invalid.at("id"), 3);
  const Json broken = client.call(v2(4, "break")).at("error");
  EXPECT_EQ(broken.at("code"), jsonrpc::kInternalError);
  EXPECT_THAT(broken.at("message"), HasSubstr("disk on fire"));
  EXPECT_EQ(client.call(v2(5, "echo")).at("id"), 5);
}

TEST_F(ControlConnection, VersionOneErrorsAreThoseOfOpenVSwitch) {
  start();
  TestClient client = connect();
  EXPECT_EQ(client.call(v1(1, "monitor_cond_since")).at("error"), "unknown method");
  EXPECT_EQ(client.call(v1(2, "break")).at("error").at("details"), "disk on fire");
  EXPECT_EQ(client.call(v1(3, "echo")).at("result"), Json::array());
}

TEST_F(ControlConnection, VersionOneNotificationsAreHandledOrIgnored) {
  start();
  TestClient client = connect();
  const auto note = [](const char* method) {
    return jsonrpc::make_notification(jsonrpc::Version::v1, method, Json::array()).dump();
  };
  client.send(note("note") + note("echo") + note("nonsense") + v2(1, "notes").dump());
  EXPECT_EQ(client.receive().value().at("result"), 1);  // the first message that comes
}

TEST_F(ControlConnection, BadVersionOneMessagesEndThatConnection) {
  start();
  TestClient bystander = connect();
  for (const char* text :
       {"{}", R"({"id":1})", R"({"method":3,"params":[],"id":1})", R"({"method":"echo","params":{},"id":1})",
        R"({"method":"echo","params":[],"id":1,"result":1})"}) {
    TestClient stranger = connect();
    stranger.send(std::string_view(text));
    const Json answer = stranger.receive().value_or(Json::object());
    EXPECT_EQ(answer.value("id", Json("missing")), nullptr) << text;
    EXPECT_EQ(answer.value("error", Json::object()).value("code", 0), jsonrpc::kInvalidRequest) << text;
    EXPECT_TRUE(stranger.ended()) << text;
    TestClient client = connect();
    EXPECT_EQ(client.call(v1(1, "echo")).at("id"), 1);
    client.send(std::string_view(text));
    EXPECT_TRUE(client.ended()) << text << ": a client that spoke 1.0 gets no 2.0 error";
  }
  TestClient client = connect();
  EXPECT_EQ(client.call(v1(1, "echo")).at("id"), 1);
  client.send(std::string_view("nonsense"));
  EXPECT_TRUE(client.ended()) << "nor for what is not JSON";
  EXPECT_EQ(bystander.call(v1(1, "echo")).at("id"), 1);
}

TEST_F(ControlConnection, WhatIsNotJsonGetsAParseErrorAndTheEnd) {
  start();
  for (const auto& [text, part] :
       std::vector<std::pair<std::string, std::string>>{{"GET / HTTP/1.0\r\n\r\n", "'G'"},
                                                        {"{\"jsonrpc\":}", "not valid JSON"},
                                                        {"[\"\\u0000\"]", "u0000"},
                                                        {"[\"\xff\"]", "UTF-8"},
                                                        {std::string(5000, '['), "1000 levels"}}) {
    TestClient client = connect();
    client.send(std::string_view(text));
    const Json answer = client.receive().value_or(Json::object());
    EXPECT_EQ(answer.value("id", Json("missing")), nullptr) << text;
    EXPECT_EQ(answer.at("error").at("code"), jsonrpc::kParseError);
    EXPECT_THAT(answer.at("error").at("message"), HasSubstr(part));
    EXPECT_TRUE(client.ended());
  }
}

TEST_F(ControlConnection, AHugeMessageIsRefusedAndItsClientStillHearsWhy) {
  control::ConnectionLimits limits;
  limits.decode.message_bytes = 100'000;
  start(limits);
  TestClient client = connect();
  client.send("[\"" + std::string(3'000'000, 'x') + "\"]");  // sent to its end: the refusal must survive that
  EXPECT_THAT(client.receive().value().at("error").at("message"), HasSubstr("100000 bytes"));
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(ask("echo"), Json::object());
}

TEST_F(ControlConnection, BatchesAreAnsweredAsOne) {
  start();
  TestClient client = connect();
  const Json answer = client.call(Json::parse(
      R"([{"jsonrpc":"2.0","method":"echo","params":[1],"id":"a"}, {"jsonrpc":"2.0","method":"echo","params":[2]},
          17, {"jsonrpc":"2.0","method":"nope","id":"b"}, {"method":"echo","params":[],"id":"c"}])"));
  ASSERT_EQ(answer.size(), 4u);
  EXPECT_EQ(answer[0].at("result"), Json({1}));
  EXPECT_EQ(answer[1].at("error").at("code"), jsonrpc::kInvalidRequest);
  EXPECT_EQ(answer[1].at("id"), nullptr);
  EXPECT_EQ(answer[2].at("error").at("code"), jsonrpc::kMethodNotFound);
  EXPECT_EQ(answer[3].at("error").at("code"), jsonrpc::kInvalidRequest);
  EXPECT_EQ(client.call(Json::array()).at("error").at("code"), jsonrpc::kInvalidRequest);
  // Notifications only: no answer at all, the next message is that of the next request.
  client.send(R"([{"jsonrpc":"2.0","method":"echo"}])" + v2(9, "echo").dump());
  EXPECT_EQ(client.receive().value().at("id"), 9);
}

TEST_F(ControlConnection, ABatchWaitsForItsLastAnswer) {
  start();
  TestClient client = connect();
  client.send("[" + v2(1, "later").dump() + "," + v2(2, "echo").dump() + "]" + v2(3, "echo").dump());
  EXPECT_EQ(client.receive().value().at("id"), 3) << "requests behind the batch do not wait for it";
  EXPECT_EQ(ask("release"), 1);
  const Json answer = client.receive().value();
  EXPECT_EQ(answer[0].at("id"), 2);
  EXPECT_EQ(answer[1].at("result"), "at last");
}

TEST_F(ControlConnection, AsynchronousAnswersReachTheirClients) {
  start();
  TestClient first = connect(), second = connect();
  first.send(v2("x", "later"));
  second.send(v1("y", "later"));
  EXPECT_EQ(first.call(v2(1, "echo")).at("id"), 1);
  EXPECT_EQ(second.call(v2(1, "echo")).at("id"), 1);
  EXPECT_EQ(ask("release"), 2);
  EXPECT_EQ(first.receive().value().at("id"), "x");
  EXPECT_EQ(second.receive().value().at("result"), "at last");
}

TEST_F(ControlConnection, AnAnswerToAVanishedClientIsNoError) {
  start();
  {
    TestClient client = connect();
    client.send(v2(1, "later"));
    EXPECT_EQ(client.call(v2(2, "echo")).at("id"), 2);
  }
  ASSERT_TRUE(thread_->becomes(0)) << "a closed client is noticed although it waits for an answer";
  EXPECT_EQ(ask("closed"), 1);
  EXPECT_EQ(ask("release"), 1);
  EXPECT_EQ(ask("echo"), Json::object());
}

TEST_F(ControlConnection, AForgottenRequestGetsAnInternalError) {
  start();
  TestClient client = connect();
  client.send(v2(1, "later"));
  EXPECT_EQ(client.call(v2(2, "echo")).at("id"), 2);
  EXPECT_EQ(ask("forget"), true);
  EXPECT_EQ(client.receive().value().at("error").at("code"), jsonrpc::kInternalError);
}

TEST_F(ControlConnection, AHalfClosedClientGetsItsAnswersAndThenTheEnd) {
  start();
  TestClient client = connect();
  client.send(v2(1, "later").dump() + v2(2, "echo").dump());
  client.end_output();
  EXPECT_EQ(client.receive().value().at("id"), 2);
  EXPECT_EQ(ask("release"), 1);
  EXPECT_EQ(client.receive().value().at("id"), 1);
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(thread_->becomes(0));
}

TEST_F(ControlConnection, AClientThatDoesNotReadIsDroppedWhileAnotherIsServed) {
  control::ConnectionLimits limits;
  limits.pause_bytes = 1 << 20;
  limits.drop_bytes = 4 << 20;
  start(limits);
  TestClient deaf = connect(), other = connect();
  deaf.send(v2(1, "flood", {200}));  // 12.8 MB of notifications
  EXPECT_EQ(other.call(v2(1, "echo")).at("id"), 1);
  EXPECT_TRUE(thread_->becomes(1)) << "the deaf one is gone, the other one is not";
  EXPECT_EQ(other.call(v2(2, "echo")).at("id"), 2);
}

TEST_F(ControlConnection, AClientThatAsksWithoutReadingIsPausedAndThenDropped) {
  control::ConnectionLimits limits;
  limits.pause_bytes = 100'000;
  limits.stall = 200ms;
  start(limits);
  TestClient deaf = connect(), other = connect();
  const std::string request = v1(1, "echo", {std::string(50'000, 'x')}).dump();
  std::thread sender([&] {
    while (deaf.send(request)) {
    }
  });
  sender.join();  // ends because the server hangs up
  EXPECT_TRUE(thread_->becomes(1));
  EXPECT_EQ(other.call(v2(2, "echo")).at("id"), 2);
}

TEST_F(ControlConnection, ASlowReaderGetsEverything) {
  control::ConnectionLimits limits;
  limits.pause_bytes = 10'000;
  start(limits);
  TestClient client = connect();
  std::string text;
  for (int id = 0; id < 300; ++id) text += v1(id, "echo", {std::string(9'000, 'y')}).dump();
  std::thread sender([&] { client.send(text); });
  for (int id = 0; id < 300; ++id) {
    if (id % 50 == 0) std::this_thread::sleep_for(5ms);
    ASSERT_EQ(client.receive().value().at("id"), id);
  }
  sender.join();
}

TEST_F(ControlConnection, OneAnswerMayBeLargerThanTheBacklog) {
  control::ConnectionLimits limits;
  limits.pause_bytes = 1'000;
  limits.drop_bytes = 10'000;
  start(limits);
  TestClient client = connect();
  EXPECT_EQ(
      client.call(v1(1, "echo", {std::string(2'000'000, 'z')})).at("result").at(0).get<std::string>().size(),
      2'000'000u);
}

TEST_F(ControlConnection, UnansweredRequestsOfOneClientAreBounded) {
  control::ConnectionLimits limits;
  limits.unanswered = 3;
  start(limits);
  TestClient client = connect();
  for (int id = 0; id < 5; ++id) client.send(v2(id, "later"));
  std::size_t seen = 0;
  for (int i = 0; i < 1000 && (seen = thread_->run([this] { return later_.size(); })) < 3; ++i) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(seen, 3u);
  EXPECT_EQ(ask("release"), 3);
  for (int id = 0; id < 3; ++id) EXPECT_EQ(client.receive().value().at("id"), id);
}

TEST_F(ControlConnection, ABatchWhoseAnswersExceedTheBoundStopsThere) {
  control::ConnectionLimits limits;
  limits.batch_bytes = 2 << 20;
  start(limits);
  TestClient client = connect();
  Json batch = Json::array();
  for (int id = 0; id < 10; ++id)
    batch.push_back(v2(id, id < 5 ? "echo" : "count", {std::string(600'000, 'x')}));
  const Json answers = client.call(batch);
  ASSERT_EQ(answers.size(), 5u);
  for (std::size_t id = 0; id < 3; ++id) EXPECT_TRUE(answers[id].contains("result"));
  EXPECT_EQ(answers[3].at("id"), 3);
  EXPECT_EQ(sentence(answers[3]), "the answers of this batch exceed 2 MiB; split it");
  EXPECT_EQ(answers[4].at("id"), nullptr);
  EXPECT_EQ(sentence(answers[4]),
            "the answers of this batch exceed 2 MiB; split it (its last 6 requests were not executed)");
  EXPECT_EQ(client.call(v2(1, "count")).at("result"), 1) << "none of them was";
  EXPECT_LT(in_the_works(), 10'000u);
}

// Errors are answers: a batch of numbers gets an error for each of them.
TEST_F(ControlConnection, ABatchOfNonsenseIsBoundedToo) {
  control::ConnectionLimits limits;
  limits.batch_bytes = 1 << 20;
  start(limits);
  TestClient client = connect();
  std::string numbers = "[1";
  for (int i = 1; i < 100'000; ++i) numbers += ",1";
  client.send(numbers + "]");
  const std::string answers = client.receive().value().dump();
  EXPECT_LT(answers.size(), (1u << 20) + 1'000u);
  EXPECT_THAT(answers, HasSubstr("requests were not executed"));
}

TEST_F(ControlConnection, AnswersThatComeLaterKeepToTheBoundOfTheirBatch) {
  control::ConnectionLimits limits;
  limits.batch_bytes = 1 << 20;
  start(limits);
  TestClient client = connect();
  client.send(Json({v2("a", "later"), v2("b", "echo", {std::string((1 << 20) - 200, 'x')})}));
  ASSERT_TRUE(parked(1));
  thread_->run([this] {
    for (const control::Reply& reply : std::exchange(later_, {})) reply(std::string(500, 'y'));
  });
  const Json answers = client.receive().value();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].at("id"), "b");
  EXPECT_EQ(answers[1].at("id"), "a");
  EXPECT_EQ(sentence(answers[1]), "the answers of this batch exceed 1 MiB; split it");
}

TEST_F(ControlConnection, WhatOneClientHasInTheWorksIsBounded) {
  start({}, {.client = 1 << 20, .all = 100 << 20, .always = 1000});
  TestClient client = connect(), other = connect();
  const Json text = {std::string(300'000, 'x')};
  for (std::size_t id = 0; id < 3; ++id) {
    client.send(v1(id, "later", text));
    ASSERT_TRUE(parked(id + 1)) << "one by one: input that waits is counted, too";
  }
  const Json refused = client.call(v1(3, "later", text));
  EXPECT_EQ(refused.at("id"), 3);
  EXPECT_EQ(refused.at("error").at("error"), "resources exhausted");
  EXPECT_EQ(
      refused.at("error").at("details"),
      "the requests and answers of this client exceed 1 MiB of memory; wait for answers and read them, or "
      "split the request");
  EXPECT_EQ(client.call(v2(4, "later", text)).at("error").at("code"), control::kOverLimit);
  EXPECT_EQ(client.call(Json({v2(5, "later", text)})).at("error").at("code"), control::kOverLimit);
  EXPECT_EQ(client.call(v1(6, "echo", {"small"})).at("result"), Json({"small"})) << "the connection goes on";
  EXPECT_EQ(other.call(v1(7, "echo", text)).at("result"), text) << "nobody else notices";
  EXPECT_EQ(ask("release"), 3);
  for (int id = 0; id < 3; ++id) EXPECT_EQ(client.receive().value().at("result"), "at last");
  EXPECT_EQ(client.call(v1(8, "echo", text)).at("result"), text) << "answered requests count no more";
}

TEST_F(ControlConnection, ManySmallValuesCountAsTheMemoryTheyTake) {
  start({}, {.client = 1 << 20, .all = 100 << 20, .always = 1000});
  TestClient client = connect();
  Json values = Json::array();
  for (int i = 0; i < 30'000; ++i) values.push_back(Json::object());  // 90 KB of text, 2 MB of memory
  EXPECT_EQ(client.call(v1(1, "later", values)).at("error").at("error"), "resources exhausted");
}

TEST_F(ControlConnection, AMessageOfTooManyValuesIsRefusedBeforeItIsParsed) {
  control::ConnectionLimits limits;
  limits.decode.memory_bytes = 1 << 20;
  start(limits);
  TestClient client = connect();
  std::string text = "[[]";
  for (int i = 0; i < 30'000; ++i) text += ",[]";
  client.send(std::string_view(text));  // without its end
  EXPECT_THAT(sentence(client.receive().value()), HasSubstr("at most 1048576 bytes of memory"));
  EXPECT_TRUE(client.ended());
}

TEST_F(ControlConnection, AllClientsTogetherAreBoundedAndASmallOneIsServed) {
  start({}, {.client = 1 << 20, .all = 2 << 20, .always = 100'000});
  const Json text = {std::string(800'000, 'x')};
  std::vector<TestClient> greedy;
  for (int i = 0; i < 2; ++i) greedy.push_back(connect());
  for (TestClient& client : greedy) client.send(v1(1, "later", text));
  ASSERT_TRUE(parked(2));
  TestClient third = connect();
  EXPECT_THAT(sentence(third.call(v1(1, "later", text))),
              HasSubstr("the requests and answers of all clients exceed 2 MiB of memory; try again later"));
  EXPECT_TRUE(third.ended()) << "it was refused before there was a request to answer";
  TestClient small = connect();
  EXPECT_EQ(small.call(v2(2, "echo", {std::string(30'000, 'y')})).at("id"), 2) << "it has little";
  greedy.clear();
  EXPECT_TRUE(thread_->becomes(1));
  EXPECT_EQ(ask("release"), 2);
  small.send(v1(3, "later", text));
  EXPECT_TRUE(parked(1));
}

TEST_F(ControlConnection, UnfinishedMessagesCount) {
  start({}, {.client = 1 << 20, .all = 2 << 20, .always = 100'000});
  std::vector<TestClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(connect());
    clients.back().send("[\"" + std::string(500'000, 'x'));
    thread_->clients();
  }
  const Json refused = clients.back().receive().value();
  EXPECT_THAT(sentence(refused), HasSubstr("the requests and answers of all clients exceed 2 MiB"));
  EXPECT_TRUE(clients.back().ended());
  EXPECT_LT(in_the_works(), (3u << 20));
  EXPECT_EQ(ask("echo"), Json::object());
  clients.clear();
  EXPECT_TRUE(thread_->becomes(0));
  EXPECT_EQ(in_the_works(), 0u);
}

TEST_F(ControlConnection, AHugeMessageLeavesNoBufferBehind) {
  start();
  TestClient client = connect();
  EXPECT_EQ(client.call(v1(1, "echo", {std::string(4'000'000, 'x')})).at("id"), 1);
  EXPECT_LT(in_the_works(), 1u << 20);
}

TEST_F(ControlConnection, NoMemoryForOneRequestEndsThatRequest) {
  start();
  TestClient client = connect();
  EXPECT_EQ(client.call(v1(1, "starve")).at("error").at("error"), "internal error");
  EXPECT_EQ(client.call(v2(2, "starve")).at("error").at("code"), jsonrpc::kInternalError);
  EXPECT_EQ(client.call(v2(3, "echo")).at("id"), 3);
}

// An ended connection keeps its descriptor while it waits for the peer to read the last answer.
TEST_F(ControlConnection, ClientsThatDoNotLeaveCount) {
  control::ServerOptions options;
  options.clients = 2;
  options.limits.linger = 60s;
  thread_ = std::make_unique<ServerThread>(options);
  std::swap(thread_->dispatcher(), dispatcher_);
  thread_->start();
  std::vector<TestClient> rude;
  for (int i = 0; i < 2; ++i) {
    rude.push_back(connect());
    rude.back().send(std::string_view("nonsense"));
    EXPECT_TRUE(rude.back().receive().has_value());
  }
  ASSERT_TRUE(thread_->becomes(0));
  TestClient third = connect();
  third.send(v2(1, "echo"));
  EXPECT_TRUE(third.ended()) << "the descriptors of the first two are still in use";
  rude.clear();
  for (int i = 0; i < kPatienceMs / 5; ++i) {
    TestClient fourth = connect();
    fourth.send(v2(1, "echo"));
    if (!fourth.ended()) return;
    std::this_thread::sleep_for(5ms);
  }
  FAIL() << "nobody is served after they have gone";
}

TEST_F(ControlConnection, ManyClientsAtOnce) {
  start();
  std::vector<TestClient> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(connect());
  for (std::size_t i = 0; i < clients.size(); ++i) clients[i].send(v2(i, "echo"));
  for (std::size_t i = clients.size(); i-- > 0;) EXPECT_EQ(clients[i].receive().value().at("id"), i);
  EXPECT_EQ(thread_->clients(), 200u);
  clients.clear();
  EXPECT_TRUE(thread_->becomes(0));
}

TEST_F(ControlConnection, HandlersKnowTheirPeerAndKeepStateForIt) {
  start();
  TestClient client = connect();
  EXPECT_EQ(client.call(v2(1, "who")).at("result"), Json({{"uid", ::getuid()}, {"pid", ::getpid()}}));
  EXPECT_EQ(client.call(v2(2, "count")).at("result"), 1);
  EXPECT_EQ(client.call(v2(3, "count")).at("result"), 2);
  EXPECT_EQ(ask("count"), 1) << "another client, another state";
}

TEST_F(ControlConnection, RandomBytesNeverEndTheServer) {
  start();
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    std::string text = seed % 2 ? v2(1, "echo", {"some", 1, Json::array()}).dump() : "";
    for (int i = 0; i < 200; ++i) {
      const char byte = seed % 3 ? "{}[]\",:\\u0 \n1"[random() % 13] : static_cast<char>(random());
      text.insert(text.begin() + static_cast<long>(random() % (text.size() + 1)), byte);
    }
    TestClient client = connect();
    client.send(std::string_view(text));
    client.end_output();
    while (client.receive()) {
    }
  }
  EXPECT_EQ(ask("echo"), Json::object());
}

}  // namespace
}  // namespace vswitch::testing
