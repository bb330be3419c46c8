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
  bridge::DesiredBridge read() {
    const auto error = txn.commit();
    EXPECT_FALSE(error) << error->what();
    bridge::Desired desired = bridge::read_desired(database, now_ms);
    EXPECT_EQ(desired.next_cfg, 12);
    EXPECT_EQ(desired.bridges.size(), 1U);
    return desired.bridges.at(0);
  }
  const PortSpec& spec_of(const bridge::DesiredBridge& desired, const std::string& name) {
    for (const PortSpec& spec : desired.spec.ports) {
      if (spec.name == name) return spec;
    }
    throw std::out_of_range(name);
  }

  ovsdb::Database database;
  ovsdb::Transaction txn;
  Uuid root, bridge;
  std::map<std::string, Uuid> interfaces;
  std::int64_t now_ms = 1'000'000;
};

TEST_F(DesiredTest, BridgeSettings) {
  txn.set("Bridge", bridge, "other_config",
          Datum::map_of(std::map<std::string, std::string>{
              {"mac-aging-time", "60"}, {"mac-table-size", "500"}, {"forward-bpdu", "true"}}));
  txn.set("Bridge", bridge, "flood_vlans", Datum::set_of(std::vector<std::int64_t>{7, 900}));
  txn.set("Bridge", bridge, "fail_mode", Datum::of("secure"));
  const bridge::DesiredBridge desired = read();
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
  const bridge::DesiredBridge desired = read();
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
  const bridge::DesiredBridge desired = read();
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
  for (const char* type : {"", "system", "internal", "tap", "patch", "stt"})
    port(std::string("i-") + type, type);
  port("br7", "");
  port("i-mtu", "internal");
  txn.set("Interface", interfaces.at("i-mtu"), "mtu_request", Datum::of(std::int64_t{1400}));
  txn.set("Interface", interfaces.at("i-patch"), "options",
          Datum::map_of(std::map<std::string, std::string>{{"peer", "i-other"}}));
  txn.set("Interface", interfaces.at("i-tap"), "mac", Datum::of("02:11:22:33:44:55"));
  const bridge::DesiredBridge desired = read();
  std::map<std::string, bridge::DesiredInterface> by_name;
  for (const bridge::DesiredInterface& interface : desired.interfaces) by_name[interface.name] = interface;
  EXPECT_EQ(by_name.at("i-").type, bridge::InterfaceType::system);
  EXPECT_EQ(by_name.at("i-system").type, bridge::InterfaceType::system);
  EXPECT_EQ(by_name.at("i-internal").type, bridge::InterfaceType::internal);
  EXPECT_EQ(by_name.at("i-tap").mac, MacAddr::parse("02:11:22:33:44:55"));
  EXPECT_EQ(by_name.at("br7").type, bridge::InterfaceType::internal)
      << "the local port, whatever its type says";
  EXPECT_FALSE(by_name.at("br7").mac) << "the host may choose";
  EXPECT_FALSE(by_name.at("br7").default_mac.is_multicast());
  EXPECT_NE(by_name.at("br7").default_mac, by_name.at("i-internal").default_mac);
  EXPECT_TRUE(by_name.at("br7").follows_mtu && by_name.at("i-tap").follows_mtu);
  EXPECT_FALSE(by_name.at("i-mtu").follows_mtu || by_name.at("i-system").follows_mtu);
  EXPECT_EQ(
      by_name.at("i-stt").refusal,
      "interface type stt is not supported; use system, internal, tap, patch, gre, erspan, vxlan or geneve");
  EXPECT_TRUE(spec_of(desired, "i-patch").is_patch);
  EXPECT_EQ(spec_of(desired, "i-patch").patch_peer, "i-other");
}

TEST_F(DesiredTest, ATunnelWithALocalAddressTakesItsPacketsFromTheOneWithout) {
  const auto tunnel = [this](const std::string& name, std::map<std::string, std::string> options) {
    port(name, "gre");
    options["remote_ip"] = "10.0.0.9";
    txn.set("Interface", interfaces.at(name), "options", Datum::map_of(options));
  };
  tunnel("any", {{"key", "5"}});
  tunnel("here", {{"key", "5"}, {"local_ip", "10.0.0.2"}});
  tunnel("there", {{"key", "5"}, {"local_ip", "10.0.0.1"}});
  tunnel("twice", {{"key", "5"}, {"local_ip", "10.0.0.1"}});
  tunnel("other key", {{"key", "6"}, {"local_ip", "10.0.0.3"}});
  const bridge::DesiredBridge desired = read();
  std::map<std::string, std::vector<IpAddress>> not_to;
  for (const bridge::DesiredInterface& interface : desired.interfaces)
    not_to[interface.name] = interface.not_to;
  EXPECT_EQ(not_to["any"],
            (std::vector<IpAddress>{*IpAddress::parse("10.0.0.1"), *IpAddress::parse("10.0.0.2")}));
  EXPECT_TRUE(not_to["here"].empty() && not_to["other key"].empty());
}

TEST_F(DesiredTest, NamesThatNoDeviceCanHaveAreRefusedButOfPatchPorts) {
  for (const char* name : {"a-name-of-16-byt", "lo", "a/b"}) port(name);
  port("another-of-16-by", "internal");
  port("patch-to-another", "patch");
  port("gre-of-16-bytes-", "gre");
  port("stt-of-16-bytes-", "stt");
  std::map<std::string, std::string> refusals;
  for (const bridge::DesiredInterface& interface : read().interfaces)
    refusals[interface.name] = interface.refusal;
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
  const bridge::DesiredSession session = read().sessions.at(0);
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
  const bridge::DesiredSession session = read().sessions.at(0);
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
  const bridge::DesiredBridge desired = read();
  std::map<std::string, bridge::DesiredSession> sessions;
  for (const bridge::DesiredSession& session : desired.sessions) sessions[session.name] = session;
  EXPECT_EQ(sessions.at("rspan").tags, (CopyTags{.output_vlan = 900, .keep_vlan = true}));
  EXPECT_TRUE(sessions.at("rspan").destinations.empty());
  EXPECT_EQ(sessions.at("cut").snaplen, 100U);
  EXPECT_EQ(sessions.at("cut").sample, 7U);
  EXPECT_EQ(sessions.at("cut").tags, (CopyTags{.output_vlan = {}, .strip_vlan = true}));
  EXPECT_EQ(sessions.at("both").tags, CopyTags{}) << "the port wins over the VLAN";
  EXPECT_EQ(sessions.at("both").snaplen, kWholeFrame) << "65535 cuts nothing";
  EXPECT_EQ(sessions.at("both").sample, 1U);
}

using Strings = std::map<std::string, std::string>;

TEST_F(DesiredTest, RatesAndEnds) {
  const Uuid limited = mirror("limited");
  txn.set("Mirror", limited, "rate_packets", Datum::of(7));
  txn.set("Mirror", limited, "rate_bits", Datum::of(8'000));
  txn.set("Mirror", limited, "cpu_budget", Datum::of(13));
  txn.set("Mirror", limited, "expires_packets", Datum::of(9));
  txn.set("Mirror", limited, "expires_bytes", Datum::of(10));
  txn.set("Mirror", limited, "expires_at", Datum::of(std::int64_t{1'000'001}));
  const Uuid over = mirror("over");
  txn.set("Mirror", over, "expires_at", Datum::of(std::int64_t{1'000'000}));
  const Uuid bound = mirror("bound");
  txn.set("Mirror", bound, "expires_at", Datum::of(5));
  txn.set("Mirror", bound, "expires_with_connection", Datum::of(true));
  txn.set("Mirror", mirror("later"), "expires_at", Datum::of(std::int64_t{2'000'000}));
  std::map<std::string, bridge::DesiredSession> sessions;
  for (const bridge::DesiredSession& session : read().sessions) sessions[session.name] = session;
  EXPECT_EQ(sessions.at("limited").rate, (RateSpec{.packets = 7, .bits = 8'000}));
  EXPECT_EQ(sessions.at("limited").cpu_budget, 13U);
  EXPECT_EQ(sessions.at("limited").quota, (QuotaSpec{.packets = 9, .bytes = 10}));
  EXPECT_EQ(sessions.at("limited").expired, "");
  EXPECT_EQ(sessions.at("over").expired, "it expired at 1970-01-01T00:16:40Z");
  EXPECT_EQ(sessions.at("bound").expired, "the connection it was bound to has ended");
  EXPECT_EQ(bridge::read_desired(database, now_ms).next_end, 1'000'001);
  EXPECT_EQ(bridge::read_desired(database, now_ms + 1).next_end, 2'000'000);
  EXPECT_EQ(bridge::read_desired(database, 3'000'000).next_end, std::nullopt);
}

TEST_F(DesiredTest, PatternsBindToPortsButNeverToTheSessionsOwnDestinations) {
  for (const char* name : {"vnet0", "vnet1", "vnet2", "eth0"}) port(name);
  port("host", "internal");
  txn.set("Interface", interfaces.at("vnet1"), "external_ids",
          Datum::map_of(Strings{{"iface-id", "vm-7"}, {"attached-mac", "52:54:00:00:00:07"}}));
  txn.set("Interface", interfaces.at("eth0"), "mac", Datum::of("52:54:00:00:00:08"));
  txn.set("Interface", interfaces.at("eth0"), "mac_in_use", Datum::of("52:54:00:00:00:09"));
  txn.set("Interface", interfaces.at("host"), "mac", Datum::of("02:00:00:00:00:0a"));
  struct Case {
    Strings patterns, sources;
  };
  const std::vector<Case> cases = {
      {{{"glob:vnet*", "from"}}, {{"vnet0", "from"}, {"vnet1", "from"}}},
      {{{"glob:vnet*", "from"}, {"iface-id:vm-7", "to"}}, {{"vnet0", "from"}, {"vnet1", "both"}}},
      {{{"mac:52:54:00:00:00:07", "to"}}, {{"vnet1", "to"}}},
      {{{"mac:52:54:00:00:00:08", "both"}}, {{"eth0", "both"}}},
      {{{"mac:52:54:00:00:00:09", "both"}}, {}},  // of the switch's end of the wire
      {{{"mac:02:00:00:00:00:0A", "both"}}, {{"host", "both"}}},
      {{{"glob:vnet[13]", "both"}, {"glob:e?h0", "both"}}, {{"vnet1", "both"}, {"eth0", "both"}}},
      {{{"iface-id:other", "both"}}, {}},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Uuid m = mirror(std::to_string(i));
    txn.set("Mirror", m, "source_patterns", Datum::map_of(cases[i].patterns));
    txn.set("Mirror", m, "destination_ports", Datum::of("vnet2"));
  }
  for (const bridge::DesiredSession& session : read().sessions) {
    Strings sources;
    for (const SourceSpec& source : session.sources) {
      sources[source.port] = source.direction == Direction::from ? "from"
                             : source.direction == Direction::to ? "to"
                                                                 : "both";
    }
    EXPECT_EQ(sources, cases.at(std::stoul(session.name)).sources) << session.name;
    EXPECT_EQ(session.refusal, "");
  }
}

TEST_F(DesiredTest, APatternThatIsNoneIsRefused) {
  const std::vector<std::string> texts = {"vnet*", "glob:", "mac:52:54:00", "mac:01:00:5e:00:00:01",
                                          "uuid:5"};
  for (const std::string& text : texts)
    txn.set("Mirror", mirror(text), "source_patterns", Datum::map_of(Strings{{text, "both"}}));
  const bridge::DesiredBridge desired = read();
  EXPECT_EQ(desired.sessions.size(), texts.size());
  for (const bridge::DesiredSession& session : desired.sessions) {
    EXPECT_EQ(session.refusal, "source_patterns: \"" + session.name +
                                   "\" is not a pattern: it must begin with glob:, iface-id: or mac:");
  }
  EXPECT_FALSE(bridge::read_desired(database, now_ms).reads_interface_ids);
}

TEST_F(DesiredTest, ExternalIdsOfInterfacesConcernTheSwitchWhileAPatternAsksForThem) {
  port("p1");
  const Uuid m = mirror("m");
  txn.set("Mirror", m, "source_patterns", Datum::map_of(Strings{{"iface-id:x", "both"}}));
  read();
  EXPECT_TRUE(bridge::read_desired(database, now_ms).reads_interface_ids);
  std::vector<bridge::Concern> heard;
  database.on_commit([&heard](const ovsdb::Changes& changes) {
    heard = {bridge::concern_of(changes, false), bridge::concern_of(changes, true)};
  });
  ovsdb::Transaction transaction(database);
  transaction.set("Interface", interfaces.at("p1"), "external_ids",
                  Datum::map_of(Strings{{"iface-id", "x"}}));
  EXPECT_FALSE(transaction.commit());
  EXPECT_EQ(heard, (std::vector<bridge::Concern>{bridge::Concern::nothing, bridge::Concern::settings}));
  const bridge::Desired desired = bridge::read_desired(database, now_ms);
  EXPECT_EQ(desired.bridges.at(0).sessions.at(0).patterns.at(0).ports, std::vector<std::string>{"p1"});
}

TEST_F(DesiredTest, OnlyWhatIsReadConcernsTheSwitch) {
  const Uuid p1 = port("p1");
  const Uuid m = mirror("m");
  read();
  const Uuid interface = interfaces.at("p1");
  bridge::Concern heard = bridge::Concern::nothing;
  database.on_commit([&heard](const ovsdb::Changes& changes) { heard = bridge::concern_of(changes, false); });
  const auto concern = [&](const char* table, const Uuid& row, const char* column, const Datum& datum) {
    heard = bridge::Concern::nothing;
    ovsdb::Transaction transaction(database);
    transaction.set(table, row, column, datum);
    EXPECT_FALSE(transaction.commit()) << column;
    return heard;
  };
  const Datum note = Datum::map_of(std::map<std::string, std::string>{{"a", "b"}});
  for (const auto& [table, row] :
       {std::pair("Open_vSwitch", root), std::pair("Bridge", bridge), std::pair("Port", p1),
        std::pair("Interface", interface), std::pair("Mirror", m)}) {
    EXPECT_EQ(concern(table, row, "external_ids", note), bridge::Concern::nothing) << table;
  }
  EXPECT_EQ(concern("Open_vSwitch", root, "next_cfg", Datum::of(7)), bridge::Concern::next_cfg);
  EXPECT_EQ(concern("Bridge", bridge, "other_config", note), bridge::Concern::settings);
  EXPECT_EQ(concern("Bridge", bridge, "stp_enable", Datum::of(true)), bridge::Concern::settings);
  EXPECT_EQ(concern("Port", p1, "tag", Datum::of(5)), bridge::Concern::settings);
  EXPECT_EQ(concern("Interface", interface, "options", note), bridge::Concern::settings);
  EXPECT_EQ(concern("Interface", interface, "statistics", Datum()), bridge::Concern::nothing);
  EXPECT_EQ(concern("Mirror", m, "sample", Datum::of(5)), bridge::Concern::settings);
  EXPECT_EQ(concern("Mirror", m, "description", Datum::of("d")), bridge::Concern::nothing);
  heard = bridge::Concern::nothing;
  ovsdb::Transaction transaction(database);
  transaction.erase("Mirror", m);
  transaction.set("Bridge", bridge, "mirrors", Datum());
  EXPECT_FALSE(transaction.commit());
  EXPECT_EQ(heard, bridge::Concern::settings) << "a row that goes";
}

TEST(DesiredEmpty, AnEmptyDatabaseIsAnEmptySwitch) {
  const ovsdb::Database database(ovsdb::DatabaseSchema::parse(Json::parse(embedded::vswitch_ovsschema)));
  const bridge::Desired desired = bridge::read_desired(database, 0);
  EXPECT_FALSE(desired.root);
  EXPECT_TRUE(desired.bridges.empty());
}

TEST_F(DesiredTest, FiltersAreCompiled) {
  const Uuid row = mirror("m");
  txn.set("Mirror", row, "filter", Datum::set_of(std::vector<std::string>{"tcp", "udp"}));
  txn.set("Mirror", row, "skip", Datum::of("tcp,tp_dst=22"));
  mirror("n");
  const bridge::DesiredBridge desired = read();
  for (const bridge::DesiredSession& session : desired.sessions) {
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
  EXPECT_EQ(read().sessions.at(0).refusal,
            "skip: 'ct_state=+trk': ct_state needs connection tracking; a filter matches only the headers "
            "of a frame");
}

}  // namespace
}  // namespace vswitch
