// SPDX-License-Identifier: Apache-2.0
// Sessions that use one port for what excludes each other.
#include "switchd/bridge/session_conflicts.h"

#include <gtest/gtest.h>

#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

SessionSpec session(const std::string& name, std::vector<SourceSpec> sources, std::vector<std::string> to) {
  SessionSpec session;
  session.id = "id of " + name;
  session.name = name;
  session.sources = std::move(sources);
  session.destinations = std::move(to);
  return session;
}

std::vector<std::string> notices(const std::vector<SessionSpec>& sessions) {
  const bridge::SessionConflicts conflicts(sessions);
  std::vector<std::string> notices;
  for (const SessionSpec& one : sessions) notices.push_back(conflicts.notice_of(one));
  return notices;
}

TEST(SessionConflicts, ASourceThatCarriesOnlyCopiesOfAnotherSession) {
  const std::string sentence =
      "port m carries only copies of session a, so session b would never see a frame from it: allow "
      "normal_io "
      "in a, or use direction `to`";
  EXPECT_EQ(notices({session("a", {{"p1"}}, {"m"}), session("b", {{"m", Direction::from}}, {"m2"})}),
            (std::vector<std::string>{sentence, sentence}));
}

TEST(SessionConflicts, ADestinationWithAndWithoutTrafficOfItsOwn) {
  SessionSpec normal = session("b", {{"p2"}}, {"m"});
  normal.normal_io = true;
  const std::string sentence =
      "port m carries its own traffic for session b and only copies for a: set normal_io to the same value "
      "in "
      "both";
  EXPECT_EQ(notices({session("a", {{"p1"}}, {"m"}), normal}), (std::vector<std::string>{sentence, sentence}));
}

TEST(SessionConflicts, NoneWithoutContradiction) {
  SessionSpec disabled = session("c", {{"m", Direction::from}}, {"m2"});
  disabled.enabled = false;
  SessionSpec in_vlan = session("d", {{"p1"}}, {});
  in_vlan.tags.output_vlan = 9;
  for (const std::string& notice :
       notices({session("a", {{"p1"}}, {"m"}), session("b", {{"m", Direction::to}, {"m"}}, {"m"}), disabled,
                in_vlan})) {
    EXPECT_EQ(notice, "");
  }
}

TEST(SessionConflicts, ManyAreCounted) {
  std::vector<SessionSpec> sessions{session("a", {{"p1"}}, {"m"})};
  for (int i = 0; i < 4000; ++i)
    sessions.push_back(session("s" + std::to_string(i), {{"m", Direction::from}}, {"m2"}));
  EXPECT_EQ(notices(sessions).front(),
            "port m carries only copies of session a, so session s0 would never see a frame from it: allow "
            "normal_io in a, or use direction `to` (the same of 3999 more sessions)");

  SessionSpec wide = session("a", {{"p1"}}, {"m0", "m1", "m2", "m3", "m4"});
  SessionSpec reader = session("b", {}, {"x"});
  for (const std::string& port : wide.destinations) reader.sources.push_back({port, Direction::from});
  const std::string notice = notices({wide, reader}).back();
  EXPECT_NE(notice.find("port m2 carries"), std::string::npos) << notice;
  EXPECT_EQ(notice.find("port m3 carries"), std::string::npos) << notice;
  EXPECT_NE(notice.find("; 2 more conflicts"), std::string::npos) << notice;
}

/// p1 with A, p2 with B; a conflict does not stop the session from working as far as it can.
TEST(SessionConflicts, StandInTheStateOfBothSessions) {
  SwitchLab lab;
  for (const char* name : {"p1", "m", "m2"}) lab.port(name);
  SessionSpec& reserving = lab.session("a");
  reserving.sources = {{"p1"}};
  reserving.destinations = {"m"};
  SessionSpec& reader = lab.session("b");
  reader.sources = {{"m", Direction::from}, {"p1"}};
  reader.destinations = {"m2"};
  lab.apply();
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(lab.status(name).state, SessionState::active);
    EXPECT_NE(lab.status(name).notice.find("would never see a frame"), std::string::npos) << name;
  }
  lab.session("a").enabled = false;
  lab.apply();
  for (const char* name : {"a", "b"}) EXPECT_EQ(lab.status(name).notice, "") << name;
}

}  // namespace
}  // namespace vswitch::test
