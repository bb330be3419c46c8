// SPDX-License-Identifier: Apache-2.0
// What people and programs get to read.
#include "ctl/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "tests/unit/ctl/fake_world.h"

namespace vswitch::ctl {
namespace {

using test::example_result;
using test::FakeDaemon;
using test::Invocation;
using test::words;
using testing::HasSubstr;
using testing::Not;

TEST(Table, AlignsNumbersRightAndTextLeftWithoutTrailingSpaces) {
  Table table({"NAME", "N", "LAST"});
  table.add({"a", 7, ""});
  table.add({"longer", 1234, nullptr});
  EXPECT_EQ(table.text(2),
            "  NAME       N  LAST\n"
            "  a          7  -\n"
            "  longer  1234  -\n");
}

TEST(Table, CountsCharactersAndDefusesControlCharacters) {
  Table table({"A", "B"});
  table.add({"größe", "x"});
  table.add({"\x1b[2J", "y"});
  EXPECT_EQ(table.text(),
            "A      B\n"
            "größe  x\n"
            "?[2J   y\n");
}

TEST(Table, GivesWideAndCombiningCharactersTheirColumns) {
  Table table({"A", "B"});
  table.add({"日本", "x"});
  table.add({"e\u0301", "y"});
  EXPECT_EQ(table.text(),
            "A     B\n"
            "日本  x\n"
            "e\u0301     y\n");
}

TEST(Table, IsNeverCutAndHasAHeaderWithoutRows) {
  EXPECT_EQ(Table({"A", "B"}).text(1), " A  B\n");
  Table table({"LONG", "N"});
  table.add({std::string(1000, 'x'), 1});
  EXPECT_THAT(table.text(), HasSubstr(std::string(1000, 'x') + "  1\n"));
}

TEST(ShortForms, OfVlans) {
  EXPECT_EQ(vlan_list({3, 1, 2, 9, 11, 12}), "1-3,9,11-12");
  EXPECT_EQ(vlan_list(Json::array()), "");
}

TEST(ShortForms, OfPorts) {
  Json port = example_result("port.set");
  EXPECT_EQ(port_vlans(port), "trunk 10,20");
  port["trunks"] = Json::array();
  EXPECT_EQ(port_vlans(port), "trunk");
  port["tag"] = 10;
  EXPECT_EQ(port_vlans(port), "access 10");
  port["vlan_mode"] = "native-untagged";
  port["trunks"] = {1, 2, 3};
  EXPECT_EQ(port_vlans(port), "native-untagged 10 trunks 1-3");
  port["vlan_mode"] = "dot1q-tunnel";
  port["cvlans"] = {7};
  EXPECT_EQ(port_vlans(port), "dot1q-tunnel 10 cvlans 7");
}

TEST(ShortForms, OfSources) {
  Json session = example_result("mirror.get");
  session["sources"]["ports"].push_back({{"name", "t3"}, {"direction", "from"}});
  EXPECT_EQ(sources(session), "t1, t3:from");
  session["sources"]["vlans"] = {10, 11};
  EXPECT_EQ(sources(session), "t1, t3:from vlan 10-11");
  session["sources"]["ports"] = Json::array();
  EXPECT_EQ(sources(session), "all ports vlan 10-11");
  session["sources"] = {{"ports", Json::array()}, {"vlans", Json::array()}, {"all", true}};
  EXPECT_EQ(sources(session), "all ports");
  session["sources"] =
      Json::parse(R"({"ports": [{"glob": "*", "direction": "from"}], "vlans": [], "all": false})");
  EXPECT_EQ(sources(session), "all:from") << "as it is typed";
}

TEST(Render, SessionsAreOneLineEach) {
  FakeDaemon daemon;
  Json waiting = example_result("mirror.get");
  waiting.update({{"name", "span1"}, {"state", "waiting"}, {"reason", "no device t2"}, {"normal_io", false}});
  waiting["counters"].update({{"matched", 1000},
                              {"delivered", 11},
                              {"lost", 10},
                              {"lost_by", {{"queue_full", 10}}},
                              {"duplicate", 5},
                              {"sampled_out", 1},
                              {"rate_limited", 970},
                              {"queued", 3}});
  daemon.answers["mirror.stats"] = {{{"mirrors", {waiting}}}};
  daemon.answers["mirror.list"] = {{{"mirrors", {example_result("mirror.get"), waiting}}}};
  EXPECT_EQ(
      Invocation({"list-mirrors"}, &daemon).out,
      "BRIDGE  SESSION  SOURCES -> DESTINATION  NORMAL I/O  MATCHED  DELIVERED  LOST  LEFT OUT  QUEUED  "
      "STATE\n"
      "br0     span0    t1 -> t2                yes               4          4     0         0       0  "
      "active\n"
      "br0     span1    t1 -> t2                no             1000         11    10       976       3  "
      "waiting: no device t2\n");
  EXPECT_EQ(Invocation({"mirror-stats"}, &daemon).out,
            "BRIDGE  SESSION  MATCHED  DELIVERED  LOST  LEFT OUT  QUEUED  BY"
            "                                                           STATE\n"
            "br0     span1       1000         11    10       976       3  "
            "queue_full 10, duplicate 5, sampled_out 1, rate_limited 970  waiting: no device t2\n");
}

TEST(Render, LongReasonsAreShortInListsAndWholeInShow) {
  FakeDaemon daemon;
  std::string reason = "größe";
  for (int i = 0; i < 30; ++i) reason += ", port vnet" + std::to_string(i) + " has no device";
  Json waiting = example_result("mirror.get");
  waiting.update({{"state", "waiting"}, {"reason", reason}});
  Json port = example_result("port.get");
  port["reason"] = reason;
  daemon.answers["mirror.list"] = {{{"mirrors", {waiting}}}};
  daemon.answers["mirror.get"] = daemon.answers["mirror.add"] = {waiting};
  daemon.answers["port.list"] = {{{"ports", {port}}}};
  daemon.answers["port.get"] = {port};
  const char* brief = "  waiting: größe, port vnet0 has no device, port vnet1 has no ...\n";
  EXPECT_THAT(Invocation({"list-mirrors"}, &daemon).out, HasSubstr(brief));
  EXPECT_THAT(Invocation({"show"}, &daemon).out, HasSubstr(brief));
  EXPECT_THAT(Invocation({"list-ports"}, &daemon).out, HasSubstr(brief));
  EXPECT_THAT(Invocation(words("show-mirror br0 span0"), &daemon).out,
              HasSubstr("waiting: " + reason + '\n'));
  EXPECT_THAT(Invocation(words("show-port t1"), &daemon).out, HasSubstr("waiting: " + reason + '\n'));
  EXPECT_THAT(Invocation(words("add-mirror br0 span0 --source t1 --output t2"), &daemon).out,
              HasSubstr("waiting: " + reason + '\n'));
}

TEST(Render, AddMirrorTellsTheStateItReached) {
  FakeDaemon daemon;
  Json waiting = example_result("mirror.add");
  waiting.update({{"state", "waiting"}, {"reason", "no device t2"}});
  daemon.answers["mirror.add"] = {waiting};
  EXPECT_EQ(Invocation(words("add-mirror br0 span0 --source t1 --output t2"), &daemon).out,
            "br0 span0  t1 -> t2  waiting: no device t2\n");
}

TEST(Render, AddAndDelAreSilentWhenAllIsWell) {
  EXPECT_EQ(Invocation(words("add-br br0")).out, "");
  EXPECT_EQ(Invocation(words("add-port br0 t1")).out, "");
  EXPECT_EQ(Invocation(words("del-port t1")).out, "");
  FakeDaemon daemon;
  daemon.answers["port.add"] = {example_result("port.get")};
  EXPECT_EQ(Invocation(words("add-port br0 t1"), &daemon).out, "t1 waiting: no device t1\n");
}

TEST(Render, ShowMirror) {
  FakeDaemon daemon;
  Json session = example_result("mirror.get");
  session["description"] = "for the \x1b[31mIDS";
  session.update({{"filter", {"tcp,tp_dst=80", "udp"}}, {"skip", {"arp"}}});
  session["counters"].update({{"matched", 100},
                              {"delivered", 1},
                              {"rate_limited", 89},
                              {"lost", 10},
                              {"lost_by", {{"queue_full", 10}}}});
  daemon.answers["mirror.get"] = {session};
  EXPECT_EQ(Invocation(words("show-mirror br0 span0"), &daemon).out,
            "session       span0 on br0\n"
            "state         active\n"
            "since         2026-01-05T08:00:00Z\n"
            "sources       t1 (from and to)\n"
            "destination   t2\n"
            "normal I/O    allowed\n"
            "filter        tcp,tp_dst=80\n"
            "filter        udp\n"
            "skip          arp\n"
            "description   for the ?[31mIDS\n"
            "matched       100 copies, one per frame and output\n"
            "delivered     1 copy\n"
            "rate limited  89 copies left out as configured\n"
            "lost          10 copies (queue_full 10)\n");
}

TEST(Render, ShowMirrorNamesDirectionsAndTheSessionId) {
  FakeDaemon daemon;
  Json session = example_result("mirror.get");
  session["sources"]["ports"] = Json::parse(R"([{"name": "t1", "direction": "from"},
                                                {"glob": "*", "direction": "to"}])");
  Json endpoint = Json::parse(R"({"ip": "10.0.0.1", "encap": "erspan3", "subheader": false, "ttl": 9})");
  for (const char* key : {"key", "session_id", "index", "cos", "hwid", "timestamp", "local_ip", "dst_port",
                          "dscp", "state", "reason", "source", "device", "mtu"})
    endpoint[key] = nullptr;
  Json gre = endpoint;
  gre["encap"] = "gre";
  session["destination"]["endpoints"] = {endpoint, gre};
  Json one = {{"name", "erspan3 10.0.0.1"}, {"counters", session["counters"]}};
  one["counters"].update({{"matched", 9}, {"rate_limited", 5}, {"queued", 4}});
  session["destinations"] = {one, one};
  daemon.answers["mirror.get"] = {session};
  const std::string text = Invocation(words("show-mirror br0 span0"), &daemon).out;
  EXPECT_THAT(text, HasSubstr("sources       t1 (from), all (to)\n"));
  EXPECT_THAT(text, HasSubstr("endpoint      10.0.0.1 erspan3, session_id 0, ttl 9\n"));
  EXPECT_THAT(text, HasSubstr("endpoint      10.0.0.1 gre, ttl 9\n"));
  EXPECT_THAT(text,
              HasSubstr("DESTINATION       MATCHED  DELIVERED  LOST  LEFT OUT  QUEUED  BY\n"
                        "erspan3 10.0.0.1        9          4     0         5       4  rate_limited 5\n"));
}

TEST(Render, ShowMirrorTellsWhatIsToBeKnown) {
  FakeDaemon daemon;
  Json session = example_result("mirror.get");
  session["notice"] = "VLAN 900 carries others";
  session["counters"]["foreign_frames"] = 17;
  session["counters"]["truncated"] = 5;
  daemon.answers["mirror.get"] = {session};
  const std::string shown = Invocation(words("show-mirror br0 span0"), &daemon).out;
  EXPECT_THAT(shown, HasSubstr("notice        VLAN 900 carries others\n"));
  EXPECT_THAT(shown, HasSubstr("foreign       17 frames in the output VLAN that are no copies\n"));
  EXPECT_THAT(shown, HasSubstr("truncated     5 of them, to the MTU of the path\n"));
}

TEST(Render, ShowMirrorTellsWhatIsRecorded) {
  FakeDaemon daemon;
  Json session = example_result("mirror.get");
  session["destination"].update(
      {{"ports", Json::array()}, {"record_bytes", 65'000'000}, {"record_seconds", 420}});
  session["recording"] = {{"frames", 12},
                          {"bytes", 1176},
                          {"evicted", 40},
                          {"capacity", 64'946'176},
                          {"oldest", "2026-01-05T08:00:00.125Z"},
                          {"newest", "2026-01-05T08:00:07Z"}};
  daemon.answers["mirror.get"] = {session};
  const std::string shown = Invocation(words("show-mirror br0 span0"), &daemon).out;
  EXPECT_THAT(shown, HasSubstr("destination   a recorder of 65 MB and 7 min\n"));
  EXPECT_THAT(shown, HasSubstr("recorded      12 frames (1176 bytes), from 2026-01-05T08:00:00.125Z to "
                               "2026-01-05T08:00:07Z; 40 earlier ones made room\n"));
  session["recording"].update({{"frames", 1}, {"evicted", 0}, {"oldest", nullptr}, {"newest", nullptr}});
  session["destination"].update({{"record_bytes", 1'000'001}, {"record_seconds", 61}});
  daemon.answers["mirror.get"] = {session};
  const std::string one = Invocation(words("show-mirror br0 span0"), &daemon).out;
  EXPECT_THAT(one, HasSubstr("destination   a recorder of 1000001 bytes and 61 s\n"));
  EXPECT_THAT(one, HasSubstr("recorded      1 frame (1176 bytes)\n"));
}

TEST(Render, AChangeWarnsOfWhatIsToBeKnown) {
  FakeDaemon daemon;
  Json session = example_result("mirror.add");
  session["notice"] = "port t2 carries only copies";
  daemon.answers["mirror.add"] = {session};
  const Invocation added(words("add-mirror br0 span0 --source t1 --output t2"), &daemon);
  EXPECT_EQ(added.status, 0);
  EXPECT_EQ(added.err, "vswitch-ctl: warning: port t2 carries only copies\n");
}

TEST(Render, ShowPort) {
  FakeDaemon daemon;
  Json port = example_result("port.set");
  port.update({{"tag", 10},
               {"vlan_mode", "dot1q-tunnel"},
               {"trunks", Json::array()},
               {"cvlans", {7, 8}},
               {"qinq_ethtype", "802.1q"},
               {"priority_tags", "always"},
               {"protected", true},
               {"ofport_request", 9},
               {"options", {{"key", "7"}}},
               {"external_ids", {{"iface-id", "vm-7"}}},
               {"mtu_request", 9100},
               {"mtu", 9000},
               {"ifindex", nullptr},
               {"state", "down"},
               {"reason", "no carrier"}});
  daemon.answers["port.get"] = {port};
  EXPECT_EQ(Invocation(words("show-port t1"), &daemon).out,
            "port          t1 on br0\n"
            "state         down: no carrier\n"
            "type          system\n"
            "ofport        1 (requested: 9)\n"
            "VLANs         dot1q-tunnel 10 cvlans 7-8\n"
            "cvlans        7-8\n"
            "qinq ethtype  802.1q\n"
            "priority tags always\n"
            "protected     yes\n"
            "ifindex       -\n"
            "MAC           52:54:00:0a:0b:0c\n"
            "MTU           9000 (requested: 9100)\n"
            "option        key=7\n"
            "external id   iface-id=vm-7\n"
            "received      4 packets, 392 bytes; 0 dropped, 0 errors\n"
            "sent          5 packets, 434 bytes; 1 dropped, 0 errors, 2 copies\n");
}

TEST(Render, ShowBridge) {
  FakeDaemon daemon;
  Json bridge = example_result("bridge.get");
  bridge.update({{"name", "br7"},
                 {"fail_mode", nullptr},
                 {"mac_aging_time", 61},
                 {"mac_table_size", 77},
                 {"flood_vlans", {5, 6}},
                 {"forward_bpdu", true},
                 {"ports", {"t1", "t2"}},
                 {"mirrors", Json::array()}});
  daemon.answers["bridge.get"] = {bridge};
  EXPECT_EQ(Invocation(words("show-br br7"), &daemon).out,
            "bridge        br7\n"
            "state         active\n"
            "datapath id   " +
                bridge["datapath_id"].get<std::string>() +
                "\n"
                "fail mode     -\n"
                "addresses     at most 77, kept 61 seconds\n"
                "flood VLANs   5-6\n"
                "forward BPDUs yes\n"
                "ports         t1, t2\n"
                "sessions      -\n");
}

TEST(Render, Show) {
  EXPECT_EQ(
      Invocation({"show"}).out,
      "bridge br0  active\n"
      "    PORT  TYPE    OFPORT  VLANS  STATE\n"
      "    t1    system       1  trunk  active\n"
      "    SESSION  SOURCES -> DESTINATION  NORMAL I/O  MATCHED  DELIVERED  LOST  LEFT OUT  QUEUED  STATE\n"
      "    span0    t1 -> t2                yes               4          4     0         0       0  "
      "active\n");
}

TEST(Render, JsonIsTheResultOfTheApi) {
  EXPECT_EQ(Json::parse(Invocation({"list-mirrors", "--json"}).out), example_result("mirror.list"));
  EXPECT_EQ(Json::parse(Invocation({"--json", "add-br", "br0"}).out), example_result("bridge.add"));
  const Json show = Json::parse(Invocation({"show", "--json"}).out);
  EXPECT_EQ(show["bridges"], example_result("bridge.list")["bridges"]);
  EXPECT_EQ(show["mirrors"], example_result("mirror.list")["mirrors"]);
}

TEST(Render, OtherTables) {
  EXPECT_EQ(Invocation(words("fdb br0")).out,
            "PORT  VLAN  MAC                AGE\n"
            "t1       0  52:54:00:0a:0b:0c  3 s\n");
  EXPECT_EQ(Invocation(words("fdb br0 --flush")).out, "12 addresses forgotten\n");
  EXPECT_EQ(Invocation(words("who t1")).out,
            "BRIDGE  SESSION  ROLE    DIRECTION  CHOSEN BY  STATE\n"
            "br0     span0    source  both       port       active\n");
  EXPECT_THAT(Invocation({"stats"}).out,
              HasSubstr("      2  no_recipient  no other port carries the VLAN\n"));
  EXPECT_THAT(Invocation({"stats"}).out,
              HasSubstr("THREAD    PORTS  FRAMES  BATCHES  PROCESSOR s  MIRROR QUEUE\n"
                        "worker 0      1       4        4  0.0          0 of 16384 KiB\n"
                        "mirror 0      -       0        0  0.0          -\n"));
  EXPECT_THAT(Invocation({"version"}).out, HasSubstr("vswitchd 0.1.0, pid 4711"));
  EXPECT_THAT(Invocation({"version"}).out,
              HasSubstr("runs as vswitch, capabilities net_admin, net_raw, perfmon, system calls filtered\n"
                        "notice: CAP_BPF is missing: the kernel takes no program"));
}

TEST(Render, EmptyListsSaySo) {
  FakeDaemon daemon;
  daemon.answers["mirror.list"] = {{{"mirrors", Json::array()}}};
  daemon.answers["bridge.list"] = {{{"bridges", Json::array()}}};
  daemon.answers["mirror.who"] = {{{"port", "t1"}, {"sessions", Json::array()}}};
  EXPECT_EQ(Invocation({"list-mirrors"}, &daemon).out, "no sessions\n");
  EXPECT_EQ(Invocation({"list-br"}, &daemon).out, "no bridges\n");
  EXPECT_EQ(Invocation(words("who t1"), &daemon).out, "no session watches t1 or delivers to it\n");
}

TEST(Render, ExplainSaysWhoCarriesSuchFrames) {
  FakeDaemon daemon;
  const auto shown = [&daemon](const Json& fast_path) {
    Json answer = example_result("mirror.explain");
    answer["fast_path"] = fast_path;
    daemon.answers["mirror.explain"] = {answer};
    return Invocation(words("explain br0 --in-port t1 --frame ffffffffffff5254000a0b0c0800"), &daemon).out;
  };
  EXPECT_THAT(shown({{"carried", false}, {"reason", "it is dropped"}, {"user_copies", Json::array()}}),
              HasSubstr("\nuser space carries such frames: it is dropped\n"));
  EXPECT_THAT(shown({{"carried", true}, {"user_copies", Json::array()}}),
              HasSubstr("\nthe kernel carries such frames\n"));
  EXPECT_THAT(shown({{"carried", true}, {"user_copies", {"a", "b"}}}),
              HasSubstr("\nthe kernel carries such frames; user space makes the copies of a, b\n"));
}

TEST(Render, StatsOfABridgeAreThoseOfItsPortsAndSessions) {
  const Invocation tool(words("stats br7"));
  using Calls = decltype(tool.calls);
  EXPECT_EQ(tool.calls, (Calls{{"port.list", {{"bridge", "br7"}}}, {"mirror.stats", {{"bridge", "br7"}}}}));
  EXPECT_THAT(
      tool.out,
      HasSubstr("br0     t1             4       392           0           5       434           1\n"));
  EXPECT_THAT(tool.out, HasSubstr("span0"));
  EXPECT_THAT(tool.out, Not(HasSubstr("THREAD")));
  FakeDaemon daemon;
  Json later = example_result("port.list");
  later["ports"][0]["counters"]["rx_packets"] = 4004;
  daemon.answers["port.list"] = {example_result("port.list"), later};
  EXPECT_THAT(Invocation(words("stats br7 --watch --count 2 --interval 0.5"), &daemon).out,
              testing::ContainsRegex("br0 +t1 +[1-9][0-9]+ "));
}

TEST(Render, ExplainShowsFramesInWords) {
  FakeDaemon daemon;
  Json answer = example_result("mirror.explain");
  const std::string came =
      "ffffffffffff52540000000108060001080006040001525400000001"
      "0a5f000b"
      "000000000000"
      "0a5f0001";
  answer["outputs"] = {{{"port", "t2"}, {"frame", came}}};
  answer["copies"] = {
      {{"session", "s"}, {"port", "t3"}, {"frame", came.substr(0, 24) + "81000384" + came.substr(24)}},
      {{"session", "cut"}, {"port", "t4"}, {"frame", came.substr(0, 40)}}};
  daemon.answers["mirror.explain"] = {answer};
  const std::string call = "explain br0 --in-port t1 --frame " + came;
  EXPECT_THAT(Invocation(words(call), &daemon).out,
              HasSubstr("ARP who has 10.95.0.1, tell 10.95.0.11\n"
                        "arrives on t1 in VLAN 0\n"
                        "broadcast: floods to t2\n"
                        "GOES TO  AS           BYTES  FRAME\n"
                        "t2       frame           42  as it came\n"
                        "t3       copy of s       46  VLAN 900, ARP who has 10.95.0.1, tell 10.95.0.11\n"
                        "t4       copy of cut     20  its first 20 bytes\n"));
  EXPECT_THAT(Invocation(words(call + " --hex"), &daemon).out,
              HasSubstr("t2       frame           42  " + came));
}

TEST(Watch, ShowsEachLookAndRates) {
  FakeDaemon daemon;
  Json later = example_result("mirror.stats");
  later["mirrors"][0]["counters"]["matched"] = 1'001'000;
  daemon.answers["mirror.stats"] = {example_result("mirror.stats"), later};
  const Invocation tool(words("mirror-stats --watch --count 2 --interval 0.5"), &daemon);
  EXPECT_EQ(tool.status, kDone);
  EXPECT_EQ(tool.slept, std::vector<double>{0.5});
  EXPECT_THAT(tool.out, HasSubstr("MATCHED/s"));
  EXPECT_THAT(tool.out, HasSubstr("1001000"));
  EXPECT_THAT(tool.out, Not(HasSubstr("\x1b")));
}

TEST(Watch, ResetsOnceAndShowsWhatComesSince) {
  const Invocation tool(words("mirror-stats br0 span0 --reset --watch --count 3"));
  EXPECT_EQ(tool.status, kDone);
  const Json session = {{"bridge", "br0"}, {"name", "span0"}};
  using Calls = decltype(tool.calls);
  EXPECT_EQ(tool.calls, (Calls{{"mirror.reset", session},
                               {"mirror.stats", session},
                               {"mirror.stats", session},
                               {"mirror.stats", session}}));
  const std::string look = Invocation(words("mirror-stats br0 span0 --watch --count 1")).out;
  EXPECT_THAT(look, HasSubstr("MATCHED/s"));
  EXPECT_EQ(tool.out, look + look + look) << "the answer to the reset is not shown";
}

TEST(Watch, DoesNotStartIfTheResetIsRefused) {
  FakeDaemon daemon;
  daemon.refuse = "mirror.reset";
  daemon.refusal =
      jsonrpc::Error{1001, "bridge br0 has no session nope", {{"reason", "not_found"}, {"field", "name"}}};
  const Invocation tool(words("mirror-stats br0 nope --reset --watch --count 2"), &daemon);
  EXPECT_EQ(tool.status, kRefused);
  EXPECT_EQ(tool.out, "");
  EXPECT_EQ(tool.calls.size(), 1U);
}

TEST(Watch, StatsShowRatesOfPortsSessionsAndThreads) {
  FakeDaemon daemon;
  const Json first = example_result("system.stats");
  Json later = first;
  later["ports"][0]["rx_packets"] = first["ports"][0]["rx_packets"].get<int>() + 3000;
  later["threads"][0]["frames"] = first["threads"][0]["frames"].get<int>() + 3000;
  later["threads"][0]["cpu_ns"] = first["threads"][0]["cpu_ns"].get<std::int64_t>() + 125'000'000;
  later["threads"][0]["queued_bytes"] = 5000;
  later["notices"] = {"worker-cpus is not used"};
  daemon.answers["system.stats"] = {first, later};
  const Invocation tool(words("stats --watch --count 2 --interval 0.5"), &daemon);
  const std::string look = tool.out.substr(tool.out.rfind("BRIDGE  PORT"));
  EXPECT_THAT(look, testing::ContainsRegex("br0 +t1 +[1-9][0-9]+ "));
  EXPECT_THAT(look, HasSubstr("QUEUED"));
  EXPECT_THAT(look, testing::ContainsRegex("worker 0 +1 +[1-9][0-9]+ +0 +0 +[1-9][0-9.]+ +5 of 16384 KiB"));
  EXPECT_THAT(look, HasSubstr("notice: worker-cpus is not used\n"));
}

TEST(Watch, GoesOnWithTheNextDaemonAndNewRates) {
  FakeDaemon daemon;
  daemon.lost_at = 5;  // the third look; each makes two calls
  const Json first = example_result("system.stats");
  Json later = first, fresh = first;
  later["ports"][0]["rx_packets"] = first["ports"][0]["rx_packets"].get<int>() + 3000;
  fresh["ports"][0]["rx_packets"] = 0;
  daemon.answers["system.stats"] = {first, later, fresh};
  const Invocation tool(words("stats --watch --count 3 --interval 0.5"), &daemon);
  EXPECT_EQ(tool.status, kDone);
  EXPECT_EQ(tool.calls.size(), 7U);
  EXPECT_EQ(tool.slept, (std::vector<double>{0.5, 0.5, 1}));
  EXPECT_THAT(tool.err, HasSubstr("closed the connection; waiting for the next one"));
  EXPECT_THAT(tool.out.substr(tool.out.rfind("BRIDGE  PORT")), testing::ContainsRegex("br0 +t1 +0 "));
}

TEST(Watch, DoesNotWaitForADaemonThatWasNeverThere) {
  FakeDaemon daemon;
  daemon.lost_at = 1;
  EXPECT_EQ(Invocation(words("show --watch --count 2"), &daemon).status, kNoDaemon);
}

TEST(Watch, EveryTable) {
  for (const char* line : {"show", "show-br br0", "list-br", "show-port t1", "list-ports", "list-mirrors",
                           "show-mirror br0 span0", "fdb br0", "stats", "mirror-stats"}) {
    const Invocation once(words(line)), twice(words(std::string(line) + " --watch --count 2"));
    EXPECT_EQ(twice.status, kDone) << line << twice.err;
    EXPECT_EQ(twice.calls.size(), 2 * once.calls.size()) << line;
    EXPECT_NE(twice.out, "") << line;
  }
}

TEST(Watch, AddressesAreForgottenOnce) {
  const Invocation tool(words("fdb br0 --flush --watch --count 2"));
  ASSERT_EQ(tool.calls.size(), 3U);
  EXPECT_EQ(tool.calls[0].first, "fdb.flush");
  EXPECT_EQ(tool.calls[1].first, "fdb.list");
  EXPECT_EQ(tool.calls[2].first, "fdb.list");
}

TEST(Watch, JsonIsOneLinePerLook) {
  const Invocation tool(words("stats --watch --count 3 --json"));
  EXPECT_EQ(std::count(tool.out.begin(), tool.out.end(), '\n'), 3);
}

TEST(Refusals, NameOptionsAndCommandsAsTheyAreTyped) {
  FakeDaemon daemon;
  const auto says = [&daemon](const std::string& line, const std::string& method,
                              const std::string& sentence) {
    daemon.refuse = method;
    daemon.refusal =
        jsonrpc::Error{1003, sentence, {{"reason", "conflict"}, {"field", ""}, {"value", nullptr}}};
    const std::string text = Invocation(words(line), &daemon).err;
    return text.substr(std::min(text.size(), sizeof "vswitch-ctl: " - 1));
  };
  const char* add = "add-mirror br0 s --source t1 --output t2";
  EXPECT_EQ(says(add, "mirror.add", "set normal_io to the same value in both"),
            "set --normal-io to the same value in both\n");
  EXPECT_EQ(says("enable-mirror br0 s", "mirror.enable", "use another port, or allow normal_io"),
            "use another port, or allow --normal-io\n");
  EXPECT_EQ(says(add, "mirror.add", "keep_vlan requires destination.vlan"),
            "--keep-vlan requires --output-vlan\n");
  EXPECT_EQ(says(add, "mirror.add", "expires.at is in the past; mirror.disable ends it now."),
            "--expires is in the past; disable-mirror ends it now.\n");
  EXPECT_EQ(says(add, "mirror.add", "session_id is for erspan2 (ERSPAN has session_id)"),
            "--session-id is for erspan2 (ERSPAN has --session-id)\n");
  EXPECT_EQ(says("set-port p --tag 1", "port.set", "use vlan_mode native-tagged; t_1 and 10.0.0.1 stay"),
            "use --vlan-mode native-tagged; t_1 and 10.0.0.1 stay\n");
}

TEST(Refusals, SayHowToNameAnUplink) {
  FakeDaemon daemon;
  daemon.refuse = "mirror.import";
  daemon.refusal = jsonrpc::Error{-32602,
                                  "say which port Uplink 1 is",
                                  {{"reason", "invalid"},
                                   {"field", "sessions[0].destinationPort.uplinkPortName"},
                                   {"value", "Uplink 1"}}};
  const std::string path = testing::TempDir() + "uplink-" + std::to_string(::getpid()) + ".json";
  std::ofstream(path) << "[]";
  EXPECT_EQ(Invocation({"import-mirrors", "br0", path}, &daemon).err,
            "vswitch-ctl: say which port Uplink 1 is\n--uplink 'Uplink 1=PORT' says so\n");
  std::remove(path.c_str());
}

TEST(Refusals, EndWithOneTheSentenceAndWhatToDo) {
  FakeDaemon daemon;
  daemon.refuse = "port.add";
  const Invocation tool(words("add-port br9 t1"), &daemon);
  EXPECT_EQ(tool.status, kRefused);
  EXPECT_EQ(tool.out, "");
  EXPECT_EQ(tool.err, "vswitch-ctl: no bridge br9\n`vswitch-ctl list-br` lists the bridges\n");
}

}  // namespace
}  // namespace vswitch::ctl
