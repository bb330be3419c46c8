// SPDX-License-Identifier: Apache-2.0
// bridge.put, port.put, mirror.put and revisions: what converges, what is refused, and who notices a change.
#include "tests/unit/switchd/api/support.h"

namespace vswitch::api::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class PutApi : public ApiTest {
 protected:
  PutApi() { build(); }
  static Json item(const char* member, const Json& before, const Json& after) {
    return {{"member", member}, {"before", before}, {"after", after}};
  }
  std::string revision(const std::string& noun, const Json& params) {
    return good(noun + ".get", params)["revision"];
  }
  std::string port_revision() { return revision("port", {{"name", "t1"}}); }
  std::string mirror_revision() { return revision("mirror", {{"bridge", "br0"}, {"name", "s"}}); }
};

TEST_F(PutApi, APortIsCreatedThenConvergesThenStays) {
  const Json given = {{"bridge", "br0"}, {"name", "t9"}, {"tag", 7}, {"external_ids", {{"iface-id", "x"}}}};
  const Json first = good("port.put", given);
  EXPECT_EQ(first["created"], true);
  EXPECT_EQ(first["changed"], true);
  EXPECT_EQ(first["port"]["tag"], 7);
  good("port.set", {{"name", "t9"},
                    {"trunks", {1, 2}},
                    {"vlan_mode", "native-tagged"},
                    {"transient", true},
                    {"external_ids", {{"iface-id", "y"}, {"other", "z"}}}});
  const Json second = good("port.put", given);
  EXPECT_EQ(second["created"], false);
  EXPECT_EQ(second["changes"],
            Json::array({item("external_ids.iface-id", "y", "x"), item("external_ids.other", "z", nullptr),
                         item("transient", true, nullptr), item("trunks", {1, 2}, nullptr),
                         item("vlan_mode", "native-tagged", nullptr)}));
  EXPECT_EQ(second["port"]["trunks"], Json::array());
  EXPECT_EQ(row("Interface", "t9").map("external_ids"),
            (std::map<std::string, std::string>{{"iface-id", "x"}}));
  const std::string before = contents();
  const Json third = good("port.put", given);
  EXPECT_EQ(third["changed"], false);
  EXPECT_EQ(third["changes"], Json::array());
  EXPECT_EQ(contents(), before);
}

TEST_F(PutApi, APortKeepsItsTypeAndItsBridge) {
  EXPECT_THAT(refusal("port.put", {{"bridge", "br0"}, {"name", "t1"}, {"type", "internal"}}),
              StartsWith("refused type: port t1 is of type system, not internal"));
  EXPECT_THAT(refusal("port.put", {{"bridge", "br1"}, {"name", "t1"}}),
              StartsWith("conflict bridge: port t1 is on bridge br0: delete it there first"));
  EXPECT_THAT(
      refusal("port.put", {{"bridge", "br0"}, {"name", "t1"}, {"vlan_mode", "access"}, {"trunks", {1}}}),
      StartsWith("conflict trunks: "));
  EXPECT_EQ(good("port.put", {{"bridge", "br0"}, {"name", "br0"}, {"tag", 3}})["port"]["type"], "internal");
}

TEST_F(PutApi, WhatTheApiDoesNotHaveStays) {
  write("Port", row("Port", "t1").uuid(), "external_ids",
        Datum::map_of(std::map<std::string, std::string>{{"a", "b"}}));
  write("Port", row("Port", "t1").uuid(), "other_config",
        Datum::map_of(std::map<std::string, std::string>{{"foreign", "1"}, {"transient", "true"}}));
  good("port.put", {{"bridge", "br0"}, {"name", "t1"}, {"tag", 7}});
  EXPECT_EQ(row("Port", "t1").map("external_ids").at("a"), "b");
  EXPECT_EQ(row("Port", "t1").map("other_config"), (std::map<std::string, std::string>{{"foreign", "1"}}));
}

TEST_F(PutApi, ABridgeConvergesAndKeepsItsPorts) {
  good("bridge.set", {{"name", "br0"}, {"mac_aging_time", 60}, {"flood_vlans", {5}}});
  const Json put = good("bridge.put", {{"name", "br0"}, {"mac_table_size", 100}});
  EXPECT_EQ(put["changes"],
            Json::array({item("flood_vlans", Json::array({5}), nullptr), item("mac_aging_time", 60, nullptr),
                         item("mac_table_size", nullptr, 100)}));
  EXPECT_EQ(put["bridge"]["ports"], Json({"t1", "t2", "t3"}));
  EXPECT_EQ(row("Bridge", "br0").map("other_config"),
            (std::map<std::string, std::string>{{"mac-table-size", "100"}}));
  EXPECT_EQ(good("bridge.put", {{"name", "br7"}})["created"], true);
  EXPECT_THAT(refusal("bridge.put", {{"name", "t1"}}),
              StartsWith("conflict name: a port named t1 already exists"));
}

TEST_F(PutApi, ASessionConvergesAndKeepsItsRow) {
  const Json given = with(span("s", {"t1"}, {"t2"}), {{"snaplen", 128}});
  const Json first = good("mirror.put", given);
  EXPECT_EQ(first["created"], true);
  good("mirror.set", {{"bridge", "br0"},
                      {"name", "s"},
                      {"enabled", false},
                      {"rate", {{"bits", 1000}}},
                      {"snaplen", 64},
                      {"sources", {{"all", true}}},
                      {"normal_io", true}});
  const Json second = good("mirror.put", given);
  EXPECT_EQ(second["mirror"]["uuid"], first["mirror"]["uuid"]);
  EXPECT_EQ(second["mirror"]["origin"], first["mirror"]["origin"]);
  EXPECT_EQ(second["mirror"]["revision"], first["mirror"]["revision"]) << "the settings are those of before";
  EXPECT_EQ(second["changes"], Json::array({item("enabled", false, nullptr), item("normal_io", true, nullptr),
                                            item("rate.bits", 1000, nullptr), item("snaplen", 64, 128),
                                            item("sources.all", true, nullptr),
                                            item("sources.ports", nullptr, Json::array({"t1"}))}));
  EXPECT_EQ(good("mirror.put", given)["changed"], false);
}

TEST_F(PutApi, ASessionThatHasEndedIsRenewedByPut) {
  const Json given = with(span("s", {"t1"}, {"t2"}), {{"expires", {{"packets", 9}}}});
  const Json first = good("mirror.put", given);
  write("Mirror", *ovsdb::Uuid::parse(first["mirror"]["uuid"].get<std::string>()), "expires_at",
        Datum::of(1000));
  EXPECT_EQ(good("mirror.put", given)["changes"][0]["member"], "expires.at");
  EXPECT_EQ(good("mirror.get", {{"bridge", "br0"}, {"name", "s"}})["expires"]["at"], nullptr);
  const Json lease = with(given, {{"expires", {{"seconds", 60}}}});
  EXPECT_EQ(good("mirror.put", lease)["changed"], true);
}

TEST_F(PutApi, ASessionOfAnOvsdbClientIsLeftAloneIfItIsRightAlready) {
  const Uuid mirror = insert_mirror("br0", "s");
  write("Mirror", mirror, "select_src_port", Datum::of(row("Port", "t1").uuid()));
  write("Mirror", mirror, "output_port", Datum::of(row("Port", "t2").uuid()));
  const std::string before = contents();
  const Json given = span("s", {{{"name", "t1"}, {"direction", "from"}}}, {"t2"});
  EXPECT_EQ(good("mirror.put", given)["changed"], false);
  EXPECT_EQ(contents(), before);
}

TEST_F(PutApi, ADryRunChecksAndChangesNothing) {
  const std::string before = contents();
  const Json made = good("mirror.put", with(span("s", {"t1"}, {"t2"}), {{"dry_run", true}}));
  EXPECT_EQ(made["created"], true);
  EXPECT_FALSE(made.contains("mirror"));
  EXPECT_EQ(good("port.put", {{"bridge", "br0"}, {"name", "t1"}, {"tag", 7}, {"dry_run", true}})["changes"],
            Json::array({item("tag", nullptr, 7)}));
  EXPECT_EQ(good("bridge.put", {{"name", "br9"}, {"dry_run", true}})["changed"], true);
  EXPECT_EQ(contents(), before);
  EXPECT_THAT(refusal("mirror.put", with(span("s", {}, {"t2"}), {{"dry_run", true}})),
              HasSubstr("has no source"));
  EXPECT_THAT(refusal("mirror.put", with(span("s", {"t1"}, {"t2"}), {{"filter", "bad="}})),
              StartsWith("invalid filter"));
}

TEST_F(PutApi, RevisionsChangeWithSettingsWhoeverChangesThem) {
  good("mirror.add", with(span("s", {"t1"}, {}), {{"destination", {{"endpoints", {{{"ip", "10.0.0.1"}}}}}}}));
  const std::string port = port_revision(), mirror = mirror_revision(),
                    bridge = revision("bridge", {{"name", "br0"}});
  EXPECT_EQ(port.size(), 32u);
  // What the switch writes is no setting, and neither are other objects.
  set_status("Mirror", "s", {{"state", "active"}});
  write("Interface", row("Interface", "t1").uuid(), "ofport", Datum::of(7));
  write("Interface", row("Interface", "t1").uuid(), "error", Datum::of("x"));
  good("port.add", {{"bridge", "br0"}, {"name", "t7"}});
  EXPECT_EQ(port_revision(), port);
  EXPECT_EQ(mirror_revision(), mirror);
  EXPECT_EQ(revision("bridge", {{"name", "br0"}}), bridge);
  std::set<std::string> seen{port, mirror};
  const auto is_new = [&seen](const std::string& text) { return seen.insert(text).second; };
  write("Interface", row("Interface", "t1").uuid(), "ingress_policing_rate", Datum::of(9));
  EXPECT_TRUE(is_new(port_revision())) << "a column that only OVSDB clients set";
  good("port.set", {{"name", "t1"}, {"tag", 7}});
  EXPECT_TRUE(is_new(port_revision()));
  write("Mirror", row("Mirror", "s").uuid(), "snaplen", Datum::of(99));
  EXPECT_TRUE(is_new(mirror_revision()));
  write("Mirror_Endpoint", database.table("Mirror_Endpoint").begin()->uuid(), "ttl", Datum::of(3));
  EXPECT_TRUE(is_new(mirror_revision())) << "a row that belongs to the session";
  write("Bridge", row("Bridge", "br0").uuid(), "external_ids",
        Datum::map_of(std::map<std::string, std::string>{{"a", "b"}}));
  EXPECT_NE(revision("bridge", {{"name", "br0"}}), bridge);
}

TEST_F(PutApi, AnObjectThatIsMadeAgainHasAnotherRevision) {
  const std::string first = port_revision();
  good("port.del", {{"name", "t1"}});
  good("port.add", {{"bridge", "br0"}, {"name", "t1"}});
  EXPECT_NE(port_revision(), first);
}

TEST_F(PutApi, ChangesOnTopOfSomebodyElsesAreRefused) {
  good("mirror.add", span("s", {"t1"}, {"t2"}));
  const std::string mine = mirror_revision();
  write("Mirror", row("Mirror", "s").uuid(), "snaplen", Datum::of(99));
  const Json stale = {{"bridge", "br0"}, {"name", "s"}, {"if_revision", mine}};
  const Json error = refused("mirror.set", with(stale, {{"description", "x"}}));
  EXPECT_EQ(error["code"], kChanged);
  EXPECT_EQ(error["data"]["reason"], "changed");
  EXPECT_EQ(error["data"]["value"], mine);
  EXPECT_EQ(error["data"]["revision"], mirror_revision());
  EXPECT_THAT(refusal("mirror.put", with(span("s", {"t1"}, {"t2"}), {{"if_revision", mine}})),
              StartsWith("changed "));
  EXPECT_THAT(refusal("mirror.del", stale),
              StartsWith("changed if_revision: session s on bridge br0 has revision"));
  good("mirror.set", with(stale, {{"description", "x"}, {"if_revision", mirror_revision()}}));
  good("mirror.del", with(stale, {{"if_revision", mirror_revision()}}));
  EXPECT_EQ(
      refused("mirror.put", with(span("s", {"t1"}, {"t2"}), {{"if_revision", mine}}))["data"]["revision"],
      nullptr)
      << "it is gone";
  for (const char* noun : {"port", "bridge"}) {
    const Json params = {{"name", noun == std::string("port") ? "t1" : "br1"}, {"if_revision", mine}};
    for (const char* verb : {".set", ".del"})
      EXPECT_THAT(refusal(std::string(noun) + verb, params), StartsWith("changed if_revision: "))
          << noun << verb;
  }
}

}  // namespace
}  // namespace vswitch::api::test
