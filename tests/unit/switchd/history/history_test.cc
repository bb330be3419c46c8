// SPDX-License-Identifier: Apache-2.0
// From commits to events, and from events to lines of the log.
#include "switchd/history/history.h"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schemas/openrpc.h"
#include "switchd/db/transaction.h"
#include "switchd/history/sentence.h"

namespace vswitch::history::test {
namespace {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;
using testing::ElementsAre;
using testing::IsEmpty;
using Lines = std::vector<std::string>;

const std::string kAlice = "alice (pid 77, tool)";

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() { start(); }

  /// As a daemon does that finds the database as it is.
  void start() {
    history.reset();
    history =
        std::make_unique<History>(io, database, "", Clocks{[this] { return now; }, [this] { return now; }});
    history->on_event([this](const std::string& topic, const Json& params) {
      const auto violation = openrpc::control().check_notification(topic, params);
      EXPECT_FALSE(violation) << topic << ' ' << params.dump() << ": " << violation->sentence;
      heard.push_back({topic, params});
    });
  }

  template <class Fill>
  auto commit(Fill fill) {
    Transaction transaction(database);
    const auto result = fill(transaction);
    const ovsdb::Database::By by(database, who);
    EXPECT_FALSE(transaction.commit());
    return result;
  }
  Uuid add_bridge(const std::string& name) {
    return commit([&](Transaction& transaction) {
      const Uuid bridge = transaction.insert("Bridge");
      transaction.set("Bridge", bridge, "name", Datum::of(name));
      const Uuid root = transaction.insert("Open_vSwitch");
      transaction.set("Open_vSwitch", root, "bridges", Datum::of(bridge));
      return bridge;
    });
  }
  Uuid add_port(const Uuid& bridge, const std::string& name) {
    return commit([&](Transaction& transaction) {
      const Uuid interface = transaction.insert("Interface");
      transaction.set("Interface", interface, "name", Datum::of(name));
      const Uuid port = transaction.insert("Port");
      transaction.set("Port", port, "name", Datum::of(name));
      transaction.set("Port", port, "interfaces", Datum::of(interface));
      transaction.add("Bridge", bridge, "ports", Datum::of(port));
      return port;
    });
  }
  Uuid add_mirror(const Uuid& bridge, const std::string& name, std::map<std::string, Datum> columns = {}) {
    return commit([&](Transaction& transaction) {
      const Uuid mirror = transaction.insert("Mirror");
      transaction.set("Mirror", mirror, "name", Datum::of(name));
      for (const auto& [column, datum] : columns) transaction.set("Mirror", mirror, column, datum);
      transaction.add("Bridge", bridge, "mirrors", Datum::of(mirror));
      return mirror;
    });
  }

  void set(const std::string& table, const Uuid& row, const std::string& column, const Datum& datum) {
    commit([&](Transaction& transaction) {
      transaction.set(table, row, column, datum);
      return 0;
    });
  }
  /// What the switch itself writes.
  void report(const std::string& table, const Uuid& row, const std::string& column,
              const std::map<std::string, std::string>& map) {
    const std::string asked = std::exchange(who, "");
    set(table, row, column, Datum::map_of(map));
    who = asked;
  }
  void lose(const Uuid& mirror, const std::map<std::string, std::int64_t>& counters) {
    const std::string asked = std::exchange(who, "");
    set("Mirror", mirror, "statistics", Datum::map_of(counters));
    who = asked;
  }
  Uuid interface_of(const Uuid& port) { return *database.find("Port", port)->reference("interfaces"); }

  /// The lines of the log for what has happened since the last call.
  Lines said() {
    std::vector<Event> events;
    for (const auto& [topic, params] : std::exchange(heard, {})) events.push_back({topic, params});
    Lines lines;
    for (const Sentence& line : sentences_of(events)) lines.push_back(line.module->name() + "|" + line.text);
    return lines;
  }
  /// Topic and what else a person would read of the last events.
  Lines kept(std::size_t after = 0) {
    Lines lines;
    for (const Kept& event : history->events()) {
      const Json json = Json::parse(event.text);
      EXPECT_EQ(json["number"], event.number);
      EXPECT_EQ(json["topic"], event.topic);
      std::string line = event.topic + ' ' + event.name;
      for (const char* member : {"action", "state", "reason"}) {
        if (json.contains(member) && json[member] != "") line += ' ' + json[member].get<std::string>();
      }
      if (json.contains("lost"))
        line += ' ' + json["lost"].dump() + ' ' + json.value("seconds", Json()).dump();
      if (event.number > after) lines.push_back(line);
    }
    return lines;
  }

  boost::asio::io_context io;
  ovsdb::Database database{ovsdb::vswitch_schema()};
  std::int64_t now = 1'767'600'000'000;
  std::string who = kAlice;
  std::unique_ptr<History> history;
  std::vector<std::pair<std::string, Json>> heard;
};

TEST_F(HistoryTest, WhoAddsWhatIsSaidWithItsSettings) {
  const Uuid bridge = add_bridge("br0");
  EXPECT_THAT(said(), ElementsAre("bridge|br0: added by alice (pid 77, tool)",
                                  "settings|Open_vSwitch: added by alice (pid 77, tool)"));
  add_port(bridge, "t1");
  EXPECT_THAT(said(), ElementsAre("port|br0/t1: added by alice (pid 77, tool)"));
  add_mirror(bridge, "span0",
             {{"snaplen", Datum::of(96)},
              {"source_ports", Datum::map_of(std::map<std::string, std::string>{{"t1", "from"}})},
              {"filter", Datum::set_of(std::vector<std::string>{"tcp", "udp"})}});
  EXPECT_THAT(said(),
              ElementsAre("mirror|br0/span0: added by alice (pid 77, tool): filter tcp, udp, snaplen 96, "
                          "source_ports:t1 from"));
}

TEST_F(HistoryTest, LinesSayToTheJournalWhatTheyAreAbout) {
  const Uuid bridge = add_bridge("br0");
  add_port(bridge, "t1");
  const Uuid mirror = add_mirror(bridge, "span0");
  report("Mirror", mirror, "status", {{"state", "waiting"}, {"reason", "no device t2"}});
  std::vector<Event> events;
  for (const auto& [topic, params] : std::exchange(heard, {})) events.push_back({topic, params});
  std::vector<std::string> lines;
  for (const Sentence& line : sentences_of(events)) {
    std::string fields;
    for (const auto& [name, value] : line.fields) fields += std::string(name) + '=' + value + ' ';
    lines.push_back(fields);
  }
  const std::string who_did_it = "VSWITCH_USER=alice VSWITCH_CLIENT=alice (pid 77, tool) ";
  EXPECT_THAT(lines,
              testing::IsSupersetOf(
                  {who_did_it + "VSWITCH_EVENT=bridge.change VSWITCH_BRIDGE=br0 ",
                   who_did_it + "VSWITCH_EVENT=port.change VSWITCH_BRIDGE=br0 VSWITCH_PORT=t1 ",
                   who_did_it + "VSWITCH_EVENT=mirror.change VSWITCH_BRIDGE=br0 VSWITCH_SESSION=span0 ",
                   std::string("VSWITCH_EVENT=mirror.state VSWITCH_BRIDGE=br0 VSWITCH_SESSION=span0 "
                               "VSWITCH_STATE=waiting ")}));
}

TEST_F(HistoryTest, FieldsThatChangeAreNamedWithBothValues) {
  const Uuid bridge = add_bridge("br0");
  const Uuid port = add_port(bridge, "t1");
  const Uuid mirror = add_mirror(bridge, "span0", {{"snaplen", Datum::of(64)}});
  said();
  set("Mirror", mirror, "snaplen", Datum::of(96));
  EXPECT_THAT(said(), ElementsAre("mirror|br0/span0: changed by alice (pid 77, tool): snaplen 64 -> 96"));
  set("Mirror", mirror, "output_port", Datum::of(port));
  EXPECT_THAT(said(),
              ElementsAre("mirror|br0/span0: changed by alice (pid 77, tool): output_port none -> t1"));
  set("Interface", interface_of(port), "mtu_request", Datum::of(9000));
  EXPECT_THAT(said(), ElementsAre("port|br0/t1: changed by alice (pid 77, tool): mtu_request none -> 9000"));
  const Uuid root = database.table("Open_vSwitch").begin()->uuid();
  set("Open_vSwitch", root, "other_config",
      Datum::map_of(std::map<std::string, std::string>{{"worker-threads", "3"}}));
  set("Open_vSwitch", root, "next_cfg", Datum::of(7));
  EXPECT_THAT(said(), ElementsAre("settings|Open_vSwitch: changed by alice (pid 77, tool): "
                                  "other_config:worker-threads none -> 3"));
  set("Mirror", mirror, "name", Datum::of("span1"));
  EXPECT_THAT(said(), ElementsAre("mirror|br0/span1: changed by alice (pid 77, tool): name span0 -> span1"));
}

TEST_F(HistoryTest, WhatTheSwitchWritesIsNoChangeOfSettings) {
  const Uuid mirror = add_mirror(add_bridge("br0"), "span0");
  said();
  who = "";
  set("Mirror", mirror, "expires_at", Datum::of(std::int64_t{5}));
  EXPECT_THAT(said(), IsEmpty());
}

TEST_F(HistoryTest, WhatGoesIsNamedAndAPortTakesItsReferencesWithIt) {
  const Uuid bridge = add_bridge("br0");
  const Uuid port = add_port(bridge, "t1");
  const Uuid mirror = add_mirror(bridge, "span0", {{"output_port", Datum::of(port)}});
  report("Mirror", mirror, "status", {{"state", "active"}});
  said();
  set("Bridge", bridge, "ports", Datum());
  EXPECT_THAT(said(), ElementsAre("mirror|br0/span0: changed by alice (pid 77, tool): output_port t1 -> none",
                                  "port|br0/t1: removed by alice (pid 77, tool)", "port|br0/t1: removed"));
  set("Bridge", bridge, "mirrors", Datum());
  EXPECT_THAT(kept(history->last() - 2),
              ElementsAre("mirror.change span0 removed", "mirror.state span0 removed"));
  EXPECT_EQ(Json::parse(history->events().back().text)["bridge"], "br0");
}

TEST_F(HistoryTest, EndpointsBelongToTheirSession) {
  const Uuid bridge = add_bridge("br0");
  const Uuid mirror = add_mirror(bridge, "er0");
  said();
  const Uuid endpoint = commit([&](Transaction& transaction) {
    const Uuid row = transaction.insert("Mirror_Endpoint");
    transaction.set("Mirror_Endpoint", row, "remote_ip", Datum::of("192.0.2.9"));
    transaction.set("Mirror_Endpoint", row, "encap", Datum::of("erspan2"));
    transaction.set("Mirror", mirror, "endpoints", Datum::of(row));
    return row;
  });
  EXPECT_THAT(said(), ElementsAre("mirror|br0/er0: changed by alice (pid 77, tool): endpoints none -> "
                                  "erspan2 192.0.2.9"));
  set("Mirror_Endpoint", endpoint, "session_id", Datum::of(5));
  EXPECT_THAT(said(),
              ElementsAre("mirror|br0/er0: changed by alice (pid 77, tool): endpoint erspan2 192.0.2.9: "
                          "session_id none -> 5"));
}

TEST_F(HistoryTest, StatesHaveTheirReason) {
  const Uuid bridge = add_bridge("br0");
  const Uuid port = add_port(bridge, "t1");
  const Uuid mirror = add_mirror(bridge, "span0");
  said();
  report("Mirror", mirror, "status", {{"state", "waiting"}, {"reason", "no device t1"}, {"since", "x"}});
  report("Mirror", mirror, "status", {{"state", "waiting"}, {"reason", "no device t1"}, {"since", "y"}});
  report("Interface", interface_of(port), "status", {{"state", "down"}, {"reason", "no carrier"}});
  EXPECT_THAT(said(),
              ElementsAre("mirror|br0/span0: waiting: no device t1", "port|br0/t1: down: no carrier"));
}

TEST_F(HistoryTest, ThatEverythingWorksAfterARestartIsNotKept) {
  const Uuid bridge = add_bridge("br0");
  const Uuid works = add_mirror(bridge, "works");
  const Uuid waits = add_mirror(bridge, "waits");
  start();
  report("Mirror", works, "status", {{"state", "active"}});
  report("Mirror", waits, "status", {{"state", "waiting"}, {"reason", "no port"}});
  EXPECT_THAT(kept(), ElementsAre("mirror.state waits waiting no port"));
  report("Mirror", works, "status", {{"state", "error"}, {"reason", "z"}});
  report("Mirror", works, "status", {{"state", "active"}});
  EXPECT_THAT(kept(1), ElementsAre("mirror.state works error z", "mirror.state works active"));
}

TEST_F(HistoryTest, LossesAreSaidAtOnceAndThenOnceAMinute) {
  const Uuid mirror = add_mirror(add_bridge("br0"), "span0");
  const std::uint64_t before = history->last();
  lose(mirror, {{"lost", 3}, {"lost_queue_full", 3}});
  EXPECT_THAT(kept(before), ElementsAre("mirror.loss span0 3 null"));
  now += 5'000;
  lose(mirror, {{"lost", 7}, {"lost_queue_full", 5}, {"lost_no_route", 2}});
  now += 54'000;
  lose(mirror, {{"lost", 8}, {"lost_queue_full", 6}, {"lost_no_route", 2}});
  history->look_at_losses();
  EXPECT_EQ(kept(before).size(), 1u);
  EXPECT_EQ((history->recent_losses()[{"br0", "span0"}].by),
            (std::map<std::string, std::int64_t>{{"queue_full", 6}, {"no_route", 2}}));
  now += 1'000;
  history->look_at_losses();
  EXPECT_THAT(kept(before), ElementsAre("mirror.loss span0 3 null", "mirror.loss span0 5 60"));
  const Json last = Json::parse(history->events().back().text);
  EXPECT_EQ(last["lost_by"], Json({{"queue_full", 3}, {"no_route", 2}}));
  EXPECT_EQ((history->recent_losses()[{"br0", "span0"}].lost), 5) << "the first three are a minute old";
  now += 60'000;
  history->look_at_losses();
  EXPECT_THAT(history->recent_losses(), IsEmpty());
  // Those who listen hear each count.
  Lines counts;
  for (const auto& [topic, params] : heard) {
    if (topic == kMirrorLoss) counts.push_back(params["lost"].dump() + params["number"].dump());
  }
  EXPECT_THAT(counts, ElementsAre("3null", "4null", "1null"));
}

TEST_F(HistoryTest, ACounterThatStartedFromZeroHasLostWhatItSays) {
  const Uuid mirror = add_mirror(add_bridge("br0"), "span0");
  lose(mirror, {{"lost", 9}, {"lost_queue_full", 9}});
  lose(mirror, {{"lost", 2}, {"lost_queue_full", 2}});
  EXPECT_EQ(heard.back().second["lost"], 2);
  lose(mirror, {{"lost", 0}, {"lost_queue_full", 0}});
  EXPECT_EQ(heard.size(), history->last() + 2 - 1) << "two losses heard, of which one was kept";
}

TEST_F(HistoryTest, WhatASessionLostIsSaidBeforeItGoes) {
  const Uuid bridge = add_bridge("br0");
  const Uuid mirror = add_mirror(bridge, "span0");
  lose(mirror, {{"lost", 3}, {"lost_queue_full", 3}});
  now += 5'000;
  lose(mirror, {{"lost", 4}, {"lost_queue_full", 4}});
  const std::uint64_t before = history->last();
  set("Bridge", bridge, "mirrors", Datum());
  EXPECT_THAT(kept(before), ElementsAre("mirror.change span0 removed", "mirror.state span0 removed",
                                        "mirror.loss span0 1 5"));
  EXPECT_THAT(history->recent_losses(), IsEmpty());
}

TEST_F(HistoryTest, ManyChangesOfOneCommitAreOneLineAndBounded) {
  const Uuid bridge = add_bridge("br0");
  said();
  heard.clear();
  const std::size_t many = kMaxChangesOfCommit + 30;
  commit([&](Transaction& transaction) {
    for (std::size_t i = 0; i < many; ++i) {
      const Uuid mirror = transaction.insert("Mirror");
      transaction.set("Mirror", mirror, "name", Datum::of("s" + std::to_string(1000 + i)));
      transaction.add("Bridge", bridge, "mirrors", Datum::of(mirror));
    }
    return 0;
  });
  EXPECT_EQ(heard.size(), kMaxChangesOfCommit + 1);
  const Lines lines = said();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0],
              testing::MatchesRegex("mirror.500 sessions added by alice .pid 77, tool.: br0/s[0-9]+, .*, "
                                    "\\.\\.\\. .490 more."));
  EXPECT_EQ(lines[1], "settings|30 more rows: changed by alice (pid 77, tool)");
}

TEST_F(HistoryTest, LongValuesAreShortenedBetweenCharacters) {
  const Uuid mirror = add_mirror(add_bridge("br0"), "span0");
  std::string text = "x";
  for (int i = 0; i < 200; ++i) text += "\xc3\xa9";
  set("Mirror", mirror, "description", Datum::of(text));
  const Json change = heard.back().second["changes"][0];
  EXPECT_EQ(change["after"], text.substr(0, 199) + "...");
}

TEST_F(HistoryTest, TheLastTenThousandAreKept) {
  const Uuid mirror = add_mirror(add_bridge("br0"), "span0");
  const std::uint64_t before = history->last();
  for (std::size_t i = 0; i < kMaxEvents + 5; ++i)
    set("Mirror", mirror, "snaplen", Datum::of(64 + (i % 2 ? 1 : 0)));
  EXPECT_EQ(history->events().size(), kMaxEvents);
  EXPECT_EQ(history->last(), before + kMaxEvents + 5);
  EXPECT_EQ(history->events().front().number, before + 6);
}

TEST_F(HistoryTest, RefusalsAreSaidAndLimited) {
  history->refused(kAlice, "mirror.add", "there is no bridge br9");
  EXPECT_THAT(said(),
              ElementsAre("settings|refused: mirror.add by alice (pid 77, tool): there is no bridge br9"));
  for (int i = 0; i < 1000; ++i) history->refused(kAlice, "mirror.add", "again");
  EXPECT_EQ(history->last(), std::uint64_t{kRefusalBurst});
  now += 60'000;
  history->refused(kAlice, "mirror.add", "later");
  EXPECT_EQ(heard.back().second["left_out"], 1001 - kRefusalBurst);
}

}  // namespace
}  // namespace vswitch::history::test
