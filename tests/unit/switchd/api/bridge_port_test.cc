// SPDX-License-Identifier: Apache-2.0
// bridge.* and port.* against rows.
#include "tests/unit/switchd/api/support.h"

namespace vswitch::api::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class BridgeApi : public ApiTest {};

TEST_F(BridgeApi, AddMakesTheRowsThatOvsVsctlMakes) {
  good("bridge.add", {{"name", "br0"}});
  ASSERT_EQ(database.table("Open_vSwitch").size(), 1u);
  const Row& bridge = row("Bridge", "br0");
  EXPECT_EQ(database.table("Open_vSwitch").begin()->uuids("bridges"), std::vector<Uuid>{bridge.uuid()});
  EXPECT_EQ(bridge.uuids("ports"), std::vector<Uuid>{row("Port", "br0").uuid()});
  EXPECT_EQ(row("Port", "br0").uuids("interfaces"), std::vector<Uuid>{row("Interface", "br0").uuid()});
  EXPECT_EQ(row("Interface", "br0").str("type"), "internal");
  EXPECT_EQ(bridge.map("other_config").size(), 0u);
  good("bridge.add", {{"name", "br1"}});
  EXPECT_EQ(database.table("Open_vSwitch").size(), 1u);
}

TEST_F(BridgeApi, SettingsGoIntoTheColumnsOfOpenVSwitchAndBack) {
  const Json settings = {{"fail_mode", "secure"},
                         {"mac_aging_time", 61},
                         {"mac_table_size", 77},
                         {"flood_vlans", {7, 5}},
                         {"forward_bpdu", true}};
  good("bridge.add", with({{"name", "br0"}}, settings));
  EXPECT_EQ(row("Bridge", "br0").str("fail_mode"), "secure");
  EXPECT_EQ(row("Bridge", "br0").map("other_config"),
            (std::map<std::string, std::string>{
                {"forward-bpdu", "true"}, {"mac-aging-time", "61"}, {"mac-table-size", "77"}}));
  Json bridge = good("bridge.get", {{"name", "br0"}});
  EXPECT_EQ(bridge["mac_aging_time"], 61);
  EXPECT_EQ(bridge["flood_vlans"], Json({5, 7}));
  good("bridge.set", {{"name", "br0"}, {"fail_mode", nullptr}, {"mac_table_size", 78}});
  bridge = good("bridge.get", {{"name", "br0"}});
  EXPECT_EQ(bridge["fail_mode"], nullptr);
  EXPECT_EQ(bridge["mac_table_size"], 78);
  EXPECT_EQ(bridge["mac_aging_time"], 61);
  EXPECT_EQ(bridge["forward_bpdu"], true);
}

TEST_F(BridgeApi, ShowsWhatIsInEffectWhenOthersWroteNonsense) {
  good("bridge.add", {{"name", "br0"}});
  EXPECT_EQ(good("bridge.get", {{"name", "br0"}})["mac_aging_time"], 300);
  write(
      "Bridge", row("Bridge", "br0").uuid(), "other_config",
      Datum::map_of(std::map<std::string, std::string>{{"mac-aging-time", "1"}, {"mac-table-size", "many"}}));
  const Json bridge = good("bridge.get", {{"name", "br0"}});
  EXPECT_EQ(bridge["mac_aging_time"], 15);
  EXPECT_EQ(bridge["mac_table_size"], 8192);
}

TEST_F(BridgeApi, StateIsThatOfItsOwnPort) {
  const Json added = good("bridge.add", {{"name", "br0"}});
  EXPECT_EQ(added["state"], "waiting");
  set_status("Interface", "br0", {{"state", "up"}});
  EXPECT_EQ(good("bridge.get", {{"name", "br0"}})["state"], "active");
  set_status("Interface", "br0", {{"state", "down"}, {"reason", "off"}});
  EXPECT_EQ(good("bridge.get", {{"name", "br0"}})["state"], "active") << "the host need not use it";
  set_status("Interface", "br0", {{"state", "error"}, {"reason", "no /dev/net/tun"}});
  EXPECT_EQ(good("bridge.get", {{"name", "br0"}})["reason"], "no /dev/net/tun");
}

TEST_F(BridgeApi, MayExistAcceptsTheSameSettingsOnly) {
  good("bridge.add", {{"name", "br0"}, {"mac_aging_time", 61}, {"flood_vlans", {1, 2}}});
  good("bridge.add", {{"name", "br0"}, {"may_exist", true}});
  good("bridge.add",
       {{"name", "br0"}, {"may_exist", true}, {"mac_aging_time", 61}, {"flood_vlans", {2, 1, 1}}});
  EXPECT_THAT(refusal("bridge.add", {{"name", "br0"}, {"may_exist", true}, {"mac_aging_time", 62}}),
              StartsWith("exists mac_aging_time: "));
  EXPECT_THAT(refusal("bridge.add", {{"name", "br0"}}), StartsWith("exists name: "));
}

TEST_F(BridgeApi, DelRemovesEverythingOnIt) {
  build();
  good("mirror.add", span("span0", {"t1"}, {"t2"}));
  EXPECT_EQ(good("bridge.del", {{"name", "br0"}}), Json({{"removed", true}}));
  EXPECT_EQ(database.table("Bridge").size(), 1u);
  EXPECT_EQ(database.table("Port").size(), 2u);
  EXPECT_EQ(database.table("Interface").size(), 2u);
  EXPECT_EQ(database.table("Mirror").size(), 0u);
  EXPECT_EQ(good("bridge.del", {{"name", "br0"}, {"if_exists", true}}), Json({{"removed", false}}));
  EXPECT_EQ(refusal("bridge.del", {{"name", "br0"}}), "not_found name: there is no bridge br0");
}

TEST_F(BridgeApi, ListIsSortedAndTellsPortsAndSessions) {
  build();
  good("mirror.add", span("span0", {"t1"}, {"t2"}));
  const Json bridges = good("bridge.list")["bridges"];
  ASSERT_EQ(bridges.size(), 2u);
  EXPECT_EQ(bridges[0]["ports"], Json({"t1", "t2", "t3"}));
  EXPECT_EQ(bridges[0]["mirrors"], Json({"span0"}));
  EXPECT_EQ(bridges[1]["name"], "br1");
  EXPECT_EQ(good("bridge.list", {{"bridge", "br1"}})["bridges"], Json::array({bridges[1]}));
  EXPECT_THAT(refusal("bridge.list", {{"bridge", "br9"}}), StartsWith("not_found bridge: "));
}

TEST_F(BridgeApi, Refusals) {
  build();
  EXPECT_THAT(refusal("bridge.add", {{"name", "t1"}}),
              StartsWith("conflict name: a port named t1 already exists"));
  EXPECT_THAT(refusal("bridge.add", {{"name", "a/b"}}), StartsWith("invalid name: "));
  EXPECT_THAT(refusal("bridge.add", {{"name", "br2"}, {"mac_aging_time", 1}}),
              StartsWith("invalid mac_aging_time: "));
  EXPECT_THAT(refusal("bridge.add", Json::array({"br2"})), HasSubstr("parameters go by name"));
  EXPECT_THAT(refusal("bridge.set", {{"name", "br9"}, {"forward_bpdu", true}}),
              StartsWith("not_found name: "));
  EXPECT_THAT(refusal("bridge.get", {{"name", "br9"}}), StartsWith("not_found name: "));
}

TEST_F(BridgeApi, RepliesWhenTheChangeIsInTheDatapath) {
  view.immediate = false;
  const auto answer = send("bridge.add", {{"name", "br0"}});
  EXPECT_TRUE(has("Bridge", "br0")) << "committed at once";
  EXPECT_TRUE(answer->is_null()) << "answered too early";
  set_status("Interface", "br0", {{"state", "up"}});
  view.apply();
  EXPECT_EQ((*answer)["result"]["state"], "active") << "the state that was reached";
}

TEST_F(BridgeApi, AnswersWhenAnotherClientWasFaster) {
  view.immediate = false;
  const auto added = send("bridge.add", {{"name", "br0"}});
  const auto removed = send("bridge.del", {{"name", "br0"}});
  view.apply();
  EXPECT_EQ((*added)["error"]["data"]["reason"], "not_found");
  EXPECT_EQ((*removed)["result"]["removed"], true);
}

class PortApi : public ApiTest {
 protected:
  PortApi() { build(); }
};

TEST_F(PortApi, AddMakesTheRowsThatOvsVsctlMakes) {
  good("port.add", {{"bridge", "br0"},
                    {"name", "p4"},
                    {"type", "internal"},
                    {"tag", 11},
                    {"vlan_mode", "native-untagged"},
                    {"trunks", {3, 1}},
                    {"protected", true},
                    {"priority_tags", "always"},
                    {"ofport_request", 44}});
  const Row& port = row("Port", "p4");
  EXPECT_EQ(port.integer("tag"), 11);
  EXPECT_EQ(port.integers("trunks"), (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(port.str("vlan_mode"), "native-untagged");
  EXPECT_EQ(port.boolean("protected"), true);
  EXPECT_EQ(port.map("other_config"), (std::map<std::string, std::string>{{"priority-tags", "always"}}));
  EXPECT_EQ(row("Interface", "p4").str("type"), "internal");
  EXPECT_EQ(row("Interface", "p4").integer("ofport_request"), 44);
  EXPECT_TRUE(row("Bridge", "br0")["ports"].contains(port.uuid()));
  EXPECT_EQ(row("Interface", "t1").str("type"), "") << "system devices have no type, as ovs-vsctl leaves it";
}

TEST_F(PortApi, SetChangesWhatIsGivenAndKeepsTheRest) {
  good("port.set", {{"name", "t1"}, {"tag", 11}, {"protected", true}});
  good("port.set",
       {{"name", "t1"}, {"vlan_mode", "dot1q-tunnel"}, {"cvlans", {8}}, {"qinq_ethtype", "802.1q"}});
  Json port = good("port.get", {{"name", "t1"}});
  EXPECT_EQ(port["tag"], 11);
  EXPECT_EQ(port["protected"], true);
  EXPECT_EQ(port["cvlans"], Json({8}));
  EXPECT_EQ(port["qinq_ethtype"], "802.1q");
  good("port.set", {{"name", "t1"},
                    {"tag", nullptr},
                    {"vlan_mode", nullptr},
                    {"cvlans", Json::array()},
                    {"qinq_ethtype", "802.1ad"}});
  port = good("port.get", {{"name", "t1"}});
  EXPECT_EQ(port["tag"], nullptr);
  EXPECT_EQ(port["vlan_mode"], nullptr);
  EXPECT_EQ(row("Port", "t1").map("other_config").size(), 0u);
}

TEST_F(PortApi, TellsStateAndReason) {
  EXPECT_EQ(good("port.get", {{"name", "t1"}})["reason"], "not set up yet");
  set_status("Interface", "t1",
             {{"state", "waiting"}, {"reason", "could not open network device t1 (No such device)"}});
  write("Interface", row("Interface", "t1").uuid(), "ifindex", Datum::of(0));
  Json port = good("port.get", {{"name", "t1"}});
  EXPECT_EQ(port["state"], "waiting");
  EXPECT_EQ(port["reason"], "no device t1");
  EXPECT_EQ(port["ifindex"], nullptr);
  set_status("Interface", "t1", {{"state", "up"}});
  write("Interface", row("Interface", "t1").uuid(), "mtu", Datum::of(9000));
  write("Interface", row("Interface", "t1").uuid(), "ofport", Datum::of(5));
  port = good("port.get", {{"name", "t1"}});
  EXPECT_EQ(port["state"], "active");
  EXPECT_EQ(port["reason"], "");
  EXPECT_EQ(port["mtu"], 9000);
  EXPECT_EQ(port["ofport"], 5);
}

TEST_F(PortApi, TellsItsCounters) {
  const Uuid interface = row("Interface", "t1").uuid();
  write("Interface", interface, "statistics",
        Datum::map_of(std::map<std::string, std::int64_t>{{"rx_packets", 3}}));
  EXPECT_EQ(good("port.get", {{"name", "t1"}})["counters"]["rx_packets"], 3) << "as in the row";
  view.of_interface[interface] = {{"rx_packets", 8}, {"tx_copies", 5}};
  const Json counters = good("port.get", {{"name", "t1"}})["counters"];
  EXPECT_EQ(counters["rx_packets"], 8) << "as of now";
  EXPECT_EQ(counters["tx_copies"], 5);
  EXPECT_EQ(counters["tx_errors"], 0);
}

TEST_F(PortApi, DelTakesItOffItsBridge) {
  good("port.del", {{"name", "t1"}, {"bridge", "br0"}});
  EXPECT_FALSE(has("Port", "t1"));
  EXPECT_FALSE(has("Interface", "t1"));
  EXPECT_EQ(good("port.del", {{"name", "t1"}, {"if_exists", true}}), Json({{"removed", false}}));
  EXPECT_EQ(refusal("port.del", {{"name", "t1"}}), "not_found name: there is no port t1");
}

TEST_F(PortApi, ListsOneBridgeOrAll) {
  EXPECT_EQ(good("port.list")["ports"].size(), 6u);
  const Json ports = good("port.list", {{"bridge", "br1"}})["ports"];
  ASSERT_EQ(ports.size(), 2u);
  EXPECT_EQ(ports[0]["name"], "br1");
  EXPECT_EQ(ports[0]["type"], "internal");
  EXPECT_EQ(ports[1]["name"], "u1");
  EXPECT_THAT(refusal("port.list", {{"bridge", "br9"}}), StartsWith("not_found bridge: "));
}

TEST_F(PortApi, PatchPortsTapsAndTunnels) {
  good("port.add", {{"bridge", "br0"}, {"name", "to1"}, {"type", "patch"}, {"options", {{"peer", "to0"}}}});
  EXPECT_EQ(row("Interface", "to1").str("type"), "patch");
  EXPECT_EQ(row("Interface", "to1").map("options"), (std::map<std::string, std::string>{{"peer", "to0"}}));
  good("port.add", {{"bridge", "br0"}, {"name", "tap7"}, {"type", "tap"}});
  EXPECT_EQ(row("Interface", "tap7").str("type"), "tap");
  good("port.add",
       {{"bridge", "br0"}, {"name", "g6"}, {"type", "ip6gre"}, {"options", {{"remote_ip", "2001:db8::1"}}}});
  EXPECT_THAT(refusal("port.add", {{"bridge", "br0"}, {"name", "p"}, {"type", "patch"}}),
              StartsWith("invalid options: a patch port needs the option peer"));
}

TEST_F(PortApi, SetKeepsOptionsThatAreNotGiven) {
  good("port.add", {{"bridge", "br0"},
                    {"name", "g"},
                    {"type", "gre"},
                    {"options", {{"remote_ip", "192.0.2.1"}, {"key", "5"}}}});
  const auto options = [this](const Json& given) {
    return good("port.set", {{"name", "g"}, {"options", given}})["options"];
  };
  EXPECT_EQ(options({{"ttl", "9"}}), Json({{"remote_ip", "192.0.2.1"}, {"key", "5"}, {"ttl", "9"}}));
  EXPECT_EQ(options({{"key", nullptr}}), Json({{"remote_ip", "192.0.2.1"}, {"ttl", "9"}}));
  EXPECT_THAT(refusal("port.set", {{"name", "g"}, {"options", {{"remote_ip", nullptr}}}}),
              testing::HasSubstr("requires valid 'remote_ip'"));
}

TEST_F(PortApi, ExternalIdsAndMtu) {
  write("Interface", row("Interface", "t1").uuid(), "external_ids",
        Datum::map_of(std::map<std::string, std::string>{{"attached-mac", "52:54:00:00:00:01"}}));
  Json port =
      good("port.set", {{"name", "t1"}, {"external_ids", {{"iface-id", "vm-7"}}}, {"mtu_request", 9000}});
  EXPECT_EQ(port["external_ids"], Json({{"attached-mac", "52:54:00:00:00:01"}, {"iface-id", "vm-7"}}));
  EXPECT_EQ(port["mtu_request"], 9000);
  EXPECT_EQ(row("Interface", "t1").integer("mtu_request"), 9000);
  port = good("port.set",
              {{"name", "t1"}, {"external_ids", {{"attached-mac", nullptr}}}, {"mtu_request", nullptr}});
  EXPECT_EQ(port["external_ids"], Json({{"iface-id", "vm-7"}}));
  EXPECT_EQ(port["mtu_request"], nullptr);
  good("port.add", {{"bridge", "br0"}, {"name", "p"}, {"external_ids", {{"a", "b"}}}, {"mtu_request", 1400}});
  EXPECT_EQ(row("Interface", "p").map("external_ids"), (std::map<std::string, std::string>{{"a", "b"}}));
  EXPECT_THAT(refusal("port.set", {{"name", "t1"}, {"mtu_request", 67}}),
              StartsWith("invalid mtu_request: "));
}

TEST_F(PortApi, MayExistAcceptsTheSamePortOnly) {
  good("port.set", {{"name", "t1"}, {"tag", 11}});
  good("port.add", {{"bridge", "br0"}, {"name", "t1"}, {"may_exist", true}});
  good("port.add", {{"bridge", "br0"}, {"name", "t1"}, {"tag", 11}, {"may_exist", true}});
  EXPECT_THAT(refusal("port.add", {{"bridge", "br0"}, {"name", "t1"}, {"tag", 12}, {"may_exist", true}}),
              StartsWith("exists tag: "));
  EXPECT_THAT(
      refusal("port.add", {{"bridge", "br0"}, {"name", "t1"}, {"type", "internal"}, {"may_exist", true}}),
      StartsWith("exists type: "));
  EXPECT_THAT(refusal("port.add", {{"bridge", "br1"}, {"name", "t1"}, {"may_exist", true}}),
              StartsWith("conflict name: port t1 is on bridge br0"));
}

TEST_F(PortApi, Refusals) {
  const auto add = [this](const Json& more) {
    return refusal("port.add", with({{"bridge", "br0"}, {"name", "p9"}}, more));
  };
  EXPECT_THAT(add({{"bridge", "br9"}}), StartsWith("not_found bridge: there is no bridge br9"));
  EXPECT_THAT(add({{"name", "t1"}}), StartsWith("exists name: "));
  EXPECT_THAT(add({{"name", "br1"}}), StartsWith("conflict name: br1 is a bridge"));
  EXPECT_THAT(add({{"type", "stt"}}), StartsWith("invalid type: "));
  EXPECT_THAT(add({{"type", "gre"}}), testing::HasSubstr("requires valid 'remote_ip'"));
  EXPECT_THAT(add({{"options", {{"key", "1"}}}}),
              testing::HasSubstr("options are for ports of type patch, gre"));
  EXPECT_THAT(add({{"type", "gre"}, {"options", {{"remote_ip", "192.0.2.1"}, {"kye", "1"}}}}),
              testing::HasSubstr("option kye is not supported"));
  EXPECT_THAT(add({{"tag", 4096}}), StartsWith("invalid tag: "));
  EXPECT_THAT(add({{"vlan_mode", "trunk"}, {"tag", 5}}), StartsWith("conflict tag: "));
  EXPECT_THAT(add({{"vlan_mode", "native-tagged"}}), StartsWith("conflict tag: "));
  EXPECT_THAT(add({{"tag", 5}, {"trunks", {6}}}), StartsWith("conflict trunks: an access port cannot have"));
  EXPECT_THAT(add({{"vlan_mode", "dot1q-tunnel"}, {"tag", 5}, {"trunks", {6}}}),
              StartsWith("conflict trunks: a dot1q-tunnel port cannot have"));
  EXPECT_THAT(add({{"cvlans", {6}}}), StartsWith("conflict cvlans: "));
  EXPECT_THAT(refusal("port.set", {{"name", "t1"}, {"vlan_mode", "dot1q-tunnel"}}),
              StartsWith("conflict tag: "));
  EXPECT_THAT(refusal("port.set", {{"name", "t9"}, {"tag", 1}}), StartsWith("not_found name: "));
  EXPECT_THAT(refusal("port.del", {{"name", "t1"}, {"bridge", "br1"}}),
              StartsWith("refused bridge: port t1 is on bridge br0"));
  EXPECT_THAT(
      refusal("port.del", {{"name", "br0"}}),
      StartsWith("refused name: br0 is the bridge's own port, which is deleted with it: delete the bridge"));
}

TEST_F(PortApi, OtherClientsContradictionsDoNotBlockOtherSettings) {
  write("Port", row("Port", "t1").uuid(), "tag", Datum::of(5));
  write("Port", row("Port", "t1").uuid(), "trunks", Datum::of(6));
  good("port.set", {{"name", "t1"}, {"protected", true}});
}

}  // namespace
}  // namespace vswitch::api::test
