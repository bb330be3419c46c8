// SPDX-License-Identifier: Apache-2.0
// system.check, system.metrics and system.events.
#include <set>
#include <sstream>

#include "tests/unit/switchd/api/support.h"

namespace vswitch::api::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Lines = std::vector<std::string>;

class HealthApi : public ApiTest {
 protected:
  HealthApi() {
    build();
    for (const char* port : {"br0", "br1", "t1", "t2", "t3", "u1"})
      set_status("Interface", port, {{"state", "up"}});
    good("mirror.add", span("span0", {"t1"}, {"t2"}));
    set_status("Mirror", "span0", {{"state", "active"}});
  }
  void lose(const std::map<std::string, std::int64_t>& counters) {
    write("Mirror", row("Mirror", "span0").uuid(), "statistics", Datum::map_of(counters));
  }
  /// "severity subject: text" of each problem.
  Lines problems() {
    Lines lines;
    const Json check = good("system.check");
    for (const Json& problem : check["problems"])
      lines.push_back(problem["severity"].get<std::string>() + ' ' + problem["subject"].get<std::string>() +
                      ": " + problem["text"].get<std::string>());
    return lines;
  }
  std::string status() { return good("system.check")["status"]; }
  std::string metrics() { return good("system.metrics")["text"]; }
};

TEST_F(HealthApi, AllIsWell) {
  const Json check = good("system.check");
  EXPECT_EQ(check["status"], "ok");
  EXPECT_EQ(check["summary"], "1 session active; 6 ports active; 0 copies lost in the last minute");
  EXPECT_EQ(check["problems"], Json::array());
  EXPECT_EQ(check["mirrors"]["active"], 1);
  EXPECT_EQ(check["ports"]["active"], 6);
}

TEST_F(HealthApi, TheWorstComesFirst) {
  set_status("Interface", "t3", {{"state", "down"}, {"reason", "no carrier"}});
  set_status("Interface", "br1", {{"state", "down"}, {"reason", "no host uses it"}});
  set_status("Mirror", "span0", {{"state", "waiting"}, {"reason", "no device t2"}});
  EXPECT_EQ(status(), "warning");
  EXPECT_EQ(good("system.check")["summary"],
            "1 session waiting; 4 ports active, 2 down; 0 copies lost in the last minute");
  set_status("Interface", "u1", {{"state", "error"}, {"reason", "not a device"}});
  EXPECT_EQ(status(), "critical");
  EXPECT_THAT(problems(), ElementsAre("critical port br1/u1: error: not a device",
                                      "warning port br0/t3: down: no carrier",
                                      "warning session br0/span0: waiting: no device t2",
                                      "note port br1/br1: down: no host uses it"));
  set_status("Mirror", "span0", {{"state", "disabled"}});
  EXPECT_THAT(problems(), Not(testing::Contains(HasSubstr("session"))));
}

TEST_F(HealthApi, LossesOfTheLastMinuteAreAWarning) {
  lose({{"lost", 5}, {"lost_queue_full", 3}, {"lost_no_route", 2}});
  EXPECT_EQ(status(), "warning");
  EXPECT_THAT(problems(),
              ElementsAre("warning session br0/span0: 5 copies lost in the last minute: no_route 2, "
                          "queue_full 3"));
  EXPECT_EQ(good("system.check")["lost"], 5);
  now_ms += 61'000;
  EXPECT_EQ(status(), "ok");
}

TEST_F(HealthApi, IsolationLostIsAWarningAndSoIsNoFastPathUnlessWanted) {
  set_status("Interface", "t1", {{"state", "up"}, {"warning", "the host's stack sees its frames"}});
  view.of_datapath.fast_path.off = "bpf(2) refused a program: Operation not permitted";
  view.notice_of_mirror[row("Mirror", "span0").uuid()] = "port t2 carries only copies";
  EXPECT_THAT(problems(),
              ElementsAre("warning port br0/t1: the host's stack sees its frames",
                          "warning fast path: off: bpf(2) refused a program: Operation not permitted",
                          "note session br0/span0: port t2 carries only copies"));
  set_status("Interface", "t1", {{"state", "up"}});
  view.of_datapath.fast_path.off = "vswitchd was started with --no-kernel-fast-path";
  EXPECT_EQ(status(), "ok");
}

TEST_F(HealthApi, ALongListIsBounded) {
  for (int i = 0; i < 1005; ++i) good("port.add", {{"bridge", "br1"}, {"name", "x" + std::to_string(i)}});
  const Json check = good("system.check");
  EXPECT_EQ(check["problems"].size(), 1000u);
  EXPECT_EQ(check["left_out"], 5);
  EXPECT_EQ(check["ports"]["waiting"], 1005);
}

/// What the exposition format requires of every line; tests/system/test_health.py asks promtool.
void expect_wellformed(const std::string& text) {
  std::istringstream lines(text);
  std::string name;
  std::set<std::string> names, series;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      name = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(names.insert(name).second) << name << " twice";
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_THAT(line, StartsWith("# TYPE " + name + ' '));
      EXPECT_EQ(line.ends_with(" counter"), name.ends_with("_total")) << line;
    } else {
      EXPECT_TRUE(line.starts_with(name + ' ') || line.starts_with(name + '{')) << line;
      EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line << " twice";
    }
  }
}

TEST_F(HealthApi, MetricsHaveEverything) {
  view.of_interface[row("Interface", "t1").uuid()] = {
      {"rx_packets", 7}, {"tx_bytes", 99}, {"rx_drop_hairpin", 3}, {"tx_drop_too_big", 0}};
  view.of_mirror[row("Mirror", "span0").uuid()] = {
      {"matched", 9}, {"delivered", 5}, {"lost", 4}, {"lost_no_route", 4}};
  view.of_destinations[row("Mirror", "span0").uuid()] = {
      {"t2", {{"matched", 9}, {"delivered", 5}, {"lost", 4}, {"lost_no_route", 4}}}};
  view.dropped = {{"hairpin", 3}, {"too_big", 0}};
  view.of_datapath.workers = {{.batches = 2, .frames = 9, .cpu_ns = 1'500'000'000, .copy_queue_bytes = 100}};
  view.of_datapath.mirror_threads = {{.wakeups = 1, .passes = 2, .frames = 3, .cpu_ns = 4}};
  const std::string text = metrics();
  expect_wellformed(text);
  for (const char* line :
       {"vswitch_up 1", "vswitch_port_rx_packets_total{bridge=\"br0\",port=\"t1\"} 7",
        "vswitch_port_dropped_total{bridge=\"br0\",port=\"t1\",direction=\"rx\",reason=\"hairpin\"} 3",
        "vswitch_port_state{bridge=\"br0\",port=\"t1\",state=\"active\"} 1",
        "vswitch_port_state{bridge=\"br0\",port=\"t1\",state=\"down\"} 0",
        "vswitch_mirror_state{bridge=\"br0\",session=\"span0\",state=\"active\"} 1",
        "vswitch_mirror_lost_total{bridge=\"br0\",session=\"span0\"} 4",
        "vswitch_mirror_lost_by_cause_total{bridge=\"br0\",session=\"span0\",cause=\"no_route\"} 4",
        "vswitch_mirror_destination_delivered_total{bridge=\"br0\",session=\"span0\",destination=\"t2\"} 5",
        "vswitch_drops_total{reason=\"hairpin\"} 3", "vswitch_fast_path_on 1",
        "vswitch_thread_cpu_seconds_total{kind=\"worker\",number=\"0\"} 1.5",
        "vswitch_queue_limit_bytes{number=\"0\"} 100"})
    EXPECT_THAT(text, HasSubstr(std::string("\n") + line + "\n"));
  EXPECT_THAT(text, Not(HasSubstr("too_big")));
}

TEST_F(HealthApi, NamesInMetricsAreEscapedAndNoSeriesAppearsTwice) {
  insert_mirror("br0", "span0");
  insert_mirror("br0", "a \"b\" \\ c\nx");
  const std::string text = metrics();
  expect_wellformed(text);
  EXPECT_THAT(text, HasSubstr("session=\"a \\\"b\\\" \\\\ c\\nx\""));
  EXPECT_THAT(text, HasSubstr("session=\"span0 "));
}

TEST_F(HealthApi, EventsAreSelected) {
  const std::uint64_t before = history.last();
  now_ms += 5'000;
  good("mirror.set", {{"bridge", "br0"}, {"name", "span0"}, {"snaplen", 96}});
  good("bridge.set", {{"name", "br1"}, {"fail_mode", "secure"}});
  now_ms += 5'000;
  set_status("Interface", "t3", {{"state", "down"}, {"reason", "no carrier"}});
  const auto events = [this](const Json& params) {
    Lines lines;
    const Json answer = good("system.events", params);
    for (const Json& event : answer["events"])
      lines.push_back(event["topic"].get<std::string>() + ' ' + event["name"].get<std::string>());
    return lines;
  };
  EXPECT_THAT(events({{"after", before}}),
              ElementsAre("mirror.change span0", "bridge.change br1", "port.state t3"));
  EXPECT_THAT(events({{"seconds", 3}}), ElementsAre("port.state t3"));
  EXPECT_THAT(events({{"since", "2026-01-05T08:00:05Z"}, {"limit", 2}}),
              ElementsAre("bridge.change br1", "port.state t3"));
  EXPECT_EQ(good("system.events", {{"after", before}, {"limit", 2}})["left_out"], 1);
  EXPECT_THAT(events({{"after", before}, {"topics", {"mirror.change"}}}), ElementsAre("mirror.change span0"));
  EXPECT_THAT(events({{"after", before}, {"bridge", "br1"}}), ElementsAre("bridge.change br1"));
  EXPECT_THAT(events({{"after", before}, {"bridge", "br0"}, {"name", "t3"}}), ElementsAre("port.state t3"));
  EXPECT_THAT(events({{"after", history.last()}}), IsEmpty());
  EXPECT_THAT(refusal("system.events", {{"since", "yesterday"}}),
              StartsWith("invalid since: since must be a time"));
  EXPECT_THAT(refusal("system.events", {{"since", "2026-01-05T08:00:05Z"}, {"seconds", 1}}),
              StartsWith("invalid since: "));
}

}  // namespace
}  // namespace vswitch::api::test
