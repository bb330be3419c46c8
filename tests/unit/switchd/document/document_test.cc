// SPDX-License-Identifier: Apache-2.0
// system.export and system.apply: there and back from any state, all or nothing, and nothing lost in silence.
#include <random>

#include "tests/unit/switchd/api/support.h"

namespace vswitch::document {
namespace {

using api::test::Datum;
using api::test::Row;
using api::test::Uuid;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using Lines = std::vector<std::string>;

class Switch : public api::test::ApiTest {
 public:
  void TestBody() override {}

  Json document(const std::string& bridge = "") {
    return good("system.export", bridge.empty() ? Json::object() : Json{{"bridge", bridge}})["document"];
  }
  Lines left_out() {
    Lines lines;
    const Json exported = good("system.export");
    for (const Json& one : exported["left_out"])
      lines.push_back(one["path"].get<std::string>() + ": " + one["sentence"].get<std::string>());
    return lines;
  }
  /// "+ port br0/t1 tag null>7"
  static Lines lines_of(const Json& result) {
    Lines lines;
    for (const Json& one : result["differences"]) {
      const std::string operation = one["operation"];
      std::string line = operation == "add" ? "+" : operation == "change" ? "~" : "-";
      line += ' ' + one["kind"].get<std::string>();
      if (one["kind"] != "config")
        line += ' ' + one["bridge"].get<std::string>() + '/' + one["name"].get<std::string>();
      for (const Json& change : one["changes"])
        line += ' ' + change["member"].get<std::string>() + ' ' + change["before"].dump() + '>' +
                change["after"].dump();
      lines.push_back(line);
    }
    return lines;
  }
  Lines apply(const Json& text, const Json& more = Json::object()) {
    return lines_of(good("system.apply", with({{"document", text}}, more)));
  }
  std::string bad(const Json& bridges, const Json& more = Json::object()) {
    return refusal("system.apply", with({{"document", of(bridges)}}, more));
  }
  static Json of(const Json& bridges) { return {{"version", 1}, {"bridges", bridges}}; }
  static Json br0(const Json& members) { return of({{"br0", members}}); }
  static Json session(const std::string& source, const std::string& destination) {
    return {{"sources", {{"ports", {source}}}}, {"destination", {{"ports", {destination}}}}};
  }
  using ApiTest::build;
  using ApiTest::contents;
  using ApiTest::database;
  using ApiTest::good;
  using ApiTest::insert_mirror;
  using ApiTest::refused;
  using ApiTest::row;
  using ApiTest::send;
  using ApiTest::view;
  using ApiTest::with;
  using ApiTest::write;
};

class Document : public Switch {
 protected:
  Document() { build(); }
};

using Map = std::map<std::string, std::string>;

TEST_F(Document, HasWhatIsSetAndNoDefaults) {
  good("port.set", {{"name", "t1"}, {"tag", 7}, {"external_ids", {{"iface-id", "x"}}}});
  good("port.set", {{"name", "br0"}, {"tag", 8}});
  good("bridge.set", {{"name", "br0"}, {"mac_aging_time", 60}, {"mac_table_size", 8192}});
  good("system.set_config", {{"config", {{"worker-threads", "2"}}}});
  good("mirror.add", with(span("s", {"t1", {{"name", "t3"}, {"direction", "to"}}}, {"t2"}),
                          {{"snaplen", 99}, {"rate", {{"bits", 5000}}}}));
  const Json br0 = {{"settings", {{"mac_aging_time", 60}}},
                    {"ports",
                     {{"br0", {{"tag", 8}}},
                      {"t1", {{"tag", 7}, {"external_ids", {{"iface-id", "x"}}}}},
                      {"t2", Json::object()},
                      {"t3", Json::object()}}},
                    {"mirrors",
                     {{"s",
                       {{"sources", {{"ports", {"t1", {{"name", "t3"}, {"direction", "to"}}}}}},
                        {"destination", {{"ports", {"t2"}}}},
                        {"rate", {{"bits", 5000}}},
                        {"snaplen", 99}}}}}};
  const Json br1 = {
      {"settings", Json::object()}, {"ports", {{"u1", Json::object()}}}, {"mirrors", Json::object()}};
  EXPECT_EQ(document(), Json({{"version", 1},
                              {"config", {{"worker-threads", "2"}}},
                              {"bridges", {{"br0", br0}, {"br1", br1}}}}));
  EXPECT_EQ(document("br0"), Json({{"version", 1}, {"bridges", {{"br0", br0}}}}));
  EXPECT_THAT(refusal("system.export", {{"bridge", "br9"}}), StartsWith("not_found bridge: "));
  EXPECT_THAT(left_out(), IsEmpty());
}

TEST_F(Document, AnItemIsExactAndAListIsNot) {
  good("port.set", {{"name", "t1"}, {"tag", 7}, {"protected", true}});
  good("bridge.set", {{"name", "br0"}, {"mac_aging_time", 60}});
  EXPECT_THAT(
      apply(br0({{"ports", {{"t1", {{"tag", 9}}}, {"t8", {{"type", "internal"}}}}}})),
      ElementsAre("~ port br0/t1 protected true>null tag 7>9", "+ port br0/t8 type null>\"internal\""));
  EXPECT_EQ(good("port.get", {{"name", "t1"}})["protected"], false);
  EXPECT_EQ(document()["bridges"]["br0"]["ports"].size(), 4u) << "t2 and t3 are still there";
  EXPECT_EQ(document()["bridges"]["br0"]["settings"]["mac_aging_time"], 60) << "it says nothing of these";
  const std::string before = contents();
  EXPECT_THAT(apply(br0({{"ports", {{"t1", {{"tag", 9}}}}}})), IsEmpty());
  EXPECT_EQ(contents(), before);
  EXPECT_THAT(apply(br0({{"settings", {{"mac_table_size", 99}}}})),
              ElementsAre("~ bridge br0/br0 mac_aging_time 60>null mac_table_size null>99"));
}

TEST_F(Document, MakesAWholeSwitch) {
  const Json text = {{"version", 1},
                     {"config", {{"worker-threads", "3"}}},
                     {"bridges",
                      {{"br7",
                        {{"settings", {{"fail_mode", "secure"}}},
                         {"ports",
                          {{"br7", {{"tag", 5}}},
                           {"patch-with-a-long-name", {{"type", "patch"}, {"options", {{"peer", "p"}}}}}}},
                         {"mirrors", {{"m", session("a", "b")}}}}}}}};
  EXPECT_THAT(apply(text),
              ElementsAre("~ config worker-threads null>\"3\"", "+ bridge br7/br7 fail_mode null>\"secure\"",
                          "~ port br7/br7 tag null>5",
                          "+ port br7/patch-with-a-long-name options.peer null>\"p\" type null>\"patch\"",
                          "+ mirror br7/m destination.ports null>[\"b\"] sources.ports null>[\"a\"]"));
  EXPECT_EQ(row("Port", "br7").integer("tag"), 5);
  EXPECT_EQ(row("Interface", "br7").str("type"), "internal");
  EXPECT_EQ(row("Mirror", "m").map("origin").at("owner"), "tcp:192.0.2.7");
  EXPECT_THAT(apply(text), IsEmpty());
}

TEST_F(Document, PruneRemovesWhatListsDoNotHave) {
  good("mirror.add", span("s", {"t1"}, {"t2"}));
  good("system.set_config", {{"config", {{"worker-threads", "2"}}}});
  const Json bridges = {{"br0", {{"ports", {{"t1", Json::object()}}}}}};
  EXPECT_THAT(apply(of(bridges), {{"prune", true}, {"bridge", "br0"}, {"dry_run", true}}),
              ElementsAre("- port br0/t2", "- port br0/t3"));
  EXPECT_THAT(apply(of(bridges), {{"prune", true}}),
              ElementsAre("- bridge br1/br1", "- port br0/t2", "- port br0/t3", "- port br1/u1"));
  EXPECT_TRUE(has("Mirror", "s")) << "the document says nothing about sessions";
  EXPECT_EQ(document()["config"]["worker-threads"], "2");
  EXPECT_THAT(apply(with(of({{"br0", {{"mirrors", Json::object()}}}}), {{"config", {{"a", "b"}}}}),
                    {{"prune", true}}),
              ElementsAre("~ config a null>\"b\" worker-threads \"2\">null", "- mirror br0/s"));
  EXPECT_TRUE(has("Port", "t1"));
}

TEST_F(Document, APortMovesIfPruneLetsItGo) {
  const Json text =
      of({{"br0", {{"ports", {{"u1", Json::object()}}}}}, {"br1", {{"ports", Json::object()}}}});
  EXPECT_THAT(
      refusal("system.apply", {{"document", text}}),
      StartsWith("conflict document.bridges.br0.ports.u1: bridges.br0.ports.u1: port u1 is on bridge br1"));
  EXPECT_THAT(apply(text, {{"prune", true}}), ElementsAre("- port br0/t1", "- port br0/t2", "- port br0/t3",
                                                          "- port br1/u1", "+ port br0/u1"));
  EXPECT_EQ(good("port.get", {{"name", "u1"}})["bridge"], "br0");
  EXPECT_THAT(apply(text, {{"prune", true}}), IsEmpty());
}

TEST_F(Document, OneBridgeOfSeveral) {
  const Json text = with(of({{"br0", {{"settings", {{"mac_aging_time", 60}}}}},
                             {"br1", {{"settings", {{"mac_aging_time", 70}}}}}}),
                         {{"config", {{"a", "b"}}}});
  EXPECT_THAT(apply(text, {{"bridge", "br1"}}), ElementsAre("~ bridge br1/br1 mac_aging_time null>70"));
  EXPECT_THAT(refusal("system.apply", {{"document", text}, {"bridge", "br9"}}),
              StartsWith("not_found bridge: the document has no bridge br9"));
}

TEST_F(Document, BadDocumentsAreRefusedWithTheirPath) {
  const auto starts = [](const std::string& text) { return StartsWith(text); };
  EXPECT_THAT(bad({{"br0", {{"ports", {{"t1", {{"tag", 5000}}}}}}}}),
              starts("invalid document.bridges.br0.ports.t1.tag: document.bridges.br0.ports.t1.tag must be "
                     "an integer from 0 to 4095"));
  EXPECT_THAT(bad({{"br0", {{"ports", {{"t1", {{"vlan_mode", "access"}, {"trunks", {1}}}}}}}}}),
              starts("conflict document.bridges.br0.ports.t1.trunks: bridges.br0.ports.t1: an access port "
                     "cannot have trunks"));
  EXPECT_THAT(bad({{"br0", {{"ports", {{"t1", {{"type", "tap"}}}}}}}}),
              starts("refused document.bridges.br0.ports.t1.type: bridges.br0.ports.t1: port t1 is of type "
                     "system, not tap"));
  EXPECT_THAT(bad({{"br0", {{"ports", {{"a/b", Json::object()}}}}}}), HasSubstr("contains '/'"));
  EXPECT_THAT(bad({{"br7", {{"ports", {{"br7", {{"type", "tap"}}}}}}}}),
              HasSubstr("the own port of a bridge is of type internal"));
  EXPECT_THAT(bad({{"lo", Json::object()}}), starts("invalid document.bridges.lo: bridges.lo: "));
  EXPECT_THAT(bad({{"t1", Json::object()}}), HasSubstr("t1 is the name of another port"));
  EXPECT_THAT(bad({{"br7", Json::object()}, {"br0", {{"ports", {{"br7", Json::object()}}}}}}),
              StartsWith("conflict "));
  EXPECT_THAT(bad({{"br0", {{"mirrors", {{"m", session("t1", "u1")}}}}}}),
              starts("conflict document.bridges.br0.mirrors.m.destination.ports: bridges.br0.mirrors.m: port "
                     "u1 is on bridge br1, not on br0"));
  EXPECT_THAT(bad({{"br0", {{"mirrors", {{"m", {{"sources", {{"all", true}}}}}}}}}}),
              HasSubstr("session m has no destination"));
  EXPECT_THAT(bad({{"br0", {{"mirrors", {{"m", with(session("t1", "t2"), {{"filter", "tcp,bad=1"}})}}}}}}),
              starts("invalid document.bridges.br0.mirrors.m.filter: "));
  EXPECT_THAT(
      bad({{"br0", {{"mirrors", {{"m", with(session("t1", "t2"), {{"expires", {{"at", "soon"}}}})}}}}}}),
      HasSubstr("must be a time such as"));
  EXPECT_THAT(bad({{"br0", {{"mirrors", {{"", session("t1", "t2")}}}}}}),
              HasSubstr("name must be a string of 1 to 64"));
  EXPECT_THAT(
      bad({{"br0",
            {{"mirrors",
              {{"a", session("t1", "t2")}, {"b", with(session("t1", "t2"), {{"normal_io", true}})}}}}}}),
      HasSubstr("port t2 carries its own traffic for session b and only copies for a"));
  const Json tunnel = {{"type", "gre"}, {"options", {{"remote_ip", "10.0.0.1"}}}};
  EXPECT_THAT(bad({{"br0", {{"ports", {{"g1", tunnel}, {"g2", tunnel}}}}}}),
              HasSubstr("tunnel g1 has the same remote_ip"));
  EXPECT_THAT(refusal("system.apply", {{"document", {{"version", 2}, {"bridges", Json::object()}}}}),
              HasSubstr("version must be 1"));
  EXPECT_THAT(refusal("system.apply", {{"document", {{"version", 1}}}}),
              HasSubstr("document.bridges is missing"));
}

TEST_F(Document, ConflictsWithSessionsThatStay) {
  good("mirror.add", span("s", {"t1"}, {"t2"}));
  const Json other = {{"br0", {{"mirrors", {{"m", with(session("t3", "t2"), {{"normal_io", true}})}}}}}};
  EXPECT_THAT(bad(other), HasSubstr("port t2 carries its own traffic for session m"));
  EXPECT_THAT(bad({{"br0",
                    {{"mirrors",
                      {{"m",
                        {{"sources", {{"ports", {{{"name", "t2"}, {"direction", "from"}}}}}},
                         {"destination", {{"ports", {"t3"}}}}}}}}}}}),
              HasSubstr("would never see a frame"));
  EXPECT_THAT(apply(of(other), {{"prune", true}, {"bridge", "br0"}}),
              ElementsAre("- mirror br0/s", testing::StartsWith("+ mirror br0/m")));
}

TEST_F(Document, LimitsAreNamed) {
  Json mirrors = Json::object();
  for (int i = 0; i < 4097; ++i) mirrors["m" + std::to_string(i)] = session("t1", "t2");
  EXPECT_THAT(bad({{"br0", {{"mirrors", mirrors}}}}),
              HasSubstr("the bridge would have 4097 sessions; the limit is 4096 per bridge"));
  mirrors.erase("m0");
  EXPECT_EQ(apply(br0({{"mirrors", mirrors}}), {{"dry_run", true}}).size(), 4096u);
  Json ports = Json::object();
  for (int i = 0; i < 32768; ++i) ports["p" + std::to_string(i)] = Json::object();
  EXPECT_THAT(bad({{"br0", {{"ports", ports}}}}),
              HasSubstr("has 32769 bridges, ports and sessions; the limit is 32768: apply it in parts"));
}

TEST_F(Document, NamesWhatItCannotExpressAndPruneKeepsIt) {
  write("Bridge", row("Bridge", "br0").uuid(), "other_config",
        Datum::map_of(Map{{"hwaddr", "x"}, {"mac-aging-time", "60"}}));
  write("Interface", row("Interface", "t1").uuid(), "ingress_policing_rate", Datum::of(9));
  write("Open_vSwitch", database.table("Open_vSwitch").begin()->uuid(), "external_ids",
        Datum::map_of(Map{{"system-id", "x"}}));
  ovsdb::Transaction transaction(database);
  transaction.insert("QoS");
  const Uuid bond = transaction.insert("Port");
  transaction.set("Port", bond, "name", Datum::of("bond0"));
  std::vector<Uuid> members;
  for (const char* name : {"m1", "m2"}) {
    members.push_back(transaction.insert("Interface"));
    transaction.set("Interface", members.back(), "name", Datum::of(name));
  }
  transaction.set("Port", bond, "interfaces", Datum::set_of(members));
  transaction.add("Bridge", row("Bridge", "br0").uuid(), "ports", Datum::of(bond));
  EXPECT_FALSE(transaction.commit());
  insert_mirror("br0", "empty");
  insert_mirror("br0", "twice");
  insert_mirror("br0", "twice");
  good("mirror.add", with(span("mine", {"t1"}, {"t2"}), {{"expires", {{"connection", true}}}}));
  const std::string only = ": only OVSDB clients have it, and database.backup";
  EXPECT_THAT(
      left_out(),
      testing::UnorderedElementsAre(
          ": Open_vSwitch external_ids" + only, ": table QoS (1 row)" + only,
          "bridges.br0: Bridge other_config:hwaddr" + only,
          "bridges.br0.ports.t1: Interface ingress_policing_rate" + only,
          "bridges.br0.ports.bond0: left out: it is a bond, or has no interface",
          "bridges.br0.mirrors.empty: left out: session empty has no source: give ports, vlans or all",
          "bridges.br0.mirrors.mine: left out: it ends with the connection of a client",
          "bridges.br0.mirrors.twice: left out: there are several sessions with this name"));
  const Json text = document();
  const std::string before = contents();
  const Json result = good("system.apply", {{"document", text}, {"prune", true}});
  EXPECT_THAT(lines_of(result), IsEmpty());
  EXPECT_EQ(result["kept"].size(), 4u);
  EXPECT_EQ(contents(), before);
  EXPECT_THAT(bad({{"br0", {{"ports", {{"bond0", Json::object()}}}}}}),
              HasSubstr("cannot be changed by a document: it is a bond"));
  EXPECT_THAT(bad({{"br0", {{"mirrors", {{"mine", session("t1", "t2")}}}}}}),
              HasSubstr("it ends with the connection"));
  // One that contradicts itself can be put right.
  EXPECT_EQ(apply(br0({{"mirrors", {{"empty", session("t1", "t2")}}}})).size(), 1u);
}

TEST_F(Document, ASessionThatHasEndedComesBackAsOneThatHas) {
  good("mirror.add", with(span("s", {"t1"}, {"t2"}), {{"expires", {{"packets", 9}}}}));
  write("Mirror", row("Mirror", "s").uuid(), "expires_at", Datum::of(1'700'000'000'123));
  const Json text = document();
  EXPECT_EQ(text["bridges"]["br0"]["mirrors"]["s"]["expires"],
            Json({{"at", "2023-11-14T22:13:20.123Z"}, {"packets", 9}}));
  Switch other;
  other.apply(text);
  EXPECT_EQ(other.row("Mirror", "s").integer("expires_at"), 1'700'000'000'123);
  EXPECT_EQ(other.document(), text);
}

// Any state that the API can make.

class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}
  int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(engine_); }
  bool one_in(int limit) { return below(limit) == 0; }
  template <class T>
  T of(std::initializer_list<T> list) {
    return *(list.begin() + below(static_cast<int>(list.size())));
  }
  std::string port() { return "p" + std::to_string(below(8)); }
  std::string text() { return of<std::string>({"", "x", "\"quoted\" \\ \n line", "grün.100[]", "null"}); }
  Json vlans() {
    Json list = Json::array();
    for (int i = below(4); i > 0; --i) list.push_back(below(4096));
    return list;
  }

 private:
  std::mt19937 engine_;
};

Json random_port(Dice& dice) {
  Json port = {{"name", dice.port()}};
  if (dice.one_in(2)) port["tag"] = dice.below(4096);
  if (dice.one_in(3))
    port["vlan_mode"] =
        dice.of<Json>({"access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel"});
  if (dice.one_in(3)) port["trunks"] = dice.vlans();
  if (dice.one_in(4)) port["cvlans"] = dice.vlans();
  if (dice.one_in(4)) port["protected"] = dice.one_in(2);
  if (dice.one_in(4)) port["transient"] = dice.one_in(2);
  if (dice.one_in(4)) port["priority_tags"] = dice.of<Json>({"never", "if-nonzero", "always"});
  if (dice.one_in(4)) port["qinq_ethtype"] = dice.of<Json>({"802.1ad", "802.1q"});
  if (dice.one_in(4)) port["mtu_request"] = 68 + dice.below(9000);
  if (dice.one_in(4)) port["ofport_request"] = 1 + dice.below(1000);
  if (dice.one_in(3)) port["external_ids"] = {{"iface-id", dice.text()}, {"k" + dice.text(), "v"}};
  return port;
}

Json random_mirror(Dice& dice) {
  Json mirror = {{"name", "m" + std::to_string(dice.below(5)) + dice.of<std::string>({"", ".x", " y"})}};
  Json sources = Json::object(), destination = Json::object();
  for (int i = dice.below(3); i > 0; --i) {
    const Json direction = dice.of<Json>({"from", "to", "both"});
    sources["ports"].push_back(dice.of<Json>({Json(dice.port()),
                                              {{"name", dice.port()}, {"direction", direction}},
                                              {{"glob", "p*"}, {"direction", direction}},
                                              {{"iface_id", "x"}},
                                              {{"mac", "52:54:00:AA:00:01"}, {"direction", direction}}}));
  }
  if (dice.one_in(3)) sources["vlans"] = dice.vlans();
  if (dice.one_in(5)) sources["all"] = dice.one_in(2);
  if (dice.one_in(2)) destination["ports"] = {"d" + dice.port()};
  if (dice.one_in(3)) destination["vlan"] = 1 + dice.below(4095);
  if (dice.one_in(3)) destination["keep_vlan"] = dice.one_in(2);
  if (dice.one_in(3)) destination["strip_vlan"] = dice.of<Json>({true, false, nullptr});
  if (dice.one_in(3)) {
    Json endpoint = {
        {"ip", dice.of<std::string>({"10.0.0.1", "fd00::7"})},
        {"encap", dice.of<std::string>({"gre", "erspan1", "erspan2", "erspan3", "vxlan", "geneve"})}};
    if (dice.one_in(3)) endpoint["session_id"] = dice.below(1024);
    if (dice.one_in(3)) endpoint["key"] = dice.below(70000);
    if (dice.one_in(3)) endpoint["ttl"] = 1 + dice.below(255);
    if (dice.one_in(3)) endpoint["inherit_dscp"] = true;
    destination["endpoints"] = Json::array({endpoint});
  }
  if (dice.one_in(4)) destination = {{"record_bytes", 1'000'000 + dice.below(9'000'000)}};
  if (dice.one_in(6)) destination["record_seconds"] = 1 + dice.below(4000);
  mirror["sources"] = sources;
  mirror["destination"] = destination;
  if (dice.one_in(3)) mirror["normal_io"] = dice.one_in(2);
  if (dice.one_in(3)) mirror["description"] = dice.text();
  if (dice.one_in(3)) mirror["enabled"] = dice.one_in(2);
  if (dice.one_in(3)) mirror["snaplen"] = 14 + dice.below(2000);
  if (dice.one_in(3)) mirror["sample"] = 1 + dice.below(50);
  if (dice.one_in(4)) mirror["cpu_budget"] = 1 + dice.below(100);
  if (dice.one_in(4)) mirror["mtu_policy"] = dice.of<Json>({"cut", "fragment", "drop", nullptr});
  if (dice.one_in(4)) mirror["superframes"] = dice.of<Json>({"keep", "cut", nullptr});
  if (dice.one_in(3))
    mirror["filter"] = dice.of<Json>({"tcp", {"udp,tp_dst=53", "tcp,tp_dst=80"}, Json::array()});
  if (dice.one_in(4)) mirror["skip"] = {"icmp"};
  if (dice.one_in(3))
    mirror["rate"] = dice.of<Json>({{{"bits", 9000}}, {{"packets", 7}}, {{"packets", 7}, {"bits", 9}}});
  if (dice.one_in(3))
    mirror["expires"] =
        dice.of<Json>({{{"seconds", 60}}, {{"packets", 5}}, {{"at", "2199-01-01T00:00:00Z"}, {"bytes", 6}}});
  return mirror;
}

/// Most are made; what the API refuses changes nothing.
void make_random(Switch& lab, unsigned seed) {
  Dice dice(seed);
  const auto try_it = [&lab](const std::string& method, const Json& params) { lab.send(method, params); };
  for (const char* bridge : {"br0", "br1"}) {
    Json params = {{"name", bridge}};
    if (dice.one_in(2)) params["fail_mode"] = dice.of<Json>({"standalone", "secure", nullptr});
    if (dice.one_in(2)) params["mac_aging_time"] = 15 + dice.below(400);
    if (dice.one_in(2)) params["flood_vlans"] = dice.vlans();
    if (dice.one_in(2)) params["forward_bpdu"] = dice.one_in(2);
    try_it("bridge.add", params);
    if (dice.one_in(2)) try_it("port.set", {{"name", bridge}, {"tag", dice.below(4096)}});
  }
  for (int i = 0; i < 12; ++i) {
    Json params = random_port(dice);
    params["bridge"] = dice.of<Json>({"br0", "br1"});
    const bool is_new = dice.one_in(2);
    if (is_new && dice.one_in(3)) {
      params["type"] = dice.of<Json>({"internal", "tap", "patch", "gre", "erspan", "vxlan", "geneve"});
      if (params["type"] == "patch") params["options"] = {{"peer", dice.port()}};
      if (params["type"] == "gre" || params["type"] == "vxlan" || params["type"] == "geneve" ||
          params["type"] == "erspan")
        params["options"] = {{"remote_ip", "10.0.0." + std::to_string(dice.below(3))},
                             {"key", std::to_string(dice.below(3))}};
    }
    if (!is_new) params.erase("bridge");
    try_it(is_new ? "port.add" : "port.set", params);
  }
  for (int i = 0; i < 12; ++i) {
    Json params = random_mirror(dice);
    params["bridge"] = dice.of<Json>({"br0", "br1"});
    try_it(dice.one_in(2) ? "mirror.add" : "mirror.put", params);
    if (dice.one_in(3)) try_it("mirror.disable", {{"bridge", "br0"}, {"name", params["name"]}});
  }
  if (dice.one_in(2))
    try_it("system.set_config", {{"config", {{"worker-threads", dice.text()}, {"x", "y"}}}});
}

TEST(DocumentProperty, ThereAndBackFromAnyStateOfTheApi) {
  std::size_t sessions = 0, ports = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    Switch first;
    make_random(first, seed);
    const Json exported = first.good("system.export");
    ASSERT_EQ(exported["left_out"], Json::array()) << "seed " << seed;
    const Json& text = exported["document"];
    for (const Json& bridge : text["bridges"]) {
      sessions += bridge["mirrors"].size();
      ports += bridge["ports"].size();
    }
    const std::string before = first.contents();
    ASSERT_THAT(first.apply(text, {{"prune", true}}), IsEmpty()) << "seed " << seed;
    ASSERT_EQ(first.contents(), before) << "seed " << seed;

    Switch second;
    second.apply(text);
    ASSERT_EQ(second.document(), text) << "seed " << seed;
    for (const char* list : {"mirror.list", "port.list"}) {
      Json one = first.good(list), other = second.good(list);
      for (Json* both : {&one, &other}) {
        for (Json& item : both->front()) {
          for (const char* unlike : {"uuid", "revision", "origin", "since"}) item.erase(unlike);
        }
      }
      ASSERT_EQ(one, other) << "seed " << seed;
    }

    Switch third;  // from any state to any other
    make_random(third, seed + 1000);
    const Json wanted = text;
    const Json answer = *third.send("system.apply", {{"document", wanted}, {"prune", true}});
    if (answer.contains("error")) {  // only a type may be in the way
      ASSERT_EQ(answer["error"]["data"]["reason"], "refused") << answer.dump();
      continue;
    }
    Json reached = third.document();
    ASSERT_EQ(reached["bridges"], text["bridges"]) << "seed " << seed;
  }
  EXPECT_GT(sessions, 150u);
  EXPECT_GT(ports, 150u);
}

}  // namespace
}  // namespace vswitch::document
