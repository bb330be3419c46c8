// SPDX-License-Identifier: Apache-2.0
// mirror.* against rows: durable names, refusals that change nothing, and sessions of other clients.
#include <fcntl.h>

#include "tests/unit/switchd/api/support.h"

namespace vswitch::api::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class MirrorApi : public ApiTest {
 protected:
  MirrorApi() { build(); }
  const Row& mirror() { return *database.table("Mirror").begin(); }
  static Json one(const std::string& name, const std::string& direction) {
    return {{"name", name}, {"direction", direction}};
  }
};

TEST_F(MirrorApi, AddWritesNamesThatOutliveTheirPorts) {
  const Json reply = good("mirror.add", with(span("span0", {"t1", one("t3", "from")}, {"t2"}),
                                             {{"normal_io", true}, {"description", "x"}}));
  EXPECT_EQ(mirror().map("source_ports"),
            (std::map<std::string, std::string>{{"t1", "both"}, {"t3", "from"}}));
  EXPECT_EQ(mirror().strings("destination_ports"), std::vector<std::string>{"t2"});
  EXPECT_TRUE(mirror()["select_src_port"].empty());
  EXPECT_TRUE(mirror()["output_port"].empty());
  EXPECT_EQ(mirror().boolean("normal_io"), true);
  EXPECT_EQ(mirror().boolean("select_all"), false);
  EXPECT_TRUE(mirror()["enabled"].empty()) << "empty is true, as for Open vSwitch";
  EXPECT_EQ(reply["sources"]["ports"], Json::array({one("t1", "both"), one("t3", "from")}));
  EXPECT_EQ(reply["destination"]["ports"], Json({"t2"}));
  good("port.del", {{"name", "t1"}});
  EXPECT_EQ(good("mirror.get", {{"bridge", "br0"}, {"name", "span0"}})["sources"], reply["sources"]);
}

TEST_F(MirrorApi, PortsThatDoNotExistYetAreAcceptedAndTheReplySaysSo) {
  view.immediate = false;
  const auto answer = send("mirror.add", span("span0", {"t8"}, {"t9"}));
  write("Mirror", mirror().uuid(), "status",
        Datum::map_of(std::map<std::string, std::string>{
            {"state", "waiting"}, {"reason", "no port t9"}, {"since", "2026-01-05T08:00:00Z"}}));
  view.apply();
  EXPECT_EQ((*answer)["result"]["state"], "waiting");
  EXPECT_EQ((*answer)["result"]["reason"], "no port t9");
  EXPECT_EQ((*answer)["result"]["since"], "2026-01-05T08:00:00Z");
}

TEST_F(MirrorApi, OnePortNamedInBothDirectionsIsBoth) {
  const Json reply = good("mirror.add", span("span0", {one("t1", "from"), one("t1", "to")}, {"t2", "t2"}));
  EXPECT_EQ(reply["sources"]["ports"], Json::array({one("t1", "both")}));
  EXPECT_EQ(reply["destination"]["ports"], Json({"t2"}));
}

TEST_F(MirrorApi, AllPortsAndVlans) {
  good("mirror.add", with(span("a", {}, {"t2"}), {{"sources", {{"all", true}}}}));
  EXPECT_EQ(mirror().boolean("select_all"), true);
  EXPECT_EQ(good("mirror.get", {{"bridge", "br0"}, {"name", "a"}})["sources"],
            Json({{"ports", Json::array()}, {"vlans", Json::array()}, {"all", true}}));
  good("mirror.del", {{"bridge", "br0"}, {"name", "a"}});

  good("mirror.add", with(span("v", {}, {"t2"}), {{"sources", {{"vlans", {900, 7, 7}}}}}));
  EXPECT_EQ(mirror().boolean("select_all"), true) << "VLANs alone select nothing in Open vSwitch's rows";
  EXPECT_EQ(mirror().integers("select_vlan"), (std::vector<std::int64_t>{7, 900}));
  EXPECT_EQ(good("mirror.get", {{"bridge", "br0"}, {"name", "v"}})["sources"],
            Json({{"ports", Json::array()}, {"vlans", {7, 900}}, {"all", false}}));
}

TEST_F(MirrorApi, VlansOfPorts) {
  good("mirror.add", with(span("v", {"t1"}, {"t2"}), {{"sources", {{"ports", {"t1"}}, {"vlans", {7}}}}}));
  EXPECT_EQ(mirror().boolean("select_all"), false);
  EXPECT_EQ(good("mirror.get", {{"bridge", "br0"}, {"name", "v"}})["sources"]["vlans"], Json({7}));
}

TEST_F(MirrorApi, SetReplacesWhatIsGivenAndKeepsTheRest) {
  good("mirror.add", with(span("span0", {"t1"}, {"t2"}), {{"description", "x"}}));
  Json session =
      good("mirror.set", {{"bridge", "br0"}, {"name", "span0"}, {"sources", {{"ports", {one("t3", "to")}}}}});
  EXPECT_EQ(session["sources"]["ports"], Json::array({one("t3", "to")}));
  EXPECT_EQ(session["destination"]["ports"], Json({"t2"}));
  EXPECT_EQ(session["description"], "x");
  EXPECT_EQ(session["normal_io"], false);
  session = good("mirror.set", {{"bridge", "br0"},
                                {"name", "span0"},
                                {"destination", {{"ports", {"t1", "t2"}}}},
                                {"normal_io", true}});
  EXPECT_EQ(session["destination"]["ports"], Json({"t1", "t2"}));
  EXPECT_EQ(session["sources"]["ports"], Json::array({one("t3", "to")}));
}

TEST_F(MirrorApi, SetKeepsPortsWhenVlansAreGivenAndTheReverse) {
  const auto set = [this](const Json& sources) {
    return good("mirror.set", {{"bridge", "br0"}, {"name", "s"}, {"sources", sources}})["sources"];
  };
  const Json t1 = Json::array({one("t1", "from")});
  const Json none = Json::array();
  good("mirror.add", span("s", {one("t1", "from")}, {"t2"}));
  EXPECT_EQ(set({{"vlans", {7}}}), Json({{"ports", t1}, {"vlans", {7}}, {"all", false}}));
  EXPECT_EQ(set(Json::object()), Json({{"ports", t1}, {"vlans", {7}}, {"all", false}}));
  EXPECT_EQ(set({{"ports", {one("t3", "to")}}})["vlans"], Json({7}));
  EXPECT_EQ(set({{"vlans", none}}),
            Json({{"ports", Json::array({one("t3", "to")})}, {"vlans", none}, {"all", false}}));
  EXPECT_EQ(set({{"all", true}}), Json({{"ports", none}, {"vlans", none}, {"all", true}}));
  EXPECT_EQ(set({{"ports", t1}})["all"], false);
  EXPECT_EQ(set({{"ports", none}, {"vlans", {9}}})["vlans"], Json({9}));
  EXPECT_THAT(refusal("mirror.set", {{"bridge", "br0"}, {"name", "s"}, {"sources", {{"vlans", none}}}}),
              StartsWith("invalid sources: session s has no source"));
}

TEST_F(MirrorApi, SetKeepsWhatIsNotNamedOfADestination) {
  const auto set = [this](const Json& destination) {
    Json now = good("mirror.set", {{"bridge", "br0"}, {"name", "r"}, {"destination", destination}});
    return now["destination"];
  };
  const auto is = [](const Json& ports, const Json& vlan, bool keep, bool strip) {
    return Json{{"ports", ports},
                {"vlan", vlan},
                {"keep_vlan", keep},
                {"strip_vlan", strip},
                {"endpoints", Json::array()},
                {"capture", false},
                {"record_bytes", nullptr},
                {"record_seconds", nullptr}};
  };
  const Json none = Json::array();
  good("mirror.add", {{"bridge", "br0"},
                      {"name", "r"},
                      {"sources", {{"ports", {"t1"}}}},
                      {"destination", {{"vlan", 900}, {"ports", {"t2"}}, {"keep_vlan", true}}}});
  EXPECT_EQ(set({{"vlan", 901}}), is({"t2"}, 901, true, false)) << "it does not leave on every port now";
  EXPECT_EQ(set({{"ports", {"t3"}}}), is({"t3"}, 901, true, false)) << "nor without the VLAN";
  EXPECT_EQ(set({{"keep_vlan", false}}), is({"t3"}, 901, false, false));
  EXPECT_EQ(set({{"strip_vlan", true}}), is({"t3"}, 901, false, true));
  EXPECT_EQ(set({{"ports", none}}), is(none, 901, false, true));
  EXPECT_EQ(set({{"ports", {"t2"}}, {"strip_vlan", nullptr}}), is({"t2"}, 901, false, false));
  EXPECT_EQ(set({{"keep_vlan", true}})["keep_vlan"], true);
  EXPECT_EQ(set({{"ports", {"t3"}}, {"vlan", nullptr}}), is({"t3"}, nullptr, false, false));
  EXPECT_EQ(set({{"vlan", 902}}), is(none, 902, false, false)) << "a session to a port moves into the VLAN";
  const Json moved = set({{"endpoints", {{{"ip", "10.0.0.1"}}}}});
  EXPECT_EQ(moved["vlan"], nullptr);
  EXPECT_EQ(moved["endpoints"][0]["encap"], "gre");
  EXPECT_EQ(set({{"ports", {"t2"}}}), is({"t2"}, nullptr, false, false));
}

TEST_F(MirrorApi, SetKeepsWhetherTheTagIsRemoved) {
  Json rdst = {{"bridge", "br0"},
               {"name", "rdst"},
               {"sources", {{"vlans", {900}}}},
               {"destination", {{"ports", {"t2"}}}}};
  EXPECT_EQ(good("mirror.add", rdst)["destination"]["strip_vlan"], true);
  const auto strips = [this](const Json& destination) {
    return good(
        "mirror.set",
        {{"bridge", "br0"}, {"name", "rdst"}, {"destination", destination}})["destination"]["strip_vlan"];
  };
  EXPECT_EQ(strips({{"ports", {"t3"}}}), true);
  EXPECT_EQ(strips({{"strip_vlan", false}}), false);
  EXPECT_EQ(strips({{"ports", {"t2"}}}), false) << "it was asked for";
  EXPECT_EQ(strips({{"strip_vlan", nullptr}}), true);
  EXPECT_EQ(strips({{"endpoints", {{{"ip", "10.0.0.1"}}}}}), false) << "nobody asked for it";
}

TEST_F(MirrorApi, SetKeepsWhatIsNotNamedOfAnEndpoint) {
  const auto set = [this](const Json& endpoints) {
    return good("mirror.set", {{"bridge", "br0"},
                               {"name", "er0"},
                               {"destination", {{"endpoints", endpoints}}}})["destination"]["endpoints"];
  };
  Json er0 = span("er0", {"t1"}, {});
  er0["destination"] = Json::parse(R"({"endpoints": [
      {"ip": "10.0.0.1", "encap": "erspan2", "session_id": 5, "ttl": 10, "index": 3, "dscp": 7},
      {"ip": "2001:db8::1", "encap": "erspan2", "session_id": 6, "cos": 2}]})");
  good("mirror.add", er0);
  const auto member = [](const Json& endpoints, const char* ip, const char* key) {
    for (const Json& endpoint : endpoints) {
      if (endpoint["ip"] == ip) return endpoint[key];
    }
    return Json("no such endpoint");
  };
  // Every endpoint of the session.
  Json now = set(Json::parse(R"([{"encap": "erspan3", "hwid": 4}])"));
  ASSERT_EQ(now.size(), 2u);
  EXPECT_EQ(member(now, "10.0.0.1", "encap"), "erspan3");
  EXPECT_EQ(member(now, "10.0.0.1", "session_id"), 5);
  EXPECT_EQ(member(now, "10.0.0.1", "ttl"), 10);
  EXPECT_EQ(member(now, "10.0.0.1", "hwid"), 4);
  EXPECT_EQ(member(now, "2001:db8::1", "session_id"), 6);
  EXPECT_EQ(member(now, "2001:db8::1", "hwid"), 4);
  // One of them, in another notation, beside a new one.
  now = set(Json::parse(R"([{"ip": "2001:DB8:0::1", "ttl": 20, "cos": null}, {"ip": "10.0.0.2"}])"));
  ASSERT_EQ(now.size(), 2u);
  EXPECT_EQ(member(now, "2001:DB8:0::1", "encap"), "erspan3");
  EXPECT_EQ(member(now, "2001:DB8:0::1", "session_id"), 6);
  EXPECT_EQ(member(now, "2001:DB8:0::1", "ttl"), 20);
  EXPECT_EQ(member(now, "2001:DB8:0::1", "cos"), nullptr) << "null clears";
  EXPECT_EQ(member(now, "10.0.0.2", "encap"), "gre");
  EXPECT_EQ(member(now, "10.0.0.2", "ttl"), nullptr);
  // Another encapsulation: what it has no field for goes, the rest stays.
  now = set(Json::parse(R"([{"ip": "2001:db8::1", "encap": "vxlan", "key": 9}])"));
  EXPECT_EQ(member(now, "2001:db8::1", "session_id"), nullptr);
  EXPECT_EQ(member(now, "2001:db8::1", "hwid"), nullptr);
  EXPECT_EQ(member(now, "2001:db8::1", "ttl"), 20);
  EXPECT_EQ(member(now, "2001:db8::1", "key"), 9);
  // Two with one address: it is not clear which is meant, so both are given in full.
  now = set(Json::parse(R"([{"ip": "10.0.0.3", "key": 1, "ttl": 9}, {"ip": "10.0.0.3", "key": 2}])"));
  EXPECT_EQ(member(set(Json::parse(R"([{"ip": "10.0.0.3", "key": 1}])")), "10.0.0.3", "ttl"), nullptr);
}

TEST_F(MirrorApi, AChangedEndpointKeepsItsRowAndSoItsAccount) {
  Json er0 = span("er0", {"t1"}, {});
  er0["destination"] =
      Json::parse(R"({"endpoints": [{"ip": "10.0.0.1", "encap": "erspan2"}, {"ip": "10.0.0.2"}]})");
  good("mirror.add", er0);
  const auto rows = [this] {
    std::map<std::string, Uuid> by_address;
    for (const Uuid& uuid : mirror().uuids("endpoints"))
      by_address.emplace(database.find("Mirror_Endpoint", uuid)->str("remote_ip"), uuid);
    return by_address;
  };
  const auto before = rows();
  const auto set = [this](const char* endpoints) {
    good("mirror.set",
         {{"bridge", "br0"}, {"name", "er0"}, {"destination", {{"endpoints", Json::parse(endpoints)}}}});
  };
  set(R"([{"encap": "erspan3", "ttl": 7}])");
  EXPECT_EQ(rows(), before);
  set(R"([{"ip": "10.0.0.2", "ttl": null}, {"ip": "10.0.0.3"}])");
  EXPECT_EQ(rows().at("10.0.0.2"), before.at("10.0.0.2"));
  EXPECT_NE(rows().at("10.0.0.3"), before.at("10.0.0.1")) << "another address is another destination";
}

TEST_F(MirrorApi, CountersOfSomeSessionsAreReset) {
  good("mirror.add", span("a", {"t1"}, {"t2"}));
  EXPECT_EQ(good("mirror.reset", {{"bridge", "br0"}, {"name", "a"}}), Json({{"reset", 1}}));
  EXPECT_EQ(view.reset, std::vector<Uuid>{mirror().uuid()});
  EXPECT_EQ(good("mirror.reset", Json::object())["reset"], 1);
  EXPECT_THAT(refusal("mirror.reset", {{"bridge", "br0"}, {"name", "b"}}), HasSubstr("no session b"));
  EXPECT_THAT(refusal("mirror.reset", {{"name", "a"}}), HasSubstr("bridge is missing"));
}

TEST_F(MirrorApi, AnEndpointWithoutAddressIsOneOfTheSession) {
  good("mirror.add", span("s", {"t1"}, {"t2"}));
  const Json without = {{"endpoints", {{{"encap", "erspan3"}}}}};
  EXPECT_THAT(refusal("mirror.set", {{"bridge", "br0"}, {"name", "s"}, {"destination", without}}),
              StartsWith("invalid destination.endpoints: session s has no endpoint to change: give the ip"));
  EXPECT_THAT(refusal("mirror.add", with(span("b", {"t1"}, {}), {{"destination", without}})),
              StartsWith("invalid destination.endpoints[0].ip: destination.endpoints[0].ip is missing"));
  EXPECT_THAT(
      refusal(
          "mirror.add",
          with(span("b", {"t1"}, {}),
               {{"destination", {{"endpoints", {{{"ip", "10.0.0.1"}, {"encap", "gre"}, {"ttl", 256}}}}}}})),
      StartsWith(
          "invalid destination.endpoints[0].ttl: destination.endpoints[0].ttl must be an integer from 1"));
  EXPECT_THAT(
      refusal("mirror.add", with(span("b", {"t1"}, {}),
                                 {{"destination", {{"endpoints", {{{"ip", "10.0.0.1"}, {"tll", 6}}}}}}})),
      StartsWith("invalid destination.endpoints[0].tll: unknown parameter"));
}

TEST_F(MirrorApi, FiltersAreOneMatchOrSeveral) {
  const Json names = {{"bridge", "br0"}, {"name", "s"}};
  Json session = good("mirror.add", with(span("s", {"t1"}, {"t2"}), {{"filter", "tcp,tp_dst=80"}}));
  EXPECT_EQ(session["filter"], Json({"tcp,tp_dst=80"}));
  EXPECT_EQ(session["skip"], nullptr);
  EXPECT_EQ(mirror().strings("filter"), std::vector<std::string>{"tcp,tp_dst=80"});
  session = good("mirror.set", with(names, {{"filter", {"udp", "arp", "udp"}}, {"skip", {"icmp"}}}));
  EXPECT_EQ(session["filter"], Json({"arp", "udp"}));
  EXPECT_EQ(session["skip"], Json({"icmp"}));
  session = good("mirror.set", with(names, {{"description", "x"}}));
  EXPECT_EQ(session["filter"], Json({"arp", "udp"})) << "not given, not changed";
  session = good("mirror.set", with(names, {{"filter", nullptr}, {"skip", Json::array()}}));
  EXPECT_EQ(session["filter"], nullptr);
  EXPECT_EQ(session["skip"], nullptr);
  EXPECT_TRUE(mirror()["filter"].empty());
}

TEST_F(MirrorApi, ABadMatchIsNamedWithItsField) {
  good("mirror.add", with(span("s", {"t1"}, {"t2"}), {{"filter", "tcp"}}));
  const Json change = {{"bridge", "br0"}, {"name", "s"}, {"skip", {"udp", "in_port=1"}}};
  const Json error = refused("mirror.set", change);
  EXPECT_EQ(error["code"], -32602);
  EXPECT_EQ(error["data"]["field"], "skip");
  EXPECT_EQ(error["data"]["value"], "in_port=1");
  EXPECT_THAT(error["message"], HasSubstr("add the port to the sources"));
}

TEST_F(MirrorApi, EnableAndDisableKeepTheSettings) {
  const Json added = good("mirror.add", with(span("span0", {"t1"}, {"t2"}), {{"enabled", false}}));
  EXPECT_EQ(added["state"], "disabled");
  EXPECT_EQ(added["reason"], "") << "the state says it";
  EXPECT_EQ(added["enabled"], false);
  EXPECT_EQ(good("mirror.enable", {{"bridge", "br0"}, {"name", "span0"}})["enabled"], true);
  EXPECT_TRUE(mirror()["enabled"].empty());
  const Json off = good("mirror.disable", {{"bridge", "br0"}, {"name", "span0"}});
  EXPECT_EQ(off["enabled"], false);
  EXPECT_EQ(off["sources"], added["sources"]);
}

TEST_F(MirrorApi, MayExistAcceptsTheSameSessionOnly) {
  good("mirror.add", span("span0", {"t1"}, {"t2"}));
  good("mirror.add", with(span("span0", {one("t1", "both")}, {"t2"}), {{"may_exist", true}}));
  EXPECT_THAT(refusal("mirror.add", span("span0", {"t1"}, {"t2"})), StartsWith("exists name: "));
  EXPECT_THAT(refusal("mirror.add", with(span("span0", {"t3"}, {"t2"}), {{"may_exist", true}})),
              HasSubstr("with different settings"));
}

TEST_F(MirrorApi, DelIsQuietOnRequestOnly) {
  good("mirror.add", span("span0", {"t1"}, {"t2"}));
  const Json names = {{"bridge", "br0"}, {"name", "span0"}};
  EXPECT_EQ(good("mirror.del", names)["removed"], true);
  EXPECT_EQ(database.table("Mirror").size(), 0u);
  EXPECT_THAT(refusal("mirror.del", names), StartsWith("not_found name: bridge br0 has no session span0"));
  EXPECT_EQ(good("mirror.del", with(names, {{"if_exists", true}}))["removed"], false);
  EXPECT_EQ(good("mirror.del", {{"bridge", "br9"}, {"name", "span0"}, {"if_exists", true}})["removed"],
            false);
}

TEST_F(MirrorApi, RefusalsOfIncompleteSessions) {
  const std::vector<Json> none;
  EXPECT_THAT(refusal("mirror.add", span("s", none, {"t2"})),
              StartsWith("invalid sources: session s has no source"));
  EXPECT_THAT(refusal("mirror.add", span("s", {"t1"}, none)),
              StartsWith("invalid destination: session s has no destination"));
  EXPECT_THAT(refusal("mirror.add", with(span("s", {"t1"}, {"t2"}), {{"bridge", "br9"}})),
              StartsWith("not_found bridge: "));
  EXPECT_THAT(refusal("mirror.add", with(span("s", {"t1"}, {"t2"}), {{"filter", "tp_dst=80"}})),
              StartsWith("invalid filter: filter: 'tp_dst=80': it needs a protocol with ports"));
  EXPECT_THAT(refusal("mirror.add", with(span("s", {"t1"}, {"t2"}), {{"snaplen", 13}})),
              StartsWith("invalid snaplen: "));
  EXPECT_THAT(refusal("mirror.add", with(span("s", {"t1"}, {"t2"}), {{"sample", 0}})),
              StartsWith("invalid sample: "));
  Json kept = span("s", {"t1"}, {"t2"});
  kept["destination"]["keep_vlan"] = true;
  EXPECT_THAT(refusal("mirror.add", kept), StartsWith("invalid destination.keep_vlan: "));
  EXPECT_THAT(refusal("mirror.add", span("s", {one("t1", "rx")}, {"t2"})),
              StartsWith("invalid sources.ports[0].direction: "));
}

TEST_F(MirrorApi, RecordsIntoMemory) {
  const auto box = [](const std::string& name, const Json& destination) {
    return Json{
        {"bridge", "br0"}, {"name", name}, {"sources", {{"ports", {"t1"}}}}, {"destination", destination}};
  };
  const auto set = [this](const Json& destination) {
    Json now = good("mirror.set", {{"bridge", "br0"}, {"name", "box"}, {"destination", destination}});
    return std::pair(now["destination"]["record_bytes"], now["destination"]["record_seconds"]);
  };
  Json made = good("mirror.add", box("box", {{"record_bytes", 4'000'000}}));
  EXPECT_EQ(made["destination"]["record_bytes"], 4'000'000);
  EXPECT_EQ(made["recording"], nullptr) << "the switch has no recorder yet";
  EXPECT_EQ(set({{"record_seconds", 60}}), std::pair(Json(4'000'000), Json(60))) << "the size stays";
  EXPECT_EQ(set({{"record_bytes", 5'000'000}, {"record_seconds", nullptr}}),
            std::pair(Json(5'000'000), Json()));
  EXPECT_EQ(set({{"ports", {"t2"}}}), std::pair(Json(), Json())) << "it moves";
  EXPECT_EQ(set({{"record_seconds", 60}}), std::pair(Json(), Json(60))) << "and back";
  EXPECT_EQ(good("mirror.get", {{"bridge", "br0"}, {"name", "box"}})["destination"]["ports"], Json::array());
  EXPECT_THAT(
      refusal("mirror.add", box("b", {{"record_bytes", 4'000'000}, {"ports", {"t2"}}})),
      StartsWith("invalid destination.record_bytes: a session that records has no other destination"));
  EXPECT_THAT(refusal("mirror.add", box("b", {{"record_bytes", 999'999}})),
              HasSubstr("from 1000000 to 500000000"));
  EXPECT_THAT(
      refusal("mirror.add", box("b", {{"record_bytes", 436'000'001}})),
      StartsWith("conflict destination.record_bytes: session b would record into 436000001 bytes, and "
                 "other sessions do into 64000000; the limit of all is 500000000"));
  good("mirror.add", box("b", {{"record_bytes", 436'000'000}}));
  EXPECT_THAT(refusal("mirror.set",
                      {{"bridge", "br0"}, {"name", "box"}, {"destination", {{"record_bytes", 65'000'000}}}}),
              HasSubstr("the limit of all is 500000000"));
}

TEST_F(MirrorApi, DumpsWhatIsRecorded) {
  good("mirror.add", span("span0", {"t1"}, {"t2"}));
  const Json names = {{"bridge", "br0"}, {"name", "box"}};
  good("mirror.add", {{"bridge", "br0"},
                      {"name", "box"},
                      {"sources", {{"ports", {"t1"}}}},
                      {"destination", {{"record_bytes", 4'000'000}}}});
  view.recordings[row("Mirror", "box").uuid()] = {.frames = 7,
                                                  .bytes = 700,
                                                  .evicted = 3,
                                                  .capacity = 3'997'696,
                                                  .age = 0,
                                                  .oldest = 1'767'600'000'125'000'000,
                                                  .newest = 1'767'600'007'000'000'000};
  const Json recording = {{"frames", 7},
                          {"bytes", 700},
                          {"evicted", 3},
                          {"capacity", 3'997'696},
                          {"oldest", "2026-01-05T08:00:00.125Z"},
                          {"newest", "2026-01-05T08:00:07Z"}};
  EXPECT_EQ(good("mirror.get", names)["recording"], recording);
  EXPECT_THAT(refusal("mirror.dump_record", names), StartsWith("conflict name: session box: no socket"));
  EXPECT_THAT(refusal("mirror.dump_record", {{"bridge", "br0"}, {"name", "span0"}}),
              StartsWith("conflict name: session span0 does not record"));
  EXPECT_THAT(refusal("mirror.dump_record", {{"bridge", "br0"}, {"name", "no"}}),
              StartsWith("not_found name: "));
  client->pass(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  const Json dumped = good("mirror.dump_record", with(names, {{"clear", true}}));
  EXPECT_EQ(dumped["recording"], recording);
  EXPECT_EQ(view.dumped, std::pair(row("Mirror", "box").uuid(), true));
}

TEST_F(MirrorApi, RefusesPortsOfOtherBridges) {
  EXPECT_THAT(refusal("mirror.add", span("s", {"u1"}, {"t2"})),
              StartsWith("conflict sources.ports: port u1 is on bridge br1, not on br0"));
  EXPECT_THAT(refusal("mirror.add", span("s", {"t1"}, {"u1"})), StartsWith("conflict destination.ports: "));
}

TEST_F(MirrorApi, RefusesASourceThatCarriesOnlyItsOwnCopies) {
  EXPECT_THAT(refusal("mirror.add", span("s", {"t1", "t2"}, {"t2"})),
              StartsWith("conflict destination.ports: port t2 is a source"));
  good("mirror.add", with(span("s", {"t1", "t2"}, {"t2"}), {{"normal_io", true}}));
  EXPECT_THAT(refusal("mirror.set", {{"bridge", "br0"}, {"name", "s"}, {"normal_io", false}}),
              StartsWith("conflict destination.ports: "));
}

TEST_F(MirrorApi, RefusesASourceThatAnotherSessionSilences) {
  good("mirror.add", span("a", {"t1"}, {"t2"}));
  EXPECT_THAT(refusal("mirror.add", span("b", {one("t2", "from")}, {"t3"})),
              HasSubstr("would never see a frame"));
  good("mirror.add", span("b", {one("t2", "to")}, {"t3"}));  // how one watches a mirror
  // The other way round: a session that would silence the source of another.
  good("mirror.del", {{"bridge", "br0"}, {"name", "a"}});
  good("mirror.set", {{"bridge", "br0"}, {"name", "b"}, {"sources", {{"ports", {one("t2", "from")}}}}});
  EXPECT_THAT(refusal("mirror.add", span("a", {"t1"}, {"t2"})), StartsWith("conflict destination.ports: "));
  good("mirror.add", with(span("a", {"t1"}, {"t2"}), {{"normal_io", true}}));
}

TEST_F(MirrorApi, SharedDestinationsAgreeOnNormalTraffic) {
  good("mirror.add", with(span("a", {"t1"}, {"t2"}), {{"normal_io", true}}));
  EXPECT_THAT(refusal("mirror.add", span("b", {"t3"}, {"t2"})), HasSubstr("set normal_io to the same value"));
  good("mirror.add", with(span("b", {"t3"}, {"t2"}), {{"normal_io", true}}));
  EXPECT_THAT(refusal("mirror.set", {{"bridge", "br0"}, {"name", "a"}, {"normal_io", false}}),
              HasSubstr("set normal_io to the same value"));
}

TEST_F(MirrorApi, DisabledSessionsAreInNobodysWayUntilEnabled) {
  good("mirror.add", span("a", {"t1"}, {"t2"}));
  good("mirror.add", with(span("b", {one("t2", "from")}, {"t3"}), {{"enabled", false}}));
  EXPECT_THAT(refusal("mirror.enable", {{"bridge", "br0"}, {"name", "b"}}),
              StartsWith("conflict sources.ports: "));
  good("mirror.disable", {{"bridge", "br0"}, {"name", "a"}});
  good("mirror.enable", {{"bridge", "br0"}, {"name", "b"}});
}

TEST_F(MirrorApi, ARefusedChangeLeavesTheSessionAsItWas) {
  const Json before = good("mirror.add", span("s", {"t1"}, {"t2"}));
  refused("mirror.set",
          {{"bridge", "br0"}, {"name", "s"}, {"description", "new"}, {"sources", {{"ports", {"t2"}}}}});
  refused(
      "mirror.set",
      {{"bridge", "br0"}, {"name", "s"}, {"description", "new"}, {"sources", {{"ports", Json::array()}}}});
  refused("mirror.set", {{"bridge", "br0"},
                         {"name", "s"},
                         {"description", "new"},
                         {"destination", {{"ports", Json::array()}}}});
  EXPECT_EQ(good("mirror.get", {{"bridge", "br0"}, {"name", "s"}}), before);
}

TEST_F(MirrorApi, ShowsSessionsOfOtherClientsByName) {
  const Uuid uuid = insert_mirror("br0", "m0");
  write("Mirror", uuid, "select_src_port",
        Datum::set_of(std::vector<Uuid>{row("Port", "t1").uuid(), row("Port", "t3").uuid()}));
  write("Mirror", uuid, "select_dst_port", Datum::of(row("Port", "t1").uuid()));
  write("Mirror", uuid, "output_port", Datum::of(row("Port", "t2").uuid()));
  write("Mirror", uuid, "snaplen", Datum::of(96));
  Json session = good("mirror.list", {{"bridge", "br0"}})["mirrors"][0];
  EXPECT_EQ(session["sources"]["ports"], Json::array({one("t1", "both"), one("t3", "from")}));
  EXPECT_EQ(session["destination"]["ports"], Json({"t2"}));
  EXPECT_EQ(session["snaplen"], 96);
  // Changed by the API, it names its ports.
  session = good("mirror.set", {{"bridge", "br0"}, {"name", "m0"}, {"sources", {{"ports", {"t3"}}}}});
  EXPECT_EQ(session["sources"]["ports"], Json::array({one("t3", "both")}));
  EXPECT_TRUE(mirror()["select_src_port"].empty());
  EXPECT_FALSE(mirror()["output_port"].empty()) << "not given, not touched";
}

TEST_F(MirrorApi, SessionsOfOtherClientsMayBreakTheRulesAndStillBeSwitchedOff) {
  insert_mirror("br0", "m0");  // neither source nor destination
  EXPECT_EQ(good("mirror.disable", {{"bridge", "br0"}, {"name", "m0"}})["enabled"], false);
  good("mirror.set", {{"bridge", "br0"}, {"name", "m0"}, {"description", "x"}});
  EXPECT_THAT(refusal("mirror.enable", {{"bridge", "br0"}, {"name", "m0"}}), StartsWith("invalid sources: "));
  insert_mirror("br0", "m0");
  EXPECT_THAT(refusal("mirror.set", {{"bridge", "br0"}, {"name", "m0"}, {"description", "y"}}),
              HasSubstr("several sessions named m0"));
  EXPECT_EQ(good("mirror.list")["mirrors"].size(), 2u);
}

TEST_F(MirrorApi, CountersAreThoseOfTheMomentOrOfTheRow) {
  good("mirror.add", span("s", {"t1"}, {"t2"}));
  const Json names = {{"bridge", "br0"}, {"name", "s"}};
  write("Mirror", mirror().uuid(), "statistics",
        Datum::map_of(std::map<std::string, std::int64_t>{{"matched", 5}, {"delivered", 5}}));
  EXPECT_EQ(good("mirror.get", names)["counters"]["matched"], 5);
  view.of_mirror[mirror().uuid()] = {{"matched", 100},  {"delivered", 80},       {"delivered_bytes", 8000},
                                     {"lost", 11},      {"lost_queue_full", 11}, {"lost_too_big", 0},
                                     {"duplicate", 6},  {"queued", 3},           {"tx_packets", 50},
                                     {"tx_bytes", 5000}};
  const Json counters = good("mirror.stats", names)["mirrors"][0]["counters"];
  EXPECT_EQ(counters["matched"], 100);
  EXPECT_EQ(counters["lost_by"], Json({{"queue_full", 11}}));
  EXPECT_EQ(counters["duplicate"], 6);
  EXPECT_EQ(counters["queued"], 3);
  EXPECT_EQ(counters["tx_bytes"], 5000);
  EXPECT_EQ(good("mirror.stats")["mirrors"].size(), 1u);
  EXPECT_EQ(good("mirror.stats", {{"bridge", "br1"}})["mirrors"].size(), 0u);
  EXPECT_THAT(refusal("mirror.stats", {{"name", "s"}}), StartsWith("invalid bridge: "));
  EXPECT_THAT(refusal("mirror.stats", {{"bridge", "br0"}, {"name", "t"}}), StartsWith("not_found name: "));
}

TEST_F(MirrorApi, WhoWatchesAPort) {
  good("mirror.add", span("named", {one("t1", "from")}, {"t2"}));
  good("mirror.add", with(span("every", {}, {"t3"}), {{"sources", {{"all", true}}}}));
  good("mirror.add", with(span("vlans", {}, {"t3"}), {{"sources", {{"vlans", {9}}}}, {"enabled", false}}));
  const auto who = [this](const char* port) {
    std::string text;
    const Json result = good("mirror.who", {{"port", port}});
    for (const Json& entry : result["sessions"]) {
      text += entry["name"].get<std::string>() + ' ' + entry["role"].get<std::string>() + ' ' +
              entry["direction"].dump() + ' ' + entry["via"].get<std::string>() +
              (entry["enabled"] == true ? "" : " off") + "; ";
    }
    return text;
  };
  EXPECT_EQ(who("t1"),
            "every source \"both\" all; named source \"from\" port; vlans source \"both\" vlan off; ");
  EXPECT_EQ(who("t2"),
            "every source \"both\" all; named destination null port; vlans source \"both\" vlan off; ");
  EXPECT_EQ(who("u1"), "");
  good("mirror.set", {{"bridge", "br0"}, {"name", "named"}, {"destination", {{"ports", {"later"}}}}});
  EXPECT_EQ(who("later"), "named destination null port; ") << "a session waits for it";
  EXPECT_EQ(refusal("mirror.who", {{"port", "nowhere"}}),
            "not_found port: there is no port nowhere, and no session waits for it");
}

TEST_F(MirrorApi, WhatElseIsInTheOutputVlan) {
  good(
      "mirror.add",
      {{"bridge", "br0"}, {"name", "r"}, {"sources", {{"ports", {"t1"}}}}, {"destination", {{"vlan", 900}}}});
  const auto get = [this] { return good("mirror.get", {{"bridge", "br0"}, {"name", "r"}}); };
  EXPECT_EQ(get()["notice"], "");
  EXPECT_EQ(get()["counters"]["foreign_frames"], 0);
  const auto uuid = *Uuid::parse(get()["uuid"].get<std::string>());
  view.of_mirror[uuid] = {{"matched", 0}, {"foreign_frames", 17}};
  view.notice_of_mirror[uuid] = "VLAN 900 carries others";
  EXPECT_EQ(get()["notice"], "VLAN 900 carries others");
  const Json stats = good("mirror.stats", {{"bridge", "br0"}, {"name", "r"}})["mirrors"][0];
  EXPECT_EQ(stats["notice"], get()["notice"]);
  EXPECT_EQ(stats["counters"]["foreign_frames"], 17);
  good("mirror.set",
       {{"bridge", "br0"}, {"name", "r"}, {"destination", {{"ports", {"t2"}}, {"vlan", nullptr}}}});
}

TEST_F(MirrorApi, Explain) {
  bridge::Explanation explanation;
  explanation.trace = {"arrives on t1"};
  explanation.outputs = {{"t2", {0x01, 0xab}}};
  explanation.copies = {{"s", "t3", {0xff}}};
  explanation.mirrors = {{"s", true, "arrived on t1"}};
  explanation.fast_path = {.is_carried = true, .user_copies = {"s"}};
  view.explanation = explanation;
  const std::string frame = "FFffffffffff5254000a0b0c0800";
  const Json result = good("mirror.explain", {{"bridge", "br0"}, {"in_port", "t1"}, {"frame", frame}});
  EXPECT_EQ(view.explained.port, "t1");
  EXPECT_EQ(view.explained.frame, (std::vector<std::uint8_t>{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54,
                                                             0, 0x0a, 0x0b, 0x0c, 8, 0}));
  EXPECT_EQ(result["outputs"][0]["frame"], "01ab");
  EXPECT_EQ(result["fast_path"], (Json{{"carried", true}, {"user_copies", {"s"}}}));
  EXPECT_EQ(result["copies"][0]["session"], "s");
  const auto explain = [this](const Json& more) {
    return refusal("mirror.explain",
                   with({{"bridge", "br0"}, {"in_port", "t1"}, {"frame", std::string(28, '0')}}, more));
  };
  EXPECT_THAT(explain({{"in_port", "u1"}}), StartsWith("not_found in_port: bridge br0 has no port u1"));
  EXPECT_THAT(explain({{"frame", std::string(27, '0') + "g"}}), StartsWith("invalid frame: "));
  EXPECT_THAT(explain({{"frame", std::string(29, '0')}}), StartsWith("invalid frame: "));
  EXPECT_THAT(explain({{"frame", "00"}}), StartsWith("invalid frame: "));
  view.explanation.reset();
  EXPECT_THAT(explain(Json::object()), StartsWith("unavailable : port t1 is not receiving"));
  EXPECT_THAT(refusal("mirror.explain", {{"bridge", "br0"}, {"in_port", "t1"}}),
              StartsWith("invalid frame: frame is missing"));
  EXPECT_THAT(refusal("mirror.explain", {{"bridge", "br0"}, {"frame", std::string(28, '0')}}),
              StartsWith("invalid in_port: in_port is missing"));
}

TEST_F(MirrorApi, ExplainNamesWhatIsLeftOut) {
  bridge::Explanation explanation;
  explanation.mirrors = {{"s", true, "selected: from t1", {"then sampled: 1 in 10"}},
                         {"off", false, "disabled"}};
  view.explanation = explanation;
  const Json result =
      good("mirror.explain", {{"bridge", "br0"}, {"in_port", "t1"}, {"frame", std::string(28, '0')}});
  EXPECT_EQ(result["mirrors"][0]["then"], Json({"then sampled: 1 in 10"}));
  EXPECT_EQ(result["mirrors"][1]["then"], Json::array());
}

TEST_F(MirrorApi, ExplainNext) {
  const Json on_br0 = {{"bridge", "br0"}};
  const auto first =
      send("mirror.explain", with(on_br0, {{"in_port", "t1"}, {"next", {{"match", "tcp"}, {"wait", 0.5}}}}));
  const auto second = send("mirror.explain", with(on_br0, {{"next", Json::object()}}));
  EXPECT_EQ(*first, Json()) << "not yet";
  ASSERT_EQ(view.waiters.size(), 2U);
  const auto& one = view.waiters.at(1);
  EXPECT_EQ(one.bridge + ' ' + one.port + ' ' + one.match, "br0 t1 tcp");
  EXPECT_EQ(one.patience, std::chrono::milliseconds(500));
  EXPECT_EQ(view.waiters.at(2).port + view.waiters.at(2).match, "");
  EXPECT_EQ(view.waiters.at(2).patience, std::chrono::seconds(10));

  bridge::Explanation explanation;
  explanation.trace = {"arrives on t2"};
  view.answer(2, bridge::NextFrame{"t2", {0x01, 0xab}, explanation});
  const Json result = (*second)["result"];
  EXPECT_FALSE(openrpc::control().check_result("mirror.explain", result));
  EXPECT_EQ(result["in_port"], "t2");
  EXPECT_EQ(result["frame"], "01ab");
  EXPECT_EQ(result["trace"], Json({"arrives on t2"}));
  EXPECT_EQ(*first, Json());
  view.answer(1, std::nullopt);
  EXPECT_EQ((*first)["error"]["data"]["reason"], "unavailable");
  EXPECT_EQ((*first)["error"]["message"],
            "no frame that fits the match arrived on port t1 within 0.5 seconds");
}

TEST_F(MirrorApi, ExplainNextOfAPortThatGoes) {
  const auto asked = send("mirror.explain", {{"bridge", "br0"}, {"next", Json::object()}});
  view.answer(1, bridge::NextFrame{"t2", {0x01, 0xab}, std::nullopt});
  EXPECT_EQ((*asked)["error"]["message"], "a frame arrived, but port t2 is no longer receiving");
}

TEST_F(MirrorApi, WhoGoesWaitsForNoFrame) {
  for (int i = 0; i < 3; ++i) send("mirror.explain", {{"bridge", "br0"}, {"next", Json::object()}});
  view.answer(2, std::nullopt);
  EXPECT_EQ(view.waiters.size(), 2U);
  client->hang_up();
  EXPECT_TRUE(view.waiters.empty());
}

TEST_F(MirrorApi, ExplainNextRefuses) {
  const auto next = [this](const Json& more, const Json& how) {
    return refusal("mirror.explain", with({{"bridge", "br0"}, {"next", how}}, more));
  };
  EXPECT_THAT(next(Json::object(), {{"match", "tpc"}}), StartsWith("invalid next.match: next.match: "));
  EXPECT_THAT(next(Json::object(), {{"wait", 0}}), StartsWith("invalid next.wait: "));
  EXPECT_THAT(next(Json::object(), {{"until", 5}}), StartsWith("invalid next"));
  EXPECT_THAT(next({{"in_port", "u1"}}, Json::object()), StartsWith("not_found in_port: "));
  EXPECT_THAT(next({{"bridge", "nowhere"}}, Json::object()), StartsWith("not_found bridge: "));
  EXPECT_THAT(next({{"frame", std::string(28, '0')}}, Json::object()),
              StartsWith("invalid frame: frame and next"));
  view.may_wait = false;
  EXPECT_THAT(next(Json::object(), Json::object()), StartsWith("unavailable : too many pending"));
  EXPECT_TRUE(view.waiters.empty());
}

}  // namespace
}  // namespace vswitch::api::test
