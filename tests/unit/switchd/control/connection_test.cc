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

  void start(control::ConnectionLimits limits = {}) {
    control::ServerOptions options;
    options.limits = limits;
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
    dispatcher_.add("closed", [this](control::Client&, const jsonrpc::Request&) { return Json(closed_); });
  }

  Json ask(const std::string& method, Json params = Json::object()) {
    TestClient client = connect();
    return client.call(v2(1, method, std::move(params))).value("result", Json("no result"));
  }

  control::Dispatcher dispatcher_;
  std::vector<control::Reply> later_;  // control thread only, as are the counts
  control::OutputGate gate_;
  int closed_ = 0;
  int notes_ = 0;
  std::unique_ptr<ServerThread> thread_;

  static bool has_input(const control::Client& client, std::chrono::milliseconds within) {
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
