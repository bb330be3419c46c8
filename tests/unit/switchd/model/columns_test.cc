// SPDX-License-Identifier: Apache-2.0
// The model and the switch agree on which columns matter. Derived from the schema: each column of each table
// that the switch reads is set to another value, and what read_desired() gives is another if, and only if,
// the table of columns says that the column concerns the switch.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schemas/ovsdb/schema.h"
#include "switchd/bridge/desired.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"
#include "switchd/model/datapath_settings.h"
#include "switchd/model/mirror.h"
#include "switchd/model/tables.h"

namespace vswitch::model {
namespace {

using ovsdb::Atom;
using ovsdb::AtomicType;
using ovsdb::Datum;
using ovsdb::Uuid;
using Strings = std::map<std::string, std::string>;

constexpr std::int64_t kNow = 2'000'000;  // ms since 1970

/// A switch in which every column can matter: a port with a device of ours, a tunnel, a session that has
/// ended, finds a source by an iface-id, and sends to an endpoint whose encapsulation has most fields.
class World {
 public:
  World() : transaction_(database) {
    const Uuid root = transaction_.insert("Open_vSwitch");
    const Uuid bridge = transaction_.insert("Bridge");
    transaction_.set("Open_vSwitch", root, "bridges", Datum::of(bridge));
    transaction_.set("Bridge", bridge, "name", Datum::of("br0"));
    add_port(bridge, "t0", "internal", {});
    add_port(bridge, "gre0", "gre", {{"remote_ip", "192.0.2.1"}});
    other_port_ = add_port(bridge, "p1", "", {});
    const Uuid mirror = transaction_.insert("Mirror");
    transaction_.set("Bridge", bridge, "mirrors", Datum::of(mirror));
    transaction_.set("Mirror", mirror, "source_patterns", Datum::map_of(Strings{{"iface-id:vm", "both"}}));
    transaction_.set("Mirror", mirror, "expires_at", Datum::of(kNow - 1000));
    const Uuid endpoint = transaction_.insert("Mirror_Endpoint");
    transaction_.set("Mirror", mirror, "endpoints", Datum::of(endpoint));
    transaction_.set("Mirror_Endpoint", endpoint, "remote_ip", Datum::of("192.0.2.2"));
    transaction_.set("Mirror_Endpoint", endpoint, "encap", Datum::of("erspan3"));
    EXPECT_FALSE(transaction_.commit());
  }

  /// What the switch would be. What the switch alone writes is left out, pointers are resolved.
  struct Seen {
    bridge::Desired desired;
    std::vector<std::string> rules;
    DatapathSettings::AtStart at_start;
    DatapathSettings::Ports ports;
    WorkSpec work;

    bool operator==(const Seen&) const = default;
  };
  Seen look() const {
    Seen seen;
    seen.desired = bridge::read_desired(database, kNow);
    for (bridge::DesiredBridge& bridge : seen.desired.bridges) {
      for (bridge::DesiredInterface& interface : bridge.interfaces) interface.is_port = false;  // ofport
      for (bridge::DesiredSession& session : bridge.sessions) {
        const auto rules = std::exchange(session.rules, nullptr);
        if (rules == nullptr) continue;
        for (const Match& match : rules->filter) seen.rules.push_back("filter " + match.text());
        for (const Match& match : rules->skip) seen.rules.push_back("skip " + match.text());
      }
    }
    for (const ovsdb::Row& root : database.table("Open_vSwitch")) {
      const DatapathSettings settings = read_datapath_settings(root, {0, 1});
      seen.at_start = settings.at_start;
      seen.ports = settings.ports;
      seen.work = settings.work;
    }
    return seen;
  }

  /// Gives the column another value than it has.
  void change(const ovsdb::TableSchema& table, const Uuid& row, const ovsdb::ColumnSchema& column) {
    ovsdb::Transaction transaction(database);
    transaction.set(table.name, row, column.name, other_value(transaction, table, column));
    const auto error = transaction.commit();
    ASSERT_FALSE(error) << table.name << '.' << column.name << ": " << error->what();
  }

  ovsdb::Database database{ovsdb::vswitch_schema()};

 private:
  Uuid add_port(const Uuid& bridge, const std::string& name, const std::string& type,
                const Strings& options) {
    const Uuid interface = transaction_.insert("Interface");
    transaction_.set("Interface", interface, "name", Datum::of(name));
    transaction_.set("Interface", interface, "type", Datum::of(type));
    transaction_.set("Interface", interface, "options", Datum::map_of(options));
    const Uuid port = transaction_.insert("Port");
    transaction_.set("Port", port, "name", Datum::of(name));
    transaction_.set("Port", port, "interfaces", Datum::of(interface));
    transaction_.add("Bridge", bridge, "ports", Datum::of(port));
    return port;
  }

  Datum other_value(ovsdb::Transaction& transaction, const ovsdb::TableSchema& table,
                    const ovsdb::ColumnSchema& column) {
    // Columns whose text or keys mean something.
    static const std::map<std::string, Datum> kMeaningful = {
        {"Open_vSwitch.other_config", Datum::map_of(Strings{{"worker-spin-us", "5"}})},
        {"Bridge.other_config", Datum::map_of(Strings{{"mac-aging-time", "60"}})},
        {"Port.other_config", Datum::map_of(Strings{{"priority-tags", "always"}})},
        {"Interface.type", Datum::of("patch")},
        {"Interface.options", Datum::map_of(Strings{{"remote_ip", "192.0.2.3"}})},
        {"Interface.mac", Datum::of("02:00:00:00:00:07")},
        {"Interface.external_ids", Datum::map_of(Strings{{"iface-id", "vm"}})},
        {"Mirror.filter", Datum::of("tcp")},
        {"Mirror.skip", Datum::of("udp")},
        {"Mirror.source_patterns", Datum::map_of(Strings{{"glob:p*", "from"}})},
        {"Mirror.mtu_policy", Datum::of("drop")},
        {"Mirror_Endpoint.remote_ip", Datum::of("192.0.2.4")},
        {"Mirror_Endpoint.local_ip", Datum::of("192.0.2.5")},
    };
    const auto meaningful = kMeaningful.find(table.name + '.' + column.name);
    if (meaningful != kMeaningful.end()) return meaningful->second;
    const Atom key = other_atom(transaction, column.type.key, column.type.is_optional());
    if (!column.type.is_map()) return Datum::scalar(key);
    return Datum::map({{key, other_atom(transaction, *column.type.value, false)}});
  }

  /// `optional`: nothing was said, which stands for true where a truth value is asked for.
  Atom other_atom(ovsdb::Transaction& transaction, const ovsdb::BaseType& type, bool optional) {
    if (!type.enumeration.empty()) return type.enumeration.keys().front();
    switch (type.type) {
      case AtomicType::boolean:
        return !optional;
      case AtomicType::integer:
        return std::clamp<std::int64_t>(7, std::max<std::int64_t>(type.min_integer, 0) + 1, type.max_integer);
      case AtomicType::real:
        return 7.5;
      case AtomicType::string:
        return std::string("other");
      case AtomicType::uuid:
        // A row that nothing but a weak reference holds would not stay.
        return type.strong && type.is_reference() ? make_row(transaction, type.ref_table) : other_port_;
    }
    return std::string();
  }

  Uuid make_row(ovsdb::Transaction& transaction, const std::string& table) {
    const Uuid row = transaction.insert(table);
    for (const ovsdb::ColumnSchema& column : ovsdb::vswitch_schema().at(table).columns) {
      if (column.name == "name") transaction.set(table, row, "name", Datum::of("new"));
      if (column.type.min > 0 && column.type.key.is_reference())
        transaction.set(table, row, column.name, Datum::of(make_row(transaction, column.type.key.ref_table)));
    }
    return row;
  }

  ovsdb::Transaction transaction_;
  Uuid other_port_;
};

/// Whether there is a row of the table with which the switch is another once the column is.
bool makes_a_difference(const ovsdb::TableSchema& table, const ovsdb::ColumnSchema& column) {
  const std::size_t rows = World().database.table(table.name).size();
  for (std::size_t i = 0; i < rows; ++i) {
    World world;
    // In an order that is the same each time: what a port is called.
    std::map<std::string, Uuid> by_name;
    for (const ovsdb::Row& row : world.database.table(table.name))
      by_name.emplace(table.find("name") != nullptr ? row.str("name") : "", row.uuid());
    const World::Seen before = world.look();
    world.change(table, std::next(by_name.begin(), static_cast<std::ptrdiff_t>(i))->second, column);
    if (world.look() != before) return true;
  }
  return false;
}

class ColumnTest : public testing::TestWithParam<const char*> {};

TEST_P(ColumnTest, ConcernsTheSwitchIfAndOnlyIfItIsRead) {
  const ovsdb::TableSchema& schema = ovsdb::vswitch_schema().at(GetParam());
  const auto table = std::find_if(tables().begin(), tables().end(),
                                  [](const TableInfo& one) { return one.name == GetParam(); });
  ASSERT_NE(table, tables().end());
  int checked = 0;
  for (std::size_t i = ovsdb::TableSchema::kDeclared; i < schema.columns.size(); ++i) {
    const ovsdb::ColumnSchema& column = schema.columns[i];
    if (!column.mutable_) continue;  // comes and goes with its row
    const bool concerns = table->effect_of(column.name) != Effect::none;
    EXPECT_EQ(makes_a_difference(schema, column), concerns)
        << schema.name << '.' << column.name << " is "
        << (concerns ? "listed in switchd/model, but read_desired() takes no notice of it"
                     : "read by read_desired(), but changes of it are not heard: list it in switchd/model");
    ++checked;
  }
  EXPECT_GT(checked, 10);
  for (const ColumnInfo& column : table->columns) EXPECT_NE(schema.find(column.name), nullptr) << column.name;
}

INSTANTIATE_TEST_SUITE_P(Tables, ColumnTest,
                         testing::Values("Open_vSwitch", "Bridge", "Port", "Interface", "Mirror",
                                         "Mirror_Endpoint"),
                         [](const auto& table) { return std::string(table.param); });

MirrorSettings settings_unlike_the_defaults() {
  MirrorSettings session;
  session.name = "span";
  session.description = "of the test";
  session.enabled = false;
  session.source_ports = {{"p1", "from"}};
  session.source_patterns = {{"glob:vnet*", "to"}};
  session.vlans = {11, 12};
  session.all = true;
  session.destination_ports = {"p2"};
  session.normal_io = true;
  session.output_vlan = 13;
  session.keep_vlan = true;
  session.strip_vlan = true;
  MirrorEndpoint endpoint;
  endpoint.encap = "erspan3";
  endpoint.ip = "192.0.2.1";
  endpoint.session_id = 14;
  session.endpoints = {endpoint};
  session.mtu_policy = "drop";
  session.superframes = "keep";
  session.snaplen = 116;
  session.sample = 17;
  session.filter = {"tcp"};
  session.skip = {"udp", "arp"};
  session.rate_packets = 18;
  session.rate_bits = 19;
  session.cpu_budget = 23;
  session.record_bytes = 24'000'000;
  session.record_seconds = 25;
  session.expires_at = 20;
  session.expires_packets = 21;
  session.expires_bytes = 22;
  session.expires_with_connection = true;
  return session;
}

Json every_group() {
  Json params;
  for (const ColumnInfo& column : mirror_columns()) params[std::string(column.group())] = nullptr;
  return params;
}

TEST(MirrorColumns, ANewRowReadsAsTheDefaultsOfTheStruct) {
  const ovsdb::Database database(ovsdb::vswitch_schema());
  const ovsdb::Row row(database.table("Mirror").schema(), Uuid{});
  EXPECT_EQ(read_mirror(database, row), MirrorSettings{});
}

TEST(MirrorColumns, WhatIsWrittenIsReadBack) {
  ovsdb::Database database(ovsdb::vswitch_schema());
  for (const MirrorSettings& written : {settings_unlike_the_defaults(), MirrorSettings{}}) {
    ovsdb::Transaction transaction(database);
    const Uuid bridge = transaction.insert("Bridge"), mirror = transaction.insert("Mirror");
    transaction.set("Bridge", bridge, "name", Datum::of("br0"));
    transaction.set("Bridge", bridge, "mirrors", Datum::of(mirror));
    transaction.set("Open_vSwitch", transaction.insert("Open_vSwitch"), "bridges", Datum::of(bridge));
    write_mirror(transaction, mirror, written, every_group());
    ASSERT_FALSE(transaction.commit());
    EXPECT_EQ(read_mirror(database, *database.find("Mirror", mirror)), written);
    ovsdb::Transaction end(database);
    for (const ovsdb::Row& root : database.table("Open_vSwitch")) end.erase("Open_vSwitch", root.uuid());
    ASSERT_FALSE(end.commit());
  }
}

TEST(MirrorColumns, MembersGoBothWays) {
  const MirrorSettings session = settings_unlike_the_defaults();
  MirrorSettings taken;
  take_members(mirror_columns(), members_of(mirror_columns(), session), taken);
  EXPECT_EQ(members_of(mirror_columns(), taken), members_of(mirror_columns(), session));
  EXPECT_NE(members_of(mirror_columns(), taken), members_of(mirror_columns(), MirrorSettings{}));
}

TEST(MirrorColumns, AnObjectIsTakenAsAWhole) {
  MirrorSettings session = settings_unlike_the_defaults();
  take_members(mirror_columns(), {{"rate", {{"bits", 5}}}, {"snaplen", nullptr}}, session);
  EXPECT_EQ(session.rate_bits, 5);
  EXPECT_EQ(session.rate_packets, std::nullopt);
  EXPECT_EQ(session.snaplen, std::nullopt);
  EXPECT_EQ(session.sample, 17) << "was not given";
}

}  // namespace
}  // namespace vswitch::model
