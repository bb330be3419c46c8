// SPDX-License-Identifier: Apache-2.0
// From rows to what the switch shall be.
#include "switchd/bridge/desired.h"

#include <gtest/gtest.h>

#include "schemas/embedded.h"
#include "schemas/json.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"

namespace vswitch {
namespace {

using ovsdb::Datum;
using ovsdb::Uuid;

class DesiredTest : public ::testing::Test {
 protected:
  DesiredTest()
      : database(ovsdb::DatabaseSchema::parse(Json::parse(embedded::vswitch_ovsschema))), txn(database) {
    root = txn.insert("Open_vSwitch");
    bridge = txn.insert("Bridge");
    txn.set("Bridge", bridge, "name", Datum::of("br7"));
    txn.set("Open_vSwitch", root, "bridges", Datum::of(bridge));
    txn.set("Open_vSwitch", root, "next_cfg", Datum::of(12));
  }
  Uuid port(const std::string& name, const std::string& type = "") {
    const Uuid interface = txn.insert("Interface");
    txn.set("Interface", interface, "name", Datum::of(name));
    txn.set("Interface", interface, "type", Datum::of(type));
    interfaces[name] = interface;
    const Uuid port = txn.insert("Port");
    txn.set("Port", port, "name", Datum::of(name));
    txn.set("Port", port, "interfaces", Datum::of(interface));
    txn.add("Bridge", bridge, "ports", Datum::of(port));
    return port;
  }
  Uuid mirror(const std::string& name) {
    const Uuid mirror = txn.insert("Mirror");
    txn.set("Mirror", mirror, "name", Datum::of(name));
    txn.add("Bridge", bridge, "mirrors", Datum::of(mirror));
    return mirror;
  }
  DesiredBridge read() {
    const auto error = txn.commit();
    EXPECT_FALSE(error) << error->what();
    Desired desired = read_desired(database);
    EXPECT_EQ(desired.next_cfg, 12);
    EXPECT_EQ(desired.bridges.size(), 1U);
    return desired.bridges.at(0);
  }
  const PortSpec& spec_of(const DesiredBridge& desired, const std::string& name) {
    for (const PortSpec& spec : desired.spec.ports) {
      if (spec.name == name) return spec;
    }
    throw std::out_of_range(name);
  }

  ovsdb::Database database;
  ovsdb::Transaction txn;
  Uuid root, bridge;
  std::map<std::string, Uuid> interfaces;
};

TEST_F(DesiredTest, BridgeSettings) {
  txn.set("Bridge", bridge, "other_config",
          Datum::map_of(std::map<std::string, std::string>{
              {"mac-aging-time", "60"}, {"mac-table-size", "500"}, {"forward-bpdu", "true"}}));
  txn.set("Bridge", bridge, "flood_vlans", Datum::set_of(std::vector<std::int64_t>{7, 900}));
  txn.set("Bridge", bridge, "fail_mode", Datum::of("secure"));
  const DesiredBridge desired = read();
  EXPECT_EQ(desired.spec.name, "br7");
  EXPECT_EQ(desired.spec.mac_aging, 60 * kSecondNs);
  EXPECT_EQ(desired.spec.mac_table_size, 500U);
  EXPECT_TRUE(desired.spec.forward_bpdu);
  EXPECT_TRUE(desired.spec.secure);
  EXPECT_EQ(desired.spec.flood_vlans, (std::vector<VlanId>{7, 900}));
}

TEST_F(DesiredTest, LimitsAreForcedIntoTheirRangesAndNonsenseIsIgnored) {
  txn.set("Bridge", bridge, "other_config",
          Datum::map_of(std::map<std::string, std::string>{
              {"mac-aging-time", "1"}, {"mac-table-size", "many"}, {"forward-bpdu", "yes"}}));
  const DesiredBridge desired = read();
  EXPECT_EQ(desired.spec.mac_aging, 15 * kSecondNs);
  EXPECT_EQ(desired.spec.mac_table_size, MacTable::kDefaultCapacity);
  EXPECT_FALSE(desired.spec.forward_bpdu);
}

TEST_F(DesiredTest, VlanModes) {
  txn.set("Port", port("plain"), "protected", Datum::of(true));
  txn.set("Port", port("tagged"), "tag", Datum::of(20));
  const Uuid native = port("native");
  txn.set("Port", native, "vlan_mode", Datum::of("native-untagged"));
  txn.set("Port", native, "tag", Datum::of(5));
  txn.set("Port", native, "trunks", Datum::set_of(std::vector<std::int64_t>{6, 7}));
  const Uuid tunnel = port("tunnel");
  txn.set("Port", tunnel, "vlan_mode", Datum::of("dot1q-tunnel"));
  txn.set("Port", tunnel, "cvlans", Datum::of(33));
  txn.set("Port", tunnel, "other_config",
          Datum::map_of(
              std::map<std::string, std::string>{{"qinq-ethtype", "802.1q"}, {"priority-tags", "always"}}));
  const Uuid trunk = port("trunk");
  txn.set("Port", trunk, "vlan_mode", Datum::of("trunk"));
  txn.set("Port", trunk, "tag", Datum::of(9));
  const DesiredBridge desired = read();
  EXPECT_EQ(spec_of(desired, "plain").vlan.mode, VlanMode::trunk);
  EXPECT_TRUE(spec_of(desired, "plain").vlan.trunks.all());
  EXPECT_TRUE(spec_of(desired, "plain").is_protected);
  EXPECT_EQ(spec_of(desired, "tagged").vlan.mode, VlanMode::access);
  EXPECT_EQ(spec_of(desired, "tagged").vlan.tag, 20);
  EXPECT_EQ(spec_of(desired, "native").vlan.mode, VlanMode::native_untagged);
  EXPECT_EQ(spec_of(desired, "native").vlan.trunks.count(), 2U);
  EXPECT_EQ(spec_of(desired, "tunnel").vlan.mode, VlanMode::dot1q_tunnel);
  EXPECT_TRUE(spec_of(desired, "tunnel").vlan.cvlans[33]);
  EXPECT_EQ(spec_of(desired, "tunnel").vlan.cvlans.count(), 1U);
  EXPECT_EQ(spec_of(desired, "tunnel").vlan.qinq_ethtype, kTpid8021Q);
  EXPECT_EQ(spec_of(desired, "tunnel").vlan.priority_tags, PriorityTags::always);
  EXPECT_EQ(spec_of(desired, "trunk").vlan.mode, VlanMode::trunk);
}

TEST_F(DesiredTest, InterfaceTypes) {
  for (const char* type : {"", "system", "internal", "tap", "patch", "geneve"})
    port(std::string("i-") + type, type);
  port("br7", "");
  txn.set("Interface", interfaces.at("i-patch"), "options",
          Datum::map_of(std::map<std::string, std::string>{{"peer", "i-other"}}));
  txn.set("Interface", interfaces.at("i-tap"), "mac", Datum::of("02:11:22:33:44:55"));
  const DesiredBridge desired = read();
  std::map<std::string, DesiredInterface> by_name;
  for (const DesiredInterface& interface : desired.interfaces) by_name[interface.name] = interface;
  EXPECT_EQ(by_name.at("i-").type, InterfaceType::system);
  EXPECT_EQ(by_name.at("i-system").type, InterfaceType::system);
  EXPECT_EQ(by_name.at("i-internal").type, InterfaceType::internal);
  EXPECT_EQ(by_name.at("i-tap").mac, MacAddr::parse("02:11:22:33:44:55"));
  EXPECT_EQ(by_name.at("br7").type, InterfaceType::internal) << "the local port, whatever its type says";
  EXPECT_TRUE(by_name.at("br7").mac && !by_name.at("br7").mac->is_multicast());
  EXPECT_EQ(by_name.at("i-geneve").refusal,
            "interface type geneve is not supported; use system, internal, tap, patch, gre, erspan or vxlan");
  EXPECT_TRUE(spec_of(desired, "i-patch").is_patch);
  EXPECT_EQ(spec_of(desired, "i-patch").patch_peer, "i-other");
}

TEST_F(DesiredTest, NamesThatNoDeviceCanHaveAreRefusedButOfPatchPorts) {
  for (const char* name : {"a-name-of-16-byt", "lo", "a/b"}) port(name);
  port("another-of-16-by", "internal");
  port("patch-to-another", "patch");
  port("gre-of-16-bytes-", "gre");
  port("stt-of-16-bytes-", "stt");
  std::map<std::string, std::string> refusals;
  for (const DesiredInterface& interface : read().interfaces) refusals[interface.name] = interface.refusal;
  EXPECT_EQ(refusals.at("a-name-of-16-byt"),
            "\"a-name-of-16-byt\" cannot be the name of a device: it is longer than 15 bytes");
  EXPECT_EQ(refusals.at("lo"), "lo is the loopback device of the host and cannot be a port");
  EXPECT_NE(refusals.at("a/b"), "");
  EXPECT_NE(refusals.at("another-of-16-by"), "");
  EXPECT_EQ(refusals.at("patch-to-another"), "patch-to-another: patch type requires valid 'peer' argument")
      << "its name is right";
  EXPECT_EQ(refusals.at("gre-of-16-bytes-"), "gre-of-16-bytes-: gre type requires valid 'remote_ip' argument")
      << "its name is right";
  EXPECT_EQ(refusals.at("stt-of-16-bytes-").substr(0, 14), "interface type")
      << "the type is the first to say";
}

TEST_F(DesiredTest, AStockMirrorRow) {
  const Uuid p1 = port("p1");
  const Uuid p2 = port("p2");
  const Uuid p3 = port("p3");
  const Uuid m = mirror("m");
  txn.set("Mirror", m, "select_src_port", Datum::set_of(std::vector<Uuid>{p1, p2}));
  txn.set("Mirror", m, "select_dst_port", Datum::of(p2));
  txn.set("Mirror", m, "select_vlan", Datum::of(44));
  txn.set("Mirror", m, "output_port", Datum::of(p3));
  const SessionSpec session = read().spec.sessions.at(0);
  EXPECT_EQ(session.id, m.to_string());
  EXPECT_EQ(session.name, "m");
  EXPECT_TRUE(session.enabled);
  EXPECT_FALSE(session.normal_io);
  ASSERT_EQ(session.sources.size(), 2U);
  EXPECT_EQ(session.sources[0].port, "p1");
  EXPECT_EQ(session.sources[0].direction, Direction::from);
  EXPECT_EQ(session.sources[1].direction, Direction::both);
  EXPECT_EQ(session.vlans, std::vector<VlanId>{44});
  EXPECT_EQ(session.destinations, std::vector<std::string>{"p3"});
  EXPECT_TRUE(session.refusal.empty());
}

TEST_F(DesiredTest, OurOwnColumnsAndTheirUnionWithTheReferences) {
  const Uuid p1 = port("p1");
  const Uuid m = mirror("m");
  txn.set("Mirror", m, "select_src_port", Datum::of(p1));
  txn.set("Mirror", m, "source_ports",
          Datum::map_of(std::map<std::string, std::string>{{"p1", "to"}, {"later", "from"}}));
  txn.set("Mirror", m, "destination_ports", Datum::set_of(std::vector<std::string>{"d1", "d2"}));
  txn.set("Mirror", m, "enabled", Datum::of(false));
  txn.set("Mirror", m, "normal_io", Datum::of(true));
  const SessionSpec session = read().spec.sessions.at(0);
  EXPECT_FALSE(session.enabled);
  EXPECT_TRUE(session.normal_io);
  ASSERT_EQ(session.sources.size(), 2U);
  EXPECT_EQ(session.sources[0].port, "later");
  EXPECT_EQ(session.sources[0].direction, Direction::from);
  EXPECT_EQ(session.sources[1].direction, Direction::both);
  EXPECT_EQ(session.destinations, (std::vector<std::string>{"d1", "d2"}));
}

TEST_F(DesiredTest, TheShapeOfTheCopies) {
  const Uuid p1 = port("p1");
  const Uuid rspan = mirror("rspan");
  txn.set("Mirror", rspan, "output_vlan", Datum::of(900));
  txn.set("Mirror", rspan, "keep_vlan", Datum::of(true));
  const Uuid cut = mirror("cut");
  txn.set("Mirror", cut, "output_port", Datum::of(p1));
  txn.set("Mirror", cut, "snaplen", Datum::of(100));
  txn.set("Mirror", cut, "sample", Datum::of(7));
  txn.set("Mirror", cut, "strip_vlan", Datum::of(true));
  const Uuid both = mirror("both");
  txn.set("Mirror", both, "output_port", Datum::of(p1));
  txn.set("Mirror", both, "output_vlan", Datum::of(900));
  txn.set("Mirror", both, "snaplen", Datum::of(65535));
  const DesiredBridge desired = read();
  std::map<std::string, SessionSpec> sessions;
  for (const SessionSpec& session : desired.spec.sessions) sessions[session.name] = session;
  EXPECT_EQ(sessions.at("rspan").tags, (CopyTags{.output_vlan = 900, .keep_vlan = true}));
  EXPECT_TRUE(sessions.at("rspan").destinations.empty());
  EXPECT_EQ(sessions.at("cut").snaplen, 100U);
  EXPECT_EQ(sessions.at("cut").sample, 7U);
  EXPECT_EQ(sessions.at("cut").tags, (CopyTags{.output_vlan = {}, .strip_vlan = true}));
  EXPECT_EQ(sessions.at("both").tags, CopyTags{}) << "the port wins over the VLAN";
  EXPECT_EQ(sessions.at("both").snaplen, kWholeFrame) << "65535 cuts nothing";
  EXPECT_EQ(sessions.at("both").sample, 1U);
}

TEST_F(DesiredTest, OnlyWhatIsReadConcernsTheSwitch) {
  const Uuid p1 = port("p1");
  const Uuid m = mirror("m");
  read();
  const Uuid interface = interfaces.at("p1");
  Concern heard = Concern::nothing;
  database.on_commit([&heard](const ovsdb::Changes& changes) { heard = concern_of(changes); });
  const auto concern = [&](const char* table, const Uuid& row, const char* column, const Datum& datum) {
    heard = Concern::nothing;
    ovsdb::Transaction transaction(database);
    transaction.set(table, row, column, datum);
    EXPECT_FALSE(transaction.commit()) << column;
    return heard;
  };
  const Datum note = Datum::map_of(std::map<std::string, std::string>{{"a", "b"}});
  for (const auto& [table, row] :
       {std::pair("Open_vSwitch", root), std::pair("Bridge", bridge), std::pair("Port", p1),
        std::pair("Interface", interface), std::pair("Mirror", m)}) {
    EXPECT_EQ(concern(table, row, "external_ids", note), Concern::nothing) << table;
  }
  EXPECT_EQ(concern("Open_vSwitch", root, "next_cfg", Datum::of(7)), Concern::next_cfg);
  EXPECT_EQ(concern("Bridge", bridge, "other_config", note), Concern::settings);
  EXPECT_EQ(concern("Bridge", bridge, "stp_enable", Datum::of(true)), Concern::settings);
  EXPECT_EQ(concern("Port", p1, "tag", Datum::of(5)), Concern::settings);
  EXPECT_EQ(concern("Interface", interface, "options", note), Concern::settings);
  EXPECT_EQ(concern("Interface", interface, "statistics", Datum()), Concern::nothing);
  EXPECT_EQ(concern("Mirror", m, "sample", Datum::of(5)), Concern::settings);
  EXPECT_EQ(concern("Mirror", m, "description", Datum::of("d")), Concern::nothing);
  heard = Concern::nothing;
  ovsdb::Transaction transaction(database);
  transaction.erase("Mirror", m);
  transaction.set("Bridge", bridge, "mirrors", Datum());
  EXPECT_FALSE(transaction.commit());
  EXPECT_EQ(heard, Concern::settings) << "a row that goes";
}

TEST(DesiredEmpty, AnEmptyDatabaseIsAnEmptySwitch) {
  const ovsdb::Database database(ovsdb::DatabaseSchema::parse(Json::parse(embedded::vswitch_ovsschema)));
  const Desired desired = read_desired(database);
  EXPECT_FALSE(desired.root);
  EXPECT_TRUE(desired.bridges.empty());
}

TEST_F(DesiredTest, FiltersAreCompiled) {
  const Uuid row = mirror("m");
  txn.set("Mirror", row, "filter", Datum::set_of(std::vector<std::string>{"tcp", "udp"}));
  txn.set("Mirror", row, "skip", Datum::of("tcp,tp_dst=22"));
  mirror("n");
  const DesiredBridge desired = read();
  for (const SessionSpec& session : desired.spec.sessions) {
    EXPECT_EQ(session.refusal, "");
    if (session.name == "n") {
      EXPECT_EQ(session.rules, nullptr);
      continue;
    }
    ASSERT_NE(session.rules, nullptr);
    EXPECT_EQ(session.rules->filter.size(), 2U);
    ASSERT_EQ(session.rules->skip.size(), 1U);
    EXPECT_EQ(session.rules->skip[0].text(), "tcp,tp_dst=22");
  }
}

TEST_F(DesiredTest, AMatchThatIsNoneIsARefusal) {
  txn.set("Mirror", mirror("m"), "skip", Datum::set_of(std::vector<std::string>{"arp", "ct_state=+trk"}));
  EXPECT_EQ(read().spec.sessions.at(0).refusal,
            "skip: 'ct_state=+trk': ct_state needs connection tracking; a filter looks at the headers of a "
            "frame only");
}

}  // namespace
}  // namespace vswitch
