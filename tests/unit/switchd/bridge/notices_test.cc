// SPDX-License-Identifier: Apache-2.0
// What is worth knowing about a session that works.
#include "switchd/bridge/notices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

using testing::HasSubstr;

std::shared_ptr<const FilterRules> rules(const std::vector<std::string>& filter,
                                         const std::vector<std::string>& skip = {}) {
  FilterRules made;
  for (const std::string& text : filter) made.filter.push_back(*Match::parse(text).match);
  for (const std::string& text : skip) made.skip.push_back(*Match::parse(text).match);
  return std::make_shared<const FilterRules>(std::move(made));
}

class Notices : public ::testing::Test {
 protected:
  Notices() {
    for (const char* name : {"t1", "t2", "uplink"}) lab.port(name);
    DesiredSession& session = lab.session("s");
    session.sources = {{"t1", Direction::both}};
    session.destinations = {"uplink"};
  }
  std::string notice() {
    lab.apply();
    return bridge::notice_of(lab.registry, lab.status("s"), addresses, lab.now);
  }
  SwitchLab lab;
  netlink::HostAddresses addresses;
};

TEST_F(Notices, AreNoneForAnAnalyser) {
  EXPECT_EQ(notice(), "");
}

TEST_F(Notices, SayThatADestinationLosesItsOwnTraffic) {
  lab.apply();
  lab.session("s").enabled = false;
  lab.apply();
  lab.inject("uplink", frame().src("02:00:00:00:00:0d").dst(kBroadcast));
  lab.inject("uplink", frame().src("02:00:00:00:00:0e").dst(kBroadcast));
  lab.run();
  EXPECT_EQ(notice(), "") << "it is disabled";
  lab.session("s").enabled = true;
  EXPECT_EQ(notice(),
            "port uplink carries only copies, but had traffic of its own (2 addresses learned): allow normal "
            "I/O, or choose another port");
  lab.session("s").normal_io = true;
  EXPECT_EQ(notice(), "");
  lab.session("s").normal_io = false;
  lab.now += 400 * kSecondNs;
  lab.registry.macs("br0")->sweep(lab.now);
  EXPECT_EQ(notice(), "") << "the addresses have aged out";
}

TEST_F(Notices, SayThatTheHostCannotBeReached) {
  addresses["uplink"] = {*IpAddress::parse("10.0.0.254")};
  EXPECT_THAT(notice(), HasSubstr("the host is not reachable at 10.0.0.254"));
  lab.session("s").normal_io = true;
  EXPECT_EQ(notice(), "");
}

TEST_F(Notices, SayThatCopiesAreTruncatedWhileItHappens) {
  EXPECT_EQ(notice(), "");
  DestinationCell& cell = lab.registry.destination_counters("br0/s", "uplink")->of(SenderId{1});
  cell.truncated.add();
  cell.truncated_at = lab.now - 59 * kSecondNs;
  EXPECT_THAT(notice(), HasSubstr("copies are longer than the MTU of the path"));
  lab.now += 2 * kSecondNs;
  EXPECT_EQ(notice(), "") << "not in the last minute";
}

TEST_F(Notices, SayThatASessionCanCopyNothing) {
  DesiredSession& session = lab.session("s");
  session.rules = rules({"tcp", "tcp,tp_dst=80"}, {"udp", "ip"});
  EXPECT_EQ(notice(), "it can copy nothing: every frame that filter selects is skipped (udp)");
  session.rules = rules({"tcp", "arp"}, {"ip"});
  EXPECT_EQ(notice(), "") << "ARP is not skipped";
  session.rules = rules({"tcp"}, {"tcp,tp_dst=80"});
  EXPECT_EQ(notice(), "") << "only some are skipped";
  session.vlans = {10, 11};
  session.rules = rules({"dl_vlan=20", "dl_vlan=21,tcp"});
  EXPECT_THAT(notice(), HasSubstr("the VLAN of its filter is not one that it selects"));
  session.rules = rules({"dl_vlan=20", "dl_vlan=11,tcp"});
  EXPECT_EQ(notice(), "");
  session.rules = nullptr;
  session.destinations = {};
  session.vlans = {900};
  session.tags.output_vlan = 900;
  EXPECT_THAT(notice(), HasSubstr("it selects only VLAN 900, into which it puts its copies"));
  session.vlans = {900, 901};
  EXPECT_EQ(notice(), "");
}

TEST_F(Notices, NameThePortsThatCarryOnlyCopies) {
  lab.session("t").destinations = {"uplink", "t2"};
  lab.session("t").sources = {{"t1", Direction::from}};
  lab.session("u").destinations = {"t2"};
  lab.session("u").normal_io = true;
  lab.apply();
  const auto ports = bridge::ports_with_only_copies(lab.registry.bridge("br0")->spec);
  EXPECT_EQ(ports, (std::map<std::string, std::string>{{"uplink", "s, t"}, {"t2", "t"}}));
}

}  // namespace
}  // namespace vswitch::test
