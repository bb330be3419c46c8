// SPDX-License-Identifier: Apache-2.0
// fdb.*, system.*, rpc.discover, subscriptions, and the whole of the contract.
#include <unistd.h>

#include "tests/unit/switchd/api/support.h"

namespace vswitch::api::test {
namespace {

using testing::StartsWith;

class SystemApi : public ApiTest {
 protected:
  SystemApi() { build(); }
  /// Notifications heard since the last call, each checked against the contract, as "method name state
  /// reason", or "method name action by".
  std::vector<std::string> heard() {
    std::vector<std::string> lines;
    for (const Json& message : client->heard) {
      const std::string method = message["method"];
      const Json& params = message["params"];
      const auto violation = openrpc::control().check_notification(method, params);
      EXPECT_FALSE(violation) << method << ": " << violation->sentence;
      EXPECT_FALSE(message.contains("id"));
      std::string line = method + ' ' + params.value("name", params.value("method", ""));
      for (const char* member : {"action", "by", "state", "reason"}) {
        if (params.contains(member)) line += ' ' + params[member].get<std::string>();
      }
      if (params.contains("lost")) line += ' ' + params["lost"].dump() + params["lost_by"].dump();
      lines.push_back(line);
    }
    client->heard.clear();
    return lines;
  }
  using Lines = std::vector<std::string>;
};

TEST_F(SystemApi, EveryMethodOfTheContractIsThereAndNoOther) {
  std::vector<std::string> methods = openrpc::control().methods();
  std::sort(methods.begin(), methods.end());
  EXPECT_EQ(dispatcher.methods(), methods);
}

TEST_F(SystemApi, EveryMethodRefusesAnUnknownParameter) {
  for (const std::string& method : openrpc::control().methods()) {
    const Json error = refused(method, {{"surprise", 1}});
    EXPECT_EQ(error["code"], jsonrpc::kInvalidParams) << method;
  }
}

TEST_F(SystemApi, DiscoverGivesTheDocument) {
  EXPECT_EQ(good("rpc.discover"), openrpc::control().document());
  EXPECT_EQ((*send("rpc.discover", Json::array()))["result"]["openrpc"], "1.2.6");
}

TEST_F(SystemApi, Info) {
  const Json info = good("system.info");
  EXPECT_EQ(info["pid"], ::getpid());
  EXPECT_EQ(info["workers"], 3);
  EXPECT_EQ(info["bridges"], 2);
  EXPECT_EQ(info["ports"], 6);
  EXPECT_EQ(info["schema_version"], "8.3.1");
  EXPECT_EQ(info["privileges"]["system_calls"], "all");
  EXPECT_FALSE(info["privileges"]["user"].empty());
}

TEST_F(SystemApi, Stats) {
  view.of_interface[row("Interface", "t1").uuid()] = {{"rx_packets", 7}, {"tx_bytes", 99}, {"tx_copies", 2}};
  view.dropped = {{"hairpin", 4}, {"too_big", 0}, {"copy_too_big", 1}};
  view.of_datapath.workers = {
      {.ports = {"t1"}, .frames = 9, .cpu_ns = 70, .queued_copy_bytes = 5, .copy_queue_bytes = 100},
      {.queued_copy_bytes = 6, .copy_queue_bytes = 100}};
  view.of_datapath.mirror_threads = {{.wakeups = 1, .passes = 2, .frames = 3, .cpu_ns = 4}};
  view.of_datapath.receive_memory_bytes = 4096;
  view.of_datapath.send_memory_bytes = 512;
  view.of_datapath.complaints = {"not used"};
  const Json stats = good("system.stats");
  ASSERT_EQ(stats["threads"].size(), 3u);
  EXPECT_EQ(stats["threads"][0]["ports"], Json({"t1"}));
  EXPECT_EQ(stats["threads"][0]["cpu_ns"], 70);
  EXPECT_EQ(
      stats["threads"][2],
      Json(
          {{"kind", "mirror"}, {"number", 0}, {"frames", 3}, {"batches", 2}, {"wakeups", 1}, {"cpu_ns", 4}}));
  EXPECT_EQ(stats["memory"],
            Json({{"receive_bytes", 4096}, {"send_bytes", 512}, {"queue_bytes", 200}, {"queued_bytes", 11}}));
  EXPECT_EQ(stats["notices"], Json({"not used"}));
  EXPECT_EQ(stats["ports"].size(), 6u);
  EXPECT_EQ(stats["ports"][1]["name"], "t1");
  EXPECT_EQ(stats["ports"][1]["rx_packets"], 7);
  EXPECT_EQ(stats["ports"][1]["tx_copies"], 2);
  EXPECT_EQ(stats["ports"][1]["rx_errors"], 0);
  EXPECT_EQ(
      stats["drops"],
      Json::array(
          {{{"reason", "copy_too_big"},
            {"count", 1},
            {"meaning", "a copy: longer than the MTU of the port's device or of the path to the endpoint"}},
           {{"reason", "hairpin"},
            {"count", 4},
            {"meaning", "the destination is on the port the frame came from"}}}));
}

TEST_F(SystemApi, Fdb) {
  view.learned = {{"t2", 9, MacAddr::from_u64(0x52540000000bULL), 3},
                  {"t1", 0, MacAddr::from_u64(0x52540000000cULL), 1}};
  const Json entries = good("fdb.list", {{"bridge", "br0"}})["entries"];
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0],
            Json({{"bridge", "br0"}, {"port", "t1"}, {"vlan", 0}, {"mac", "52:54:00:00:00:0c"}, {"age", 1}}));
  EXPECT_EQ(entries[1]["vlan"], 9);
  EXPECT_EQ(good("fdb.flush", {{"bridge", "br0"}})["flushed"], 2);
  EXPECT_EQ(view.flushed, "br0");
  EXPECT_THAT(refusal("fdb.list", {{"bridge", "br9"}}), StartsWith("not_found bridge: "));
  EXPECT_THAT(refusal("fdb.flush", {{"bridge", "br9"}}), StartsWith("not_found bridge: "));
}

TEST_F(SystemApi, SubscribersHearStatesWhoeverChangesThem) {
  good("mirror.add", span("span0", {"t1"}, {"t2"}));
  good("subscribe", {{"topics", {"mirror.state", "port.state"}}});
  EXPECT_EQ(heard(), Lines{});
  set_status("Mirror", "span0", {{"state", "active"}, {"since", "x"}});
  EXPECT_EQ(heard(), Lines{"mirror.state span0 active "});
  set_status("Mirror", "span0", {{"state", "active"}, {"since", "y"}});
  EXPECT_EQ(heard(), Lines{});
  set_status("Interface", "t2", {{"state", "waiting"}, {"reason", "no device t2"}});
  EXPECT_EQ(heard(), Lines{"port.state t2 waiting no device t2"});
  good("port.del", {{"name", "t2"}});
  EXPECT_EQ(heard(), Lines{"port.state t2 removed "});
  good("mirror.del", {{"bridge", "br0"}, {"name", "span0"}});
  EXPECT_EQ(heard(), Lines{"mirror.state span0 removed "});
  good("mirror.add", span("span1", {"t1"}, {"t3"}));
  EXPECT_EQ(heard(), Lines{}) << "it has no state before the switch has seen it";
}

TEST_F(SystemApi, SubscribersHearWhoChangesWhat) {
  EXPECT_EQ(good("subscribe")["topics"].size(), 9u);
  good("mirror.add", span("span0", {"t1"}, {"t2"}));
  good("mirror.set", {{"bridge", "br0"}, {"name", "span0"}, {"snaplen", 96}});
  const Json change = client->heard.back()["params"];
  EXPECT_EQ(change["changes"], Json::array({{{"field", "snaplen"}, {"before", nullptr}, {"after", "96"}}}));
  EXPECT_EQ(change["time"], "2026-01-05T08:00:00Z");
  EXPECT_EQ(change["number"], history.last());
  refused("mirror.add", span("span0", {"t1"}, {"t2"}));
  good("mirror.del", {{"bridge", "br0"}, {"name", "span0"}});
  EXPECT_THAT(heard(), testing::ElementsAre(
                           "mirror.change span0 added tcp:192.0.2.7:50112",
                           "mirror.change span0 changed tcp:192.0.2.7:50112",
                           StartsWith("system.refused mirror.add tcp:192.0.2.7:50112 session span0 "),
                           "mirror.change span0 removed tcp:192.0.2.7:50112", "mirror.state span0 removed "));
}

TEST_F(SystemApi, TheAnswerToSubscribersHasTheStatesOfNow) {
  good("mirror.add", span("span0", {"t1"}, {"t2"}));
  set_status("Mirror", "span0", {{"state", "waiting"}, {"reason", "no device t2"}});
  const Json answer = good("subscribe", {{"topics", {"mirror.state", "mirror.loss"}}});
  EXPECT_EQ(answer["time"], "2026-01-05T08:00:00Z");
  EXPECT_EQ(answer["last"], history.last());
  EXPECT_EQ(answer["snapshot"], Json({{"mirrors", Json::array({{{"bridge", "br0"},
                                                                {"name", "span0"},
                                                                {"state", "waiting"},
                                                                {"reason", "no device t2"}}})}}));
  EXPECT_EQ(good("subscribe")["snapshot"]["ports"].size(), 6u);
  EXPECT_FALSE(good("subscribe", {{"snapshot", false}}).contains("snapshot"));
}

TEST_F(SystemApi, SubscribersHearOfLosses) {
  good("mirror.add", span("span0", {"t1"}, {"t2"}));
  const auto count = [this](std::map<std::string, std::int64_t> counters) {
    write("Mirror", row("Mirror", "span0").uuid(), "statistics", Datum::map_of(counters));
  };
  count({{"matched", 9}, {"lost", 2}, {"lost_queue_full", 2}});
  good("subscribe", {{"topics", {"mirror.loss"}}});
  count({{"matched", 10}, {"lost", 2}, {"lost_queue_full", 2}});
  EXPECT_EQ(heard(), Lines{});
  count({{"matched", 20}, {"lost", 6}, {"lost_queue_full", 3}, {"lost_too_big", 3}});
  EXPECT_EQ(heard(), Lines{"mirror.loss span0 4{\"queue_full\":1,\"too_big\":3}"});
  set_status("Mirror", "span0", {{"state", "active"}});
  EXPECT_EQ(heard(), Lines{}) << "not subscribed to states";
}

TEST_F(SystemApi, UnsubscribeAndHangUpEndNotifications) {
  good("mirror.add", span("span0", {"t1"}, {"t2"}));
  good("subscribe", {{"topics", {"mirror.state", "mirror.loss"}}});
  EXPECT_EQ(good("unsubscribe", {{"topics", {"mirror.state"}}})["topics"], Json({"mirror.loss"}));
  set_status("Mirror", "span0", {{"state", "active"}});
  EXPECT_EQ(heard(), Lines{});
  EXPECT_EQ(good("unsubscribe")["topics"], Json::array());
  good("subscribe");
  client->hang_up();
  set_status("Mirror", "span0", {{"state", "error"}});
  EXPECT_EQ(heard(), Lines{});
  EXPECT_THAT(refusal("subscribe", {{"topics", {"weather"}}}), StartsWith("invalid topics[0]: "));
}

}  // namespace
}  // namespace vswitch::api::test
