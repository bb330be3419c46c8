// SPDX-License-Identifier: Apache-2.0
// The state of a session and its reason, and which configuration it copies by.
#include "switchd/bridge/session_state.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

/// p1 has host A, p2 has host B, both learned; m and m2 are empty ports.
class SessionStates : public ::testing::Test {
 protected:
  SessionStates() {
    for (const char* name : {"p1", "p2", "m", "m2"}) lab.port(name);
    lab.apply();
    lab.inject("p1", frame().src("02:00:00:00:00:0a").dst(kBroadcast));
    lab.inject("p2", frame().src("02:00:00:00:00:0b").dst(kBroadcast));
    lab.run();
  }
  void span(const std::string& name, std::vector<SourceSpec> sources, std::vector<std::string> destinations) {
    SessionSpec& session = lab.session(name);
    session.sources = std::move(sources);
    session.destinations = std::move(destinations);
    lab.apply();
  }
  SwitchLab lab;
  const MemoryFrame a_to_b = frame().src("02:00:00:00:00:0a").dst("02:00:00:00:00:0b").text("ab");
};

TEST_F(SessionStates, IsDegradedWhileOneOfSeveralIsMissing) {
  span("s", {{"p1"}, {"gone"}}, {"m", "m2"});
  EXPECT_EQ(lab.status("s").state, SessionState::degraded);
  span("s", {{"p1"}}, {"m", "m2"});
  EXPECT_EQ(lab.status("s").state, SessionState::active);
  lab.port("m2").link_up = false;
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::degraded);
  EXPECT_EQ(lab.status("s").reason, "destination: port m2 is down");
}

TEST_F(SessionStates, ManyPortsWithOneTroubleAreCounted) {
  std::vector<SourceSpec> sources = {{"p1"}};
  for (const char* name : {"a1", "a2", "a3", "a4", "a5"}) sources.push_back({name});
  lab.port("d1").device = nullptr;
  span("s", sources, {"m", "d1"});
  EXPECT_EQ(lab.status("s").reason,
            "source: 5 of 6 ports do not exist on the bridge: a1, a2, a3, ... (2 more); "
            "destination: port d1 has no device");
  sources.resize(4);
  span("s", sources, {"m"});
  EXPECT_EQ(lab.status("s").reason,
            "source: no port a1 on br0; source: no port a2 on br0; source: no port a3 on br0");
}

TEST_F(SessionStates, SaysWhenASourceCannotFire) {
  span("s", {{"p1"}, {"m", Direction::from}}, {"m"});
  EXPECT_EQ(lab.status("s").state, SessionState::degraded);
  EXPECT_NE(lab.status("s").reason.find("port m is also a destination"), std::string::npos);
  span("s", {}, {"m"});
  EXPECT_EQ(lab.status("s").state, SessionState::waiting);
  EXPECT_EQ(lab.status("s").reason, "it selects no port");
  span("s", {{"p1"}}, {});
  EXPECT_EQ(lab.status("s").state, SessionState::error);
}

TEST_F(SessionStates, ARefusedSettingLeavesTheWorkingSessionAlive) {
  span("s", {{"p1", Direction::from}}, {"m"});
  lab.session("s").refusal = "snaplen is not supported";
  lab.session("s").destinations = {"m2"};
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::error);
  EXPECT_EQ(lab.status("s").reason, "snaplen is not supported; until then it goes on as before");
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}});
  lab.session("s").refusal.clear();
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::active);
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m2", {a_to_b}}});
}

TEST_F(SessionStates, ASessionRefusedFromTheStartCopiesNothing) {
  lab.session("s").refusal = "output_vlan is not supported";
  span("s", {{"p1"}}, {"m"});
  EXPECT_EQ(lab.status("s").state, SessionState::error);
  EXPECT_EQ(lab.status("s").reason, "output_vlan is not supported");
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}});
}

/// A session with two destinations.
class SessionOfTwo : public ::testing::Test {
 protected:
  SessionOfTwo() {
    for (const char* name : {"p1", "p2", "d1", "d2"}) lab.port(name);
    DesiredSession& session = lab.session("s");
    session.sources = {{"p1", Direction::from}};
    session.destinations = {"d1", "d2"};
  }
  /// Copies that d1 gets of so many frames.
  std::size_t copies_of(std::size_t frames) {
    for (std::size_t i = 0; i < frames; ++i)
      lab.inject("p1", frame().src("02:00:00:00:00:0a").dst(kBroadcast).text("bc"));
    return lab.run()["d1"].size();
  }
  SwitchLab lab;
};

TEST_F(SessionOfTwo, WhatHasEndedLivesAgainWhenItIsToldToEndAtAnotherTime) {
  lab.session("s").quota = {.packets = 3, .bytes = 0};
  lab.apply();
  EXPECT_EQ(copies_of(4), 3U);
  lab.now_ms = 77;
  lab.apply();
  // What switchd reads back from the row.
  lab.session("s").ends_at = 77;
  lab.session("s").expired = "it expired";
  lab.apply();
  EXPECT_EQ(lab.status("s").reason, "quota used up: 3 packets");
  lab.session("s").expired = "";
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::expired) << "the clock was set back";
  lab.session("s").ends_at = {};
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::active);
  EXPECT_EQ(copies_of(4), 3U) << "counted anew";
}

TEST_F(SessionOfTwo, ADisabledSessionIsDisabledWhateverItsTime) {
  lab.session("s").ends_at = 5;
  lab.session("s").expired = "it expired";
  lab.session("s").enabled = false;
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::disabled);
}

TEST_F(SessionOfTwo, APatternWithoutAPortIsSaid) {
  DesiredSession& session = lab.session("s");
  session.sources = {};
  session.patterns = {{.text = "glob:vnet*", .ports = {}}};
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::waiting);
  EXPECT_EQ(lab.status("s").reason, "source: no port matches glob:vnet*");
  session.sources = {{"p1", Direction::both}};
  session.patterns = {{.text = "glob:p*", .ports = {"p1"}}};
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::active);
  session.patterns.push_back({.text = "iface-id:x", .ports = {}});
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::degraded);
  EXPECT_EQ(lab.status("s").reason, "source: no port matches iface-id:x");
}

TEST_F(SessionOfTwo, TheSessionBeyondTheLimitIsRefusedAndNoneThatWorks) {
  const auto make = [this](const std::string& name) {
    DesiredSession session = lab.session("s");
    session.id = "br0/" + name;
    session.name = name;
    lab.sessions().push_back(session);
  };
  for (std::size_t i = 1; i < kMaxSessions; ++i) make("t" + std::to_string(i));
  lab.apply();
  make("a");  // before all others by name
  lab.apply();
  EXPECT_EQ(lab.status("a").state, SessionState::error);
  EXPECT_EQ(lab.status("a").reason,
            "bridge br0: limit of 4096 sessions per bridge reached; delete one first");
  for (const SessionStatus& status : lab.statuses) {
    EXPECT_EQ(status.state == SessionState::active, status.id != "br0/a") << status.id;
  }
  std::erase_if(lab.sessions(), [](const DesiredSession& session) { return session.name == "t7"; });
  lab.apply();
  EXPECT_EQ(lab.status("a").state, SessionState::active);
}

}  // namespace
}  // namespace vswitch::test
