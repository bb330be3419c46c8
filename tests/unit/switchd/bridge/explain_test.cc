// SPDX-License-Identifier: Apache-2.0
// What is said of a frame is what becomes of it.
#include "switchd/bridge/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/switch_lab.h"

namespace vswitch {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    for (const char* name : {"t1", "t2", "t3"}) lab.port(name);
    SessionSpec& session = lab.session("s");
    session.sources = {{"t1", Direction::from}};
    session.destinations = {"t3"};
  }

  bridge::Explanation explain(const std::string& in_port, const std::vector<std::uint8_t>& bytes) {
    lab.apply();
    const Snapshot& snapshot = lab.datapath->current();
    const auto in = std::find_if(snapshot.ports.begin(), snapshot.ports.end(),
                                 [&in_port](const PortConfig* port) { return port->name == in_port; });
    return bridge::explain(snapshot, **in, lab.sessions(), lab.statuses, bytes, lab.now, fast_path);
  }
  bridge::Explanation explain(const std::string& in_port) { return explain(in_port, test::frame().bytes()); }
  static std::vector<std::string> outputs(const bridge::Explanation& answer) {
    std::vector<std::string> names;
    for (const auto& output : answer.outputs) names.push_back(output.port);
    return names;
  }
  /// "session: reason", "+" in front of those that copy.
  static std::vector<std::string> verdicts(const bridge::Explanation& answer) {
    std::vector<std::string> lines;
    for (const auto& one : answer.mirrors)
      lines.push_back((one.copied ? "+" : "") + one.session + ": " + one.reason);
    return lines;
  }

  test::SwitchLab lab;
  bridge::FastPathUse fast_path;
};

TEST_F(ExplainTest, NamesWhereFrameAndCopyGo) {
  const auto answer = explain("t1");
  EXPECT_THAT(outputs(answer), ElementsAre("t2"));
  ASSERT_EQ(answer.copies.size(), 1U);
  EXPECT_EQ(answer.copies[0].port, "t3");
  EXPECT_EQ(answer.copies[0].frame, test::frame().bytes());
  EXPECT_THAT(verdicts(answer), ElementsAre("+s: selected: from t1"));
}

TEST_F(ExplainTest, SaysWhatASessionDoesWithSomeFramesOnly) {
  SessionSpec& session = lab.session("s");
  session.sample = 10;
  session.rate = {.packets = 100, .bits = 1'000'000};
  session.quota = {.packets = 7, .bytes = 5000};
  auto answer = explain("t1");
  ASSERT_EQ(answer.mirrors.size(), 1U);
  EXPECT_THAT(
      answer.mirrors[0].then,
      ElementsAre("then sampled: 1 in 10",
                  "then limited to 100 packets per second; at this moment 10 may come",
                  "then limited to 1000000 bits per second; at this moment 524288 may come",
                  "then ends after 7 packets; 7 are left", "then ends after 5000 bytes; 5000 are left"));
  // It is asked, not taken: what comes then finds it so, and leaves less.
  session.sample = 1;
  lab.apply();
  for (int i = 0; i < 3; ++i) lab.inject("t1", test::frame());
  lab.run();
  answer = explain("t1");
  EXPECT_THAT(answer.mirrors[0].then[0], HasSubstr("at this moment 7 may come"));
  EXPECT_THAT(answer.mirrors[0].then[2], HasSubstr("4 are left"));
  session.vlans = {99};
  EXPECT_THAT(explain("t1").mirrors[0].then, IsEmpty()) << "it does not copy the frame";
}

TEST_F(ExplainTest, NothingLeavesThroughADeviceThatIsDown) {
  lab.port("t2").link_up = false;
  lab.port("t3").link_up = false;
  const auto answer = explain("t1");
  EXPECT_THAT(outputs(answer), IsEmpty());
  EXPECT_THAT(answer.copies, IsEmpty());
  EXPECT_THAT(answer.trace, Contains("the frame is lost at t2: the device of the port is down"));
  EXPECT_THAT(answer.trace, Contains("the copy of s is lost at t3: the device of the port is down"));
}

/// As the packet socket of the device refuses it: the tag of 802.1Q does not count.
TEST_F(ExplainTest, NothingLeavesThatIsLongerThanTheMtu) {
  for (const char* name : {"t2", "t3"}) {
    lab.port(name).mtu = 1500;
    lab.device(name).pass_for({.ifindex = 5});
  }
  const auto frame = [](std::size_t payload) { return test::frame().vlan(7).zeros(payload).bytes(); };
  EXPECT_THAT(outputs(explain("t1", frame(1500))), ElementsAre("t2"));
  EXPECT_EQ(explain("t1", frame(1500)).copies.size(), 1U);
  const auto answer = explain("t1", frame(1501));
  EXPECT_THAT(outputs(answer), IsEmpty());
  EXPECT_THAT(answer.copies, IsEmpty());
  EXPECT_THAT(answer.trace,
              Contains("the frame is lost at t2: " + std::string(sentence(DropReason::too_big))));
  lab.device("t2").pass_for({});
  EXPECT_THAT(outputs(explain("t1", frame(1501))), ElementsAre("t2")) << "a tap takes any length";
}

TEST_F(ExplainTest, NothingLeavesThroughAPortWithoutADevice) {
  lab.port("t3").device = nullptr;
  const auto answer = explain("t1");
  EXPECT_THAT(answer.copies, IsEmpty());
  EXPECT_THAT(answer.trace, Contains("copy to t3: lost, the port has no device"));
}

TEST_F(ExplainTest, SessionsDoNotSeeWhatIsNotAdmitted) {
  lab.session("u").sources = {{"t3", Direction::from}};
  lab.session("u").destinations = {"t2"};
  lab.session("u").normal_io = true;
  const std::string reason = "arrived on a mirror destination that may not carry normal traffic";
  EXPECT_THAT(verdicts(explain("t3")), ElementsAre("s: the frame is not admitted: " + reason,
                                                   "u: the frame is not admitted: " + reason));
  lab.port("t1").vlan = {.mode = VlanMode::access, .tag = 10};
  EXPECT_THAT(verdicts(explain("t1", test::frame().vlan(20).bytes())),
              Contains("s: the frame is not admitted: the port does not accept the VLAN of the frame"));
  EXPECT_THAT(verdicts(explain("t1", {1, 2, 3})),
              Contains("s: the frame is not admitted: " + std::string(sentence(DropReason::malformed))));
  EXPECT_THAT(verdicts(explain("t2")), Contains("s: the frame touches none of its source ports"));
}

TEST_F(ExplainTest, FiltersSayWhyNot) {
  const auto rules = [this](std::vector<Match> filter, std::vector<Match> skip) {
    lab.session("s").rules =
        std::make_shared<const FilterRules>(FilterRules{std::move(filter), std::move(skip)});
    return verdicts(explain("t1"));
  };
  const Match untagged = *Match::parse("dl_vlan=0xffff").match;
  const Match web = *Match::parse("tcp,tp_dst=80").match;
  EXPECT_THAT(rules({web}, {}), ElementsAre("s: none of its filters matches the frame: from t1"));
  EXPECT_THAT(rules({untagged}, {web, untagged}),
              ElementsAre("s: a skip rule matches the frame (dl_vlan=0xffff): from t1"));
  EXPECT_THAT(rules({web, untagged}, {web}), ElementsAre("+s: selected: from t1"));
}

class ExplainFastPath : public ExplainTest {
 protected:
  ExplainFastPath() {
    fast_path.has_taps = true;
    for (const char* name : {"t1", "t2", "t3"})
      lab.device(name).pass_for(
          {.ifindex = ++ifindex_, .is_filtered = true, .takes_frames = true, .takes_copies = true});
    lab.apply();
    lab.inject("t2", test::frame().src("02:00:00:00:00:02").build());
    lab.run();
  }
  bridge::Explanation::FastPath known(const char* destination = "02:00:00:00:00:02") {
    return explain("t1", test::frame().dst(destination).bytes()).fast_path;
  }

 private:
  int ifindex_ = 10;
};

TEST_F(ExplainFastPath, TheKernelCarriesWhatIsKnown) {
  EXPECT_TRUE(known().is_carried);
  EXPECT_EQ(known().reason, "");
  EXPECT_THAT(known().user_copies, ElementsAre());
  EXPECT_EQ(known("02:00:00:00:00:77").reason, sentence(fastpath::Obstacle::path)) << "it is flooded";
  EXPECT_TRUE(known("ff:ff:ff:ff:ff:ff").is_carried) << "a group";
  EXPECT_EQ(explain("t1", {1, 2, 3}).fast_path.reason, sentence(fastpath::Obstacle::path));
}

TEST_F(ExplainFastPath, SaysWhoseCopiesAreLeft) {
  SessionSpec& other = lab.session("other");
  other.sources = {{"t1", Direction::from}};
  other.destinations = {"t2"};
  other.normal_io = true;
  lab.session("s").snaplen = 60;
  EXPECT_THAT(known().user_copies, ElementsAre("s"));
  fast_path.has_taps = false;
  EXPECT_FALSE(known().is_carried);
  EXPECT_EQ(known().reason, sentence(fastpath::Obstacle::session_needs));
}

TEST_F(ExplainFastPath, SaysWhatIsInTheWay) {
  lab.device("t2").pass_for({.ifindex = 12, .is_filtered = true});
  EXPECT_EQ(known().reason, sentence(fastpath::Obstacle::device));
  fast_path.off = "the setting says so";
  EXPECT_EQ(known().reason, "the fast path is off: the setting says so");
}

TEST_F(ExplainTest, SessionsOfOneNameAreTwoSessions) {
  bridge::DesiredSession twin = lab.session("s");
  twin.id = "twin";
  twin.destinations = {"t9"};
  lab.sessions().push_back(twin);
  EXPECT_THAT(verdicts(explain("t1")),
              ElementsAre("+s: selected: from t1", "s: waiting: destination: no port t9 on br0"));
}

TEST_F(ExplainTest, ASessionThatIsOffIsSaidToBeOffOnce) {
  lab.session("s").enabled = false;
  EXPECT_THAT(verdicts(explain("t1")), ElementsAre("s: disabled"));
}

}  // namespace
}  // namespace vswitch
