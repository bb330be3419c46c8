// SPDX-License-Identifier: Apache-2.0
// The methods of the OVSDB dialect as clients meet them: replies, notifications, and their order.
#include "switchd/ovsdb_server/ovsdb_server.h"

#include "switchd/base/limits.h"
#include "tests/unit/switchd/db/support.h"

namespace vswitch::ovsdb {
namespace {

using test::id;
using test::insert;
using test::ref;

/// A client whose messages are kept.
class FakeClient final : public control::Client {
 public:
  FakeClient() : control::Client("test", std::nullopt) {}
  void hang_up() { ended(); }
  std::size_t memory_used() const { return memory()->used(); }
  std::vector<Json> received;

 private:
  void write(std::string text) override { received.push_back(Json::parse(text)); }
  void shut(const std::string&) override {}
};

class OvsdbServerTest : public ::testing::Test {
 protected:
  using ClientState = std::shared_ptr<FakeClient>;

  static ClientState connect() { return std::make_shared<FakeClient>(); }

  void send(const ClientState& client, const std::string& method, const std::string& params,
            Json request_id) {
    jsonrpc::Request request{jsonrpc::Version::v1, std::move(request_id), true, method, Json::parse(params)};
    request.wants_reply = !request.id.is_null();
    const control::Reply reply(request, [client](std::optional<Json> answer) {
      if (answer) client->send(*answer);
    });
    dispatcher.dispatch(*client, request, reply);
  }
  void run_loop() {
    io.restart();
    io.poll();
  }
  /// Everything the client has received since the last call.
  static std::vector<Json> take(const ClientState& client) { return std::exchange(client->received, {}); }
  /// The result of a call that is answered at once and with nothing before it.
  Json call(const ClientState& client, const std::string& method, const std::string& params) {
    send(client, method, params, 4711);
    const std::vector<Json> messages = take(client);
    EXPECT_EQ(messages.size(), 1U) << method;
    return messages.empty()                 ? Json()
           : messages[0]["error"].is_null() ? messages[0]["result"]
                                            : messages[0]["error"];
  }
  std::string details(const ClientState& client, const std::string& method, const std::string& params) {
    const Json error = call(client, method, params);
    return error.is_string() ? error.get<std::string>()
                             : error.value("error", "") + ": " + error.value("details", "");
  }

  boost::asio::io_context io{1};
  control::Dispatcher dispatcher;
  Database db{test::schema()};
  OvsdbServer server{io, dispatcher, db};
  ClientState alice = connect();
  ClientState bob = connect();
};

TEST_F(OvsdbServerTest, DatabasesAndSchemas) {
  EXPECT_EQ(call(alice, "list_dbs", "[]"), Json::parse(R"(["Test","_Server"])"));
  EXPECT_EQ(call(alice, "get_schema", R"(["Test","python sends two"])"), test::schema().to_json());
  EXPECT_EQ(call(alice, "get_schema", R"(["_Server"])")["version"], "1.2.0");
  EXPECT_EQ(details(alice, "get_schema", R"(["x"])"),
            "unknown database: get_schema request specifies unknown database x");
  EXPECT_EQ(details(alice, "get_schema", "[]"),
            "syntax error: get_schema request params must begin with <db-name>");
  EXPECT_EQ(details(alice, "nonsense", "[]"), "unknown method");
  EXPECT_EQ(call(alice, "set_db_change_aware", "[true]"), Json::object());
  EXPECT_EQ(details(alice, "set_db_change_aware", "[1]"),
            "syntax error: set_db_change_aware: true or false parameter expected");
  EXPECT_TRUE(Uuid::parse(call(alice, "get_server_id", "[]").get<std::string>()));
  EXPECT_EQ(details(alice, "convert", "[]").substr(0, 14), "not supported:");
}

TEST_F(OvsdbServerTest, ServerDatabaseDescribesBothAndIsReadOnly) {
  const Json rows =
      call(alice, "transact",
           R"(["_Server",{"op":"select","table":"Database","where":[["name","==","Test"]]}])")[0]["rows"];
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["model"], "standalone");
  EXPECT_EQ(rows[0]["connected"], true);
  EXPECT_EQ(rows[0]["leader"], true);
  EXPECT_EQ(Json::parse(rows[0]["schema"].get<std::string>()), test::schema().to_json());
  EXPECT_EQ(
      call(alice, "transact", R"(["_Server",{"op":"delete","table":"Database","where":[]}])")[0]["error"],
      "not allowed");
}

TEST_F(OvsdbServerTest, OwnNotificationComesBeforeTheReply) {
  EXPECT_EQ(
      call(
          alice, "monitor_cond_since",
          R"(["Test",["monid","Test"],{"Root":[{"columns":["name"]}]},"00000000-0000-0000-0000-000000000000"])"),
      Json::parse(R"([false,"00000000-0000-0000-0000-000000000000",{}])"));
  EXPECT_EQ(call(bob, "monitor", R"(["Test",null,{"Root":{"columns":["name"]}}])"), Json::object());
  send(alice, "transact", "[\"Test\"," + insert("Root", 5, R"({"name":"five"})") + "]", "id-is-text");
  const std::vector<Json> messages = take(alice);
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0]["method"], "update3");
  EXPECT_EQ(messages[0]["params"][0], Json::parse(R"(["monid","Test"])"));
  EXPECT_EQ(messages[0]["params"][2]["Root"][id(5).to_string()],
            Json::parse(R"({"insert":{"name":"five"}})"));
  EXPECT_EQ(messages[1]["id"], "id-is-text");
  ASSERT_EQ(bob->received.size(), 1U);
  EXPECT_EQ(bob->received[0]["params"][0], nullptr);
}

TEST_F(OvsdbServerTest, ErrorsOfATransactionAreResultsAndOfTheRequestAreErrors) {
  EXPECT_EQ(call(alice, "transact", R"(["Test",{"op":"abort"}])")[0]["error"], "aborted");
  EXPECT_EQ(call(alice, "transact", R"(["Test"])"), Json::array());
  EXPECT_EQ(details(alice, "transact", "[]"),
            "syntax error: transact request params must begin with <db-name>");
  EXPECT_EQ(details(alice, "transact", R"(["x"])"),
            "unknown database: transact request specifies unknown database x");
}

TEST_F(OvsdbServerTest, MonitorIdsAreAnyJsonAndPerClient) {
  for (const char* monitor : {"null", "5", "\"m\"", "[1,[2]]", "{\"a\":true}"}) {
    const std::string params = "[\"Test\"," + std::string(monitor) + R"(,{"Root":{}}])";
    EXPECT_EQ(call(alice, "monitor", params), Json::object());
    EXPECT_EQ(details(alice, "monitor", params), "syntax error: duplicate monitor ID");
    EXPECT_EQ(call(bob, "monitor", params), Json::object());
  }
  EXPECT_EQ(server.monitors(), 10U);
  EXPECT_EQ(server.distinct_views(), 1U);
  EXPECT_EQ(call(alice, "monitor_cancel", R"([[1,[2]]])"), Json::object());
  EXPECT_EQ(details(alice, "monitor_cancel", R"([[1,[2]]])"), "unknown monitor");
  bob->hang_up();
  EXPECT_EQ(server.monitors(), 4U);
  EXPECT_EQ(details(alice, "monitor", R"(["Test","x"])"), "syntax error: invalid parameters");
  EXPECT_EQ(details(alice, "monitor_cond_since", R"(["Test","x",{}])"), "syntax error: invalid parameters");
}

TEST_F(OvsdbServerTest, ChangingAConditionUpdatesThenRepliesAndRenames) {
  call(bob, "transact",
       "[\"Test\"," + insert("Root", 1, R"({"name":"a"})") + "," +
           insert("Root", 2, R"({"name":"b","number":2})") + "]");
  call(alice, "monitor_cond", R"(["Test","m",{"Root":{"columns":["name"],"where":[["name","==","a"]]}}])");
  send(alice, "monitor_cond_change", R"(["m","n",{"Root":[{"where":[["name","==","b"]]}]}])", 9);
  const std::vector<Json> messages = take(alice);
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0]["params"],
            Json::parse(R"(["n",{"Root":{")" + id(1).to_string() + R"(":{"delete":null},")" +
                        id(2).to_string() + R"(":{"insert":{"name":"b"}}}}])"));
  EXPECT_EQ(messages[1]["result"], Json::object());
  EXPECT_EQ(details(alice, "monitor_cond_change", R"(["m","n",{}])"),
            "syntax error: unknown monitor session");
  call(bob, "transact",
       R"(["Test",{"op":"update","table":"Root","where":[["name","==","b"]],"row":{"name":"b2"}}])");
  ASSERT_EQ(alice->received.size(), 1U);
  EXPECT_EQ(take(alice)[0]["params"][1]["Root"][id(2).to_string()], Json::parse(R"({"delete":null})"));
}

TEST_F(OvsdbServerTest, AWaitIsAnsweredAfterTheCommitThatFulfilsIt) {
  const std::string wait =
      R"({"op":"wait","table":"Root","where":[],"columns":["name"],"until":"==","rows":[{"name":"now"}]})";
  call(alice, "monitor", R"(["Test","m",{"Root":{"columns":["name"]}}])");
  send(alice, "transact",
       "[\"Test\"," + wait + R"(,{"op":"update","table":"Root","where":[],"row":{"name":"then"}}])", 1);
  EXPECT_TRUE(alice->received.empty());
  EXPECT_EQ(server.waiting(), 1U);
  call(bob, "transact", "[\"Test\"," + insert("Root", 1, R"({"name":"now"})") + "]");
  run_loop();
  const std::vector<Json> messages = take(alice);
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[0]["params"][1]["Root"][id(1).to_string()]["new"]["name"], "now");
  EXPECT_EQ(messages[1]["params"][1]["Root"][id(1).to_string()]["new"]["name"], "then");
  EXPECT_EQ(messages[2]["result"], Json::parse(R"([{},{"count":1}])"));
  EXPECT_EQ(server.waiting(), 0U);
}

TEST_F(OvsdbServerTest, AWaitTimesOutByItself) {
  send(
      alice, "transact",
      R"(["Test",{"op":"wait","timeout":5,"table":"Root","where":[],"columns":["name"],"until":"==","rows":[{"name":"x"}]}])",
      1);
  EXPECT_TRUE(alice->received.empty());
  io.restart();
  io.run();  // ends when the timer has fired
  ASSERT_EQ(alice->received.size(), 1U);
  EXPECT_EQ(alice->received[0]["result"][0]["error"], "timed out");
}

TEST_F(OvsdbServerTest, CancelAndDisconnectEndAWait) {
  const char* wait =
      R"(["Test",{"op":"wait","table":"Root","where":[],"columns":["name"],"until":"==","rows":[{"name":"x"}]}])";
  send(alice, "transact", wait, Json::array({"id", 1}));
  send(alice, "transact", wait, 2);
  send(bob, "cancel", R"([["id",1]])", nullptr);
  EXPECT_EQ(server.waiting(), 2U) << "ids are per client";
  send(alice, "cancel", R"([["id",1]])", nullptr);
  ASSERT_EQ(alice->received.size(), 1U);
  EXPECT_EQ(alice->received[0]["error"], "canceled");
  EXPECT_EQ(server.waiting(), 1U);
  alice->hang_up();
  EXPECT_EQ(server.waiting(), 0U);
  EXPECT_EQ(server.clients(), 0U);
}

TEST_F(OvsdbServerTest, LocksQueueAndCanBeStolen) {
  const ClientState carol = connect();
  EXPECT_EQ(call(alice, "lock", R"(["L"])"), Json::parse(R"({"locked":true})"));
  EXPECT_EQ(call(bob, "lock", R"(["L"])"), Json::parse(R"({"locked":false})"));
  EXPECT_EQ(details(bob, "lock", R"(["L"])"), "syntax error: must issue \"unlock\" before new \"lock\"");
  EXPECT_EQ(details(bob, "lock", R"(["5"])"), "syntax error: lock request params must be <id>");
  EXPECT_EQ(details(carol, "unlock", R"(["L"])"),
            "syntax error: unlock: \"unlock\" without \"lock\" or \"steal\"");
  const char* assertion = R"(["Test",{"op":"assert","lock":"L"}])";
  EXPECT_EQ(call(alice, "transact", assertion), Json::parse("[{}]"));
  EXPECT_EQ(call(bob, "transact", assertion)[0]["error"], "not owner");

  EXPECT_EQ(call(carol, "steal", R"(["L"])"), Json::parse(R"({"locked":true})"));
  EXPECT_EQ(take(alice), std::vector<Json>{Json::parse(R"({"id":null,"method":"stolen","params":["L"]})")});
  EXPECT_EQ(call(alice, "transact", assertion)[0]["error"], "not owner");
  carol->hang_up();
  EXPECT_EQ(take(alice), std::vector<Json>{Json::parse(R"({"id":null,"method":"locked","params":["L"]})")});
  EXPECT_EQ(call(alice, "unlock", R"(["L"])"), Json::object());
  EXPECT_EQ(take(bob), std::vector<Json>{Json::parse(R"({"id":null,"method":"locked","params":["L"]})")});
  EXPECT_EQ(call(bob, "transact", assertion), Json::parse("[{}]"));
}

TEST_F(OvsdbServerTest, CommitsFromCodeReachTheMonitors) {
  call(alice, "monitor_cond", R"(["Test","m",{"Root":{"columns":["label"]}}])");
  Transaction transaction(db);
  transaction.set("Root", transaction.insert("Root", id(8)), "label", Datum::of("by the switch"));
  ASSERT_FALSE(transaction.commit());
  ASSERT_EQ(alice->received.size(), 1U);
  EXPECT_EQ(alice->received[0]["params"][1]["Root"][id(8).to_string()],
            Json::parse(R"({"insert":{"label":"by the switch"}})"));
}

TEST_F(OvsdbServerTest, NothingIsCalledAfterItsEnd) {
  auto other = std::make_unique<OvsdbServer>(io, dispatcher, db);
  call(alice, "monitor", R"(["Test","m",{"Root":{}}])");
  send(
      alice, "transact",
      R"(["Test",{"op":"wait","timeout":1,"table":"Root","where":[],"columns":["name"],"until":"==","rows":[{"name":"x"}]}])",
      1);
  other.reset();
  alice->hang_up();
  Transaction transaction(db);
  transaction.insert("Root");
  EXPECT_FALSE(transaction.commit());
  io.restart();
  io.run();
}

TEST_F(OvsdbServerTest, MonitorsAndLocksCountForTheirClient) {
  const std::size_t before = alice->memory_used();
  const std::string request = R"({"Root":{"where":[["name","==",")" + std::string(50'000, 'x') + R"("]]}}])";
  call(alice, "monitor_cond", R"(["Test","m",)" + request);
  EXPECT_GT(alice->memory_used(), before + 50'000);
  call(alice, "monitor_cond_change", R"(["m","n",{"Root":[{"where":[]}]}])");
  EXPECT_LT(alice->memory_used(), before + 5'000);
  call(alice, "lock", R"([")" + std::string(50'000, 'l') + R"("])");
  EXPECT_GT(alice->memory_used(), before + 50'000);
  call(alice, "unlock", R"([")" + std::string(50'000, 'l') + R"("])");
  call(alice, "monitor_cancel", R"(["n"])");
  EXPECT_EQ(alice->memory_used(), before);
}

TEST_F(OvsdbServerTest, AClientHasABoundedNumberOfMonitors) {
  for (std::size_t i = 0; i < limits::kMonitors; ++i)
    EXPECT_EQ(call(alice, "monitor", R"(["Test",)" + std::to_string(i) + R"(,{"Leaf":{}}])"), Json::object());
  EXPECT_EQ(
      details(alice, "monitor", R"(["Test","more",{"Leaf":{}}])"),
      "resources exhausted: a client may have 1024 monitors; cancel some, or monitor several tables in one");
  EXPECT_EQ(call(bob, "monitor", R"(["Test","more",{"Leaf":{}}])"), Json::object());
}

TEST_F(OvsdbServerTest, CancelledMonitorsLeaveNoViewBehind) {
  for (int i = 0; i < 10; ++i) {
    call(alice, "monitor_cond",
         R"(["Test","m",{"Leaf":{"where":[["value","==",)" + std::to_string(i) + "]]}}]");
    call(alice, "monitor_cancel", R"(["m"])");
  }
  EXPECT_EQ(server.distinct_views(), 0U);
}

TEST_F(OvsdbServerTest, TooManyOperationsEndTheRequest) {
  std::string operations = R"(["Test")";
  for (std::size_t i = 0; i <= limits::kOperations; ++i) operations += ",0";
  EXPECT_EQ(details(alice, "transact", operations + "]"),
            "resources exhausted: the transaction has 100001 operations, and 100000 are allowed; split it");
}

// A commit makes all waiting transactions due. Others are served in between, however many there are.
TEST_F(OvsdbServerTest, WaitingTransactionsAreTriedInTurns) {
  std::string rows;
  for (int i = 0; i < 200; ++i)
    rows += (i ? "," : "") + std::string(R"({"name":"n)") + std::to_string(i) + R"("})";
  for (int i = 0; i < 300; ++i) {
    send(alice, "transact",
         R"(["Test",{"op":"wait","table":"Root","where":[],"columns":["name"],"until":"==","rows":[)" + rows +
             "]}]",
         i);
  }
  EXPECT_EQ(server.waiting(), 300U);
  call(bob, "transact", "[\"Test\"," + insert("Root", 1, R"({"name":"now"})") + "]");
  io.restart();
  int turns = 0;
  while (io.poll_one() != 0) ++turns;
  EXPECT_GT(turns, 1) << "at 10 ms each";
  EXPECT_EQ(server.waiting(), 300U);
}

}  // namespace
}  // namespace vswitch::ovsdb
