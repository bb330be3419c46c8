// SPDX-License-Identifier: Apache-2.0
// check, metrics and events: what they print, and what their exit status says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ctl/fake_world.h"

namespace vswitch::ctl {
namespace {

using test::FakeDaemon;
using test::Invocation;
using testing::HasSubstr;
using testing::StartsWith;

const Json kWaiting = {
    {"severity", "warning"}, {"subject", "session br0/s|x"}, {"text", "waiting: no device t2"}};

Json check_result(const std::string& status, const Json& problems) {
  Json result = test::example_result("system.check");
  result.update({{"status", status}, {"problems", problems}, {"summary", "1 session active"}});
  return result;
}

Invocation checked(const std::string& status, const Json& problems,
                   const std::vector<std::string>& options = {}) {
  FakeDaemon daemon;
  daemon.answers["system.check"] = {check_result(status, problems)};
  std::vector<std::string> arguments{"check"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  return Invocation(arguments, &daemon);
}

TEST(Check, TheStatusIsTheExitStatus) {
  EXPECT_EQ(checked("ok", Json::array()).status, 0);
  EXPECT_EQ(checked("warning", Json::array({kWaiting})).status, 1);
  EXPECT_EQ(checked("critical", Json::array({kWaiting})).status, 2);
  EXPECT_EQ(checked("warning", Json::array({kWaiting}), {"--json"}).status, 1);
}

TEST(Check, SaysItInTheFirstLineAndThenEverything) {
  EXPECT_EQ(checked("ok", Json::array()).out, "ok: 1 session active\n");
  EXPECT_EQ(checked("warning", Json::array({kWaiting})).out,
            "warning: session br0/s|x: waiting: no device t2; 1 session active\n"
            "warning: session br0/s|x: waiting: no device t2\n");
  const Json note = {{"severity", "note"}, {"subject", "port br0/br0"}, {"text", "down: no host uses it"}};
  EXPECT_EQ(checked("ok", Json::array({note})).out,
            "ok: 1 session active\nnote: port br0/br0: down: no host uses it\n");
}

TEST(Check, ForNagiosTheFirstLineHasTheFiguresBehindTheOnlyBar) {
  const Invocation tool = checked("warning", Json::array({kWaiting}), {"--nagios"});
  EXPECT_EQ(tool.out,
            "VSWITCH WARNING - session br0/s/x: waiting: no device t2; 1 session active | "
            "sessions_active=2 sessions_degraded=0 sessions_disabled=0 sessions_error=0 sessions_expired=0 "
            "sessions_waiting=0 ports_active=3 ports_down=1 ports_error=0 ports_waiting=0 lost=0\n"
            "warning: session br0/s/x: waiting: no device t2\n");
}

TEST(Check, JsonIsWhatTheDaemonSays) {
  EXPECT_EQ(Json::parse(checked("warning", Json::array({kWaiting}), {"--json", "--nagios"}).out),
            check_result("warning", Json::array({kWaiting})));
}

TEST(Check, ARefusalIsNoFinding) {
  FakeDaemon daemon;
  daemon.refuse = "system.check";
  EXPECT_EQ(Invocation({"check"}, &daemon).status, 3);
}

/// A world in which no daemon answers.
std::pair<int, std::string> without_daemon(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  World world{.out = out,
              .err = err,
              .environment = [](const char*) { return std::optional<std::string>(); },
              .connect = [](const std::string&, std::chrono::milliseconds) -> std::unique_ptr<Caller> {
                throw NoDaemon("no daemon answers on x", "is it running?");
              },
              .sleep = [](std::chrono::duration<double>) {},
              .run_vswitchd = [](const std::vector<std::string>&) { return 0; }};
  const int status = run(arguments, world);
  EXPECT_THAT(err.str(), HasSubstr("no daemon answers on x"));
  return {status, out.str()};
}

TEST(Check, WithoutADaemonTheStatusIsNotKnown) {
  EXPECT_EQ(without_daemon({"check", "--nagios"}),
            std::pair(3, std::string("VSWITCH UNKNOWN - no daemon answers on x\n")));
}

TEST(Metrics, AreTheTextOfTheDaemonOrSayThatThereIsNone) {
  EXPECT_EQ(Invocation({"metrics"}).out, test::example_result("system.metrics")["text"]);
  const auto [status, out] = without_daemon({"metrics"});
  EXPECT_EQ(status, 3);
  EXPECT_THAT(out, testing::EndsWith("\nvswitch_up 0\n"));
}

TEST(Events, AreLines) {
  EXPECT_EQ(
      Invocation({"events"}).out,
      "2026-01-05T08:00:00.125Z  br0/span0: changed by root (pid 4711, vswitch-ctl): snaplen none -> 96\n"
      "2026-01-05T08:00:07Z  br0/span0: waiting: no device t2\n");
}

TEST(Events, SayWhatIsMissing) {
  FakeDaemon daemon;
  Json result = test::example_result("system.events");
  result.update({{"left_out", 7}, {"trouble", "no space"}});
  daemon.answers["system.events"] = {result};
  const std::string out = Invocation({"events"}, &daemon).out;
  EXPECT_THAT(out, StartsWith("(7 earlier events: see --limit)\n"));
  EXPECT_THAT(out, testing::EndsWith("(these do not outlive the daemon: no space)\n"));
}

Json state(int number, const std::string& name, const std::string& now) {
  return {{"method", "mirror.state"},
          {"params",
           {{"number", number},
            {"time", "T" + std::to_string(number)},
            {"bridge", "br0"},
            {"name", name},
            {"state", now},
            {"reason", ""}}}};
}

TEST(Events, FollowGoesOnOverARestartWithoutMissingOrRepeating) {
  FakeDaemon daemon;
  Json later = test::example_result("system.events");
  later.update({{"events", Json::array()}, {"last", 44}});
  daemon.answers["system.events"] = {test::example_result("system.events"), later};
  daemon.notifications = {state(42, "span0", "seen"), state(43, "span0", "active"),
                          state(44, "other", "error")};
  daemon.sleeps = 2;
  const Invocation tool({"events", "br0", "span0", "--follow", "--since", "1h"}, &daemon);
  EXPECT_EQ(tool.status, kDone);
  EXPECT_THAT(tool.out, testing::EndsWith("waiting: no device t2\nT43  br0/span0: active\n"));
  EXPECT_EQ(tool.calls[0], std::pair(std::string("subscribe"), Json({{"snapshot", false}})));
  EXPECT_EQ(tool.calls[1].second, Json({{"bridge", "br0"}, {"name", "span0"}, {"seconds", 3600}}));
  ASSERT_GE(tool.calls.size(), 4u);
  EXPECT_EQ(tool.calls[3].second, Json({{"bridge", "br0"}, {"name", "span0"}, {"after", 44}}));
  EXPECT_THAT(tool.err, HasSubstr("waiting for the next one"));
}

TEST(Events, FollowInJsonIsOneEventPerLine) {
  FakeDaemon daemon;
  daemon.notifications = {state(43, "span0", "active")};
  daemon.sleeps = 1;
  std::istringstream lines(Invocation({"--json", "events", "-f"}, &daemon).out);
  std::vector<Json> events;
  for (std::string line; std::getline(lines, line);) events.push_back(Json::parse(line));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2]["topic"], "mirror.state");
  EXPECT_EQ(events[2]["number"], 43);
}

}  // namespace
}  // namespace vswitch::ctl
