// SPDX-License-Identifier: Apache-2.0
// mirror.import and mirror.export: what goes in comes out, field by field; what vSphere refuses; all or
// nothing.
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "tests/unit/switchd/api/support.h"

namespace vswitch::api::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class VsphereApi : public ApiTest {
 protected:
  VsphereApi() { build(); }

  static Json port_mirror(const std::string& key, const std::string& source, const std::string& destination) {
    return {{"key", key},
            {"name", "session " + key},
            {"enabled", true},
            {"sessionType", "dvPortMirror"},
            {"sourcePortReceived", {{"portKey", {source}}}},
            {"sourcePortTransmitted", {{"portKey", {source}}}},
            {"destinationPort", {{"portKey", {destination}}}},
            {"stripOriginalVlan", false},
            {"normalTrafficAllowed", true}};
  }
  Json imported(const std::vector<Json>& sessions, const Json& more = Json::object()) {
    return good("mirror.import", with({{"bridge", "br0"}, {"sessions", sessions}}, more));
  }
  Json import_refused(const std::vector<Json>& sessions, const Json& more = Json::object()) {
    return refused("mirror.import", with({{"bridge", "br0"}, {"sessions", sessions}}, more));
  }
  std::string import_refusal(const Json& session, const Json& more = Json::object()) {
    return refusal("mirror.import", with({{"bridge", "br0"}, {"sessions", {session}}}, more));
  }
  Json exported() { return good("mirror.export", {{"bridge", "br0"}})["sessions"]; }
  Json exported(const std::string& name) {
    return good("mirror.export", {{"bridge", "br0"}, {"name", name}})["sessions"][0];
  }
  Json session(const std::string& name) { return good("mirror.get", {{"bridge", "br0"}, {"name", name}}); }
  Json changed(const std::string& operation, const Json& vspan, const Json& more = Json::object()) {
    const Json spec = {{{"operation", operation}, {"vspanSession", vspan}}};
    return good("mirror.import", with({{"bridge", "br0"}, {"vspanConfigSpec", spec}}, more));
  }
  void set_external_ids(const std::string& interface, std::map<std::string, std::string> ids) {
    write("Interface", row("Interface", interface).uuid(), "external_ids", Datum::map_of(ids));
  }
};

TEST_F(VsphereApi, FromIsReceivedAndToIsTransmitted) {
  Json vspan = port_mirror("1", "t1", "t2");
  vspan["sourcePortTransmitted"] = {{"portKey", {"t3"}}};
  const Json result = imported({vspan});
  EXPECT_EQ(result["sessions"], Json::parse(R"([{"operation": "add", "key": "1", "name": "session 1",
                                                 "state": "waiting", "reason": "not set up yet"}])"));
  EXPECT_THAT(result["warnings"], IsEmpty());
  EXPECT_EQ(session("session 1")["sources"]["ports"], Json::parse(R"([{"name": "t1", "direction": "from"},
                                                                      {"name": "t3", "direction": "to"}])"));
  EXPECT_EQ(session("session 1")["normal_io"], true);
  EXPECT_EQ(exported("session 1"), vspan);
  EXPECT_FALSE(session("session 1")["origin"].is_null());
}

TEST_F(VsphereApi, PortsGoByKeyThenByExternalIdThenByName) {
  set_external_ids("t1", {{"iface-id", "50"}});
  set_external_ids("t2", {{"iface-id", "51"}, {"vsphere-port-key", "61"}});
  const Json vspan = port_mirror("1", "50", "61");
  imported({vspan});
  EXPECT_EQ(session("session 1")["sources"]["ports"][0]["name"], "t1");
  EXPECT_EQ(session("session 1")["destination"]["ports"], Json({"t2"}));
  EXPECT_EQ(exported("session 1"), vspan);
  imported({vspan}, {{"ports", {{"50", "t3"}}}});
  EXPECT_EQ(session("session 1")["sources"]["ports"][0]["name"], "t3");
  EXPECT_EQ(exported("session 1"), vspan);
  good("mirror.add", with(span("ours", {"t1"}, {"t2"}), {{"normal_io", true}}));
  EXPECT_EQ(exported("ours")["sourcePortReceived"]["portKey"], Json({"50"}));
  EXPECT_EQ(exported("ours")["destinationPort"]["portKey"], Json({"61"}));
}

TEST_F(VsphereApi, APortThatIsNotThereIsAWarning) {
  const Json result = imported({port_mirror("1", "t1", "77")});
  ASSERT_EQ(result["warnings"].size(), 1u);
  EXPECT_THAT(result["warnings"][0]["sentence"], HasSubstr("has no port 77"));
}

TEST_F(VsphereApi, RemoteSourceSendsToAnUplinkInAVlan) {
  Json vspan = port_mirror("7", "t1", "");
  vspan.update({{"sessionType", "remoteMirrorSource"},
                {"destinationPort", {{"uplinkPortName", {"uplink1"}}}},
                {"encapsulationVlanId", 900},
                {"mirroredPacketLength", 60},
                {"samplingRate", 3}});
  imported({vspan}, {{"uplinks", {{"uplink1", "t3"}}}});
  const Json ours = session("session 7");
  EXPECT_EQ(ours["destination"]["ports"], Json({"t3"}));
  EXPECT_EQ(ours["destination"]["vlan"], 900);
  EXPECT_EQ(ours["destination"]["keep_vlan"], true) << "the original VLAN is not stripped: two tags";
  EXPECT_EQ(ours["snaplen"], 60);
  EXPECT_EQ(ours["sample"], 3);
  EXPECT_EQ(exported("session 7"), vspan);
  vspan["stripOriginalVlan"] = true;
  vspan["normalTrafficAllowed"] = false;
  const Json result = imported({vspan}, {{"uplinks", {{"uplink1", "t3"}}}});
  EXPECT_EQ(result["sessions"][0]["operation"], "edit");
  EXPECT_EQ(result["warnings"][0]["field"], "sessions[0].normalTrafficAllowed");
  EXPECT_EQ(session("session 7")["destination"]["keep_vlan"], false);
  EXPECT_EQ(exported("session 7"), vspan);
}

TEST_F(VsphereApi, RemoteDestinationTakesVlans) {
  Json vspan = port_mirror("8", "", "t2");
  vspan.erase("sourcePortTransmitted");
  vspan.update({{"sessionType", "remoteMirrorDest"},
                {"sourcePortReceived", {{"vlans", {900, 901}}}},
                {"stripOriginalVlan", true}});
  imported({vspan});
  EXPECT_EQ(session("session 8")["sources"]["vlans"], Json({900, 901}));
  EXPECT_EQ(session("session 8")["destination"]["strip_vlan"], true);
  EXPECT_EQ(exported("session 8"), vspan);
}

TEST_F(VsphereApi, EncapsulatedSendsToAddresses) {
  Json vspan = port_mirror("9", "t1", "");
  vspan.update({{"sessionType", "encapsulatedRemoteMirrorSource"},
                {"destinationPort", {{"ipAddress", {"10.0.0.1", "2001:db8::1"}}}},
                {"encapType", "erspan3"},
                {"erspanId", 77},
                {"erspanCOS", 5},
                {"erspanGraNanosec", true},
                {"netstack", "mirror"}});
  const Json result = imported({vspan});
  ASSERT_EQ(result["warnings"].size(), 1u);
  EXPECT_THAT(result["warnings"][0]["sentence"], StartsWith("netstack: kept, without effect"));
  const Json endpoints = session("session 9")["destination"]["endpoints"];
  ASSERT_EQ(endpoints.size(), 2u);
  const Json wanted =
      Json::parse(R"({"encap": "erspan3", "session_id": 77, "cos": 5, "timestamp": "100ns"})");
  for (const auto& [key, value] : wanted.items()) EXPECT_EQ(endpoints[0][key], value) << key;
  EXPECT_EQ(exported("session 9"), vspan);
  vspan.update({{"encapType", "gre"}});
  EXPECT_EQ(imported({vspan})["warnings"].size(), 4u) << "id, class and time stamp are those of ERSPAN";
  EXPECT_EQ(session("session 9")["destination"]["endpoints"][0]["session_id"], nullptr);
  EXPECT_EQ(exported("session 9"), vspan);
}

TEST_F(VsphereApi, ATypeTakesWhatItTakesInVsphere) {
  const auto typed = [](const char* type, const char* role, const Json& port) {
    Json vspan = port_mirror("1", "t1", "t2");
    vspan["sessionType"] = type;
    vspan[role] = port;
    return vspan;
  };
  const Json uplink = {{"uplinkPortName", {"t3"}}};
  EXPECT_THAT(import_refusal(typed("dvPortMirror", "destinationPort", uplink)),
              HasSubstr("a session of type dvPortMirror has no uplinkPortName as destination"));
  EXPECT_THAT(import_refusal(typed("dvPortMirror", "destinationPort", {{"ipAddress", {"10.0.0.1"}}})),
              HasSubstr("sessions[0].destinationPort.ipAddress"));
  EXPECT_THAT(import_refusal(typed("remoteMirrorSource", "sourcePortReceived", {{"portKey", {"t1"}}})),
              HasSubstr("remoteMirrorSource has no portKey as destination"));
  EXPECT_THAT(import_refusal(typed("remoteMirrorDest", "destinationPort", {{"portKey", {"t2"}}})),
              HasSubstr("remoteMirrorDest has no portKey as source"));
  EXPECT_THAT(import_refusal(typed("mixedDestMirror", "sourcePortReceived", {{"vlans", {9}}})),
              HasSubstr("mixedDestMirror has no vlans as source"));
  Json unset = typed("mixedDestMirror", "destinationPort", {{"portKey", {"t2"}}, {"uplinkPortName", {"t3"}}});
  unset["sessionType"] = nullptr;
  imported({unset});
  unset.erase("sessionType");
  EXPECT_EQ(exported("session 1"), unset) << "unset is mixedDestMirror, and stays unset";
}

TEST_F(VsphereApi, WhatCannotBeExpressedIsRefused) {
  Json vspan = port_mirror("1", "t1", "t2");
  vspan["sourcePortReceived"]["wildcardPortConnecteeType"] = {"vmVnic"};
  EXPECT_THAT(import_refusal(vspan), HasSubstr("name the ports by portKey"));
  vspan = port_mirror("1", "t1", "t2");
  vspan["destinationPort"]["wildcardPortConnecteeType"] = {"vmVnic"};
  EXPECT_THAT(import_refusal(vspan), HasSubstr("in sourcePortReceived only"));
  vspan = port_mirror("1", "50", "t2");
  vspan["sourcePortTransmitted"]["portKey"] = {"51"};
  EXPECT_THAT(import_refusal(vspan, {{"ports", {{"50", "t1"}, {"51", "t1"}}}}),
              HasSubstr("51 and 50 are both port t1"));
  vspan = port_mirror("1", "t1", "u1");
  EXPECT_THAT(import_refusal(vspan), HasSubstr("port u1 is on bridge br1"));
  vspan = port_mirror("1", "t1", "t2");
  vspan["erspanId"] = 1024;
  EXPECT_THAT(import_refusal(vspan), HasSubstr("sessions[0].erspanId must be an integer from 0 to 1023"));
}

TEST_F(VsphereApi, WhatIsLeftOutHasADefault) {
  Json vspan = port_mirror("1", "t1", "t2");
  for (const char* field : {"enabled", "normalTrafficAllowed"}) vspan.erase(field);
  vspan["stripOriginalVlan"] = nullptr;
  imported({vspan});
  vspan.update({{"enabled", true}, {"normalTrafficAllowed", false}, {"stripOriginalVlan", false}});
  EXPECT_EQ(exported("session 1"), vspan);
  vspan.erase("stripOriginalVlan");
  const Json error = import_refused({vspan}, {{"strict", true}});
  EXPECT_EQ(error["data"]["field"], "sessions[0].stripOriginalVlan");
  EXPECT_EQ(error["data"]["fault"], "InvalidArgument");
}

TEST_F(VsphereApi, ATypeMayHaveItsOtherName) {
  Json vspan = port_mirror("9", "t1", "");
  vspan.update(
      {{"sessionType", "encapRemoteMirrorSource"}, {"destinationPort", {{"ipAddress", {"10.0.0.1"}}}}});
  imported({vspan});
  vspan["sessionType"] = "encapsulatedRemoteMirrorSource";
  EXPECT_EQ(exported("session 9"), vspan);
}

TEST_F(VsphereApi, AnUplinkMustBeNamed) {
  Json vspan = port_mirror("7", "t1", "");
  vspan.update({{"sessionType", "remoteMirrorSource"},
                {"destinationPort", {{"uplinkPortName", {"Uplink 1"}}}},
                {"encapsulationVlanId", 900}});
  EXPECT_EQ(
      import_refusal(vspan),
      "invalid sessions[0].destinationPort.uplinkPortName: sessions[0] (session 7): say which port Uplink 1 "
      "is: in uplinks, or by external_ids:vsphere-uplink of its interface");
  EXPECT_THAT(import_refusal(port_mirror("1", "a key", "t2")),
              HasSubstr("say which port a key is: in ports"));
  imported({vspan}, {{"uplinks", {{"Uplink 1", "t3"}}}});
  EXPECT_EQ(exported("session 7"), vspan);
}

TEST_F(VsphereApi, AnEditLeavesWhatVsphereLacksOfAnEndpoint) {
  Json vspan = port_mirror("9", "t1", "");
  vspan.update({{"destinationPort", {{"ipAddress", {"10.0.0.1"}}}},
                {"sessionType", "encapsulatedRemoteMirrorSource"},
                {"encapType", "erspan2"},
                {"erspanId", 7},
                {"erspanCOS", 3}});
  imported({vspan});
  good("mirror.set", {{"bridge", "br0"},
                      {"name", "session 9"},
                      {"destination", {{"endpoints", {{{"ip", "10.0.0.1"}, {"ttl", 9}}}}}}});
  vspan.erase("erspanCOS");
  changed("edit", vspan);
  const Json endpoint = session("session 9")["destination"]["endpoints"][0];
  EXPECT_EQ(endpoint["ttl"], 9);
  EXPECT_EQ(endpoint["session_id"], 7);
  EXPECT_EQ(endpoint["cos"], nullptr);
}

TEST_F(VsphereApi, TheExamplesOfTheDocumentAreOneOfEachType) {
  namespace fs = std::filesystem;
  std::set<std::string> types;
  for (const auto& file : fs::directory_iterator(VSWITCH_DOCS "/vsphere")) {
    const Json vspan = Json::parse(std::ifstream(file.path()));
    types.insert(vspan["sessionType"]);
    EXPECT_EQ(vspan["sessionType"], file.path().stem().string());
    const Json result = imported(
        {vspan},
        {{"ports", {{"50", "t1"}, {"51", "t2"}}}, {"uplinks", {{"Uplink 1", "t3"}}}, {"strict", true}});
    EXPECT_THAT(result["warnings"], IsEmpty()) << file.path();
    EXPECT_EQ(exported(vspan["name"]), vspan) << file.path();
    good("mirror.del", {{"bridge", "br0"}, {"name", vspan["name"]}});
  }
  EXPECT_EQ(types, (std::set<std::string>{"dvPortMirror", "encapsulatedRemoteMirrorSource", "mixedDestMirror",
                                          "remoteMirrorDest", "remoteMirrorSource"}));
}

TEST_F(VsphereApi, OtherFormatsOfTheSameObject) {
  Json vspan = port_mirror("1", "t1", "t2");
  const Json plain = vspan;
  vspan.update({{"_typeName", "VMwareVspanSession"}, {"dynamicType", nullptr}, {"encapType", nullptr}});
  vspan["dynamicProperty"] = Json::array();
  vspan["destinationPort"].update({{"_vimtype", "vim.dvs.VmwareDistributedVirtualSwitch.VspanPorts"},
                                   {"vlans", Json::array()},
                                   {"ipAddress", nullptr}});
  imported({vspan});
  EXPECT_EQ(exported("session 1"), plain);
}

TEST_F(VsphereApi, ChangesAreThoseOfReconfigureDvs) {
  const Json made = changed("add", port_mirror("1", "t1", "t2"));
  EXPECT_EQ(made["sessions"][0]["operation"], "add");
  const auto refuse = [this](const char* operation, const Json& vspan) {
    const Json spec = {{{"operation", operation}, {"vspanSession", vspan}}};
    return refusal("mirror.import", {{"bridge", "br0"}, {"vspanConfigSpec", spec}});
  };
  EXPECT_THAT(refuse("add", port_mirror("1", "t1", "t3")),
              StartsWith("exists vspanConfigSpec[0].vspanSession.key: "));
  EXPECT_THAT(refuse("edit", port_mirror("2", "t1", "t3")), StartsWith("not_found "));
  EXPECT_THAT(refuse("remove", Json::object()), HasSubstr("key is missing"));
  good("mirror.set", {{"bridge", "br0"}, {"name", "session 1"}, {"filter", "tcp"}});
  Json edited = port_mirror("1", "t1", "t3");
  edited["name"] = "renamed";
  changed("edit", edited);
  EXPECT_EQ(session("renamed")["destination"]["ports"], Json({"t3"}));
  EXPECT_EQ(session("renamed")["filter"], Json({"tcp"}))
      << "vSphere has no filters, so it says nothing of them";
  EXPECT_EQ(changed("remove", {{"key", "1"}})["sessions"][0]["state"], nullptr);
  EXPECT_EQ(database.table("Mirror").size(), 0u);
}

TEST_F(VsphereApi, TheKeyOfOursIsThatOfTheRow) {
  const std::string uuid = good("mirror.add", span("ours", {"t1"}, {"t2"}))["uuid"];
  Json vspan = exported("ours");
  EXPECT_EQ(vspan["key"], uuid);
  EXPECT_EQ(vspan["sessionType"], "dvPortMirror");
  const Json before = session("ours");
  EXPECT_EQ(changed("edit", vspan)["sessions"][0]["operation"], "edit");
  Json after = session("ours");
  after["revision"] = before["revision"];  // what is kept for vSphere is in external_ids
  EXPECT_EQ(after, before);
  EXPECT_EQ(exported("ours"), vspan);
  vspan.erase("key");
  vspan["name"] = "another";
  const std::string key = imported({vspan})["sessions"][0]["key"];
  EXPECT_EQ(key, session("another")["uuid"]) << "made by the switch, as vCenter makes one";
}

TEST_F(VsphereApi, SessionsWithoutANameGetOneAndGiveItBack) {
  Json vspan = port_mirror("12", "t1", "t2");
  vspan.erase("name");
  EXPECT_EQ(imported({vspan})["sessions"][0]["name"], "vspan-12");
  EXPECT_EQ(exported("vspan-12"), vspan);
}

TEST_F(VsphereApi, AListIsTakenAsAWholeOrNotAtAll) {
  Json second = port_mirror("2", "t2", "t3");
  second["normalTrafficAllowed"] = false;
  Json third = port_mirror("3", "t3", "t1");  // would watch what carries only copies of the second
  third.erase("sourcePortTransmitted");
  const Json error = import_refused({port_mirror("1", "t1", "t2"), second, third});
  EXPECT_EQ(error["data"]["reason"], "conflict");
  EXPECT_EQ(error["data"]["field"].get<std::string>().substr(0, 10), "sessions[1");
  EXPECT_EQ(database.table("Mirror").size(), 0u);
  const Json tried =
      imported({port_mirror("1", "t1", "t2"), port_mirror("2", "t2", "t3")}, {{"dry_run", true}});
  EXPECT_EQ(tried["sessions"].size(), 2u);
  EXPECT_EQ(tried["sessions"][0]["state"], nullptr);
  EXPECT_EQ(database.table("Mirror").size(), 0u);
  imported({port_mirror("1", "t1", "t2"), port_mirror("2", "t2", "t3")});
  EXPECT_EQ(exported().size(), 2u);
  Json twin = port_mirror("4", "t1", "t3");
  twin["name"] = "session 1";
  EXPECT_EQ(import_refused({twin})["data"]["reason"], "exists");
  EXPECT_THAT(import_refusal(port_mirror("1", "t1", "t2"), {{"vspanConfigSpec", Json::array()}}),
              HasSubstr("either sessions or a vspanConfigSpec"));
  // Names and roles may be exchanged in one step.
  Json one = port_mirror("1", "t2", "t3");
  Json two = port_mirror("2", "t1", "t2");
  std::swap(one["name"], two["name"]);
  imported({one, two});
  EXPECT_EQ(exported("session 1"), two);
}

TEST_F(VsphereApi, StrictMeansItsConflictRulesAndFaults) {
  const Json strict = {{"strict", true}};
  const auto fault = [&](const std::vector<Json>& sessions) {
    const Json error = import_refused(sessions, strict);
    return error["data"]["fault"].get<std::string>() + ' ' +
           error["data"].value("sessions", Json::array()).dump();
  };
  EXPECT_EQ(fault({port_mirror("1", "t1", "t1")}), R"(VspanSameSessionPortConflict ["1"])");
  EXPECT_EQ(fault({port_mirror("1", "t1", "t2"), port_mirror("2", "t2", "t3")}),
            R"(VspanPortConflict ["2","1"])");
  EXPECT_EQ(fault({port_mirror("1", "t1", "t3"), port_mirror("2", "t2", "t3")}),
            R"(VspanDestPortConflict ["1","2"])");
  Json vspan = port_mirror("1", "t1", "t2");
  vspan["mirroredPacketLength"] = 59;
  EXPECT_EQ(fault({vspan}), "InvalidArgument []");
  imported({vspan});
  EXPECT_THAT(refusal("mirror.export", {{"bridge", "br0"}, {"name", "session 1"}}),
              HasSubstr("shorter than 60 bytes"));
  vspan = port_mirror("1", "t1", "t2");
  vspan["sourcePortReceived"]["uplinkPortName"] = {"t3"};
  EXPECT_EQ(fault({vspan}), "InvalidArgument []");
  imported({vspan});
  EXPECT_EQ(exported("session 1"), vspan);
  vspan["sourcePortReceived"] = {{"portKey", {"t3"}}};
  imported({vspan}, strict);
  EXPECT_EQ(fault({port_mirror("2", "t2", "t3")}), R"(VspanPortConflict ["2","1"])")
      << "also beside what is there";
  EXPECT_EQ(import_refused({with(vspan, {{"sessionType", "remoteMirrorSource"}})}, strict)["data"]["fault"],
            "InvalidArgument");
}

TEST_F(VsphereApi, SeveralSessionsShareAnUplink) {
  std::vector<Json> sessions;
  for (const char* key : {"1", "2"}) {
    sessions.push_back(with(port_mirror(key, "t1", ""), {{"sessionType", "remoteMirrorSource"},
                                                         {"encapsulationVlanId", 900},
                                                         {"destinationPort", {{"uplinkPortName", {"t3"}}}}}));
  }
  imported(sessions, {{"strict", true}});
}

TEST_F(VsphereApi, WhatVsphereCouldNotHaveIsNotExported) {
  const auto reason = [this](const Json& session) {
    good("mirror.add", session);
    const std::string sentence = refusal("mirror.export", {{"bridge", "br0"}, {"name", session["name"]}});
    EXPECT_EQ(good("mirror.export", {{"bridge", "br0"}})["warnings"].size(), 1u);
    good("mirror.del", {{"bridge", "br0"}, {"name", session["name"]}});
    return sentence;
  };
  const auto endpoint = [](const Json& one) {
    return with(span("s", {"t1"}, {}), {{"destination", {{"endpoints", {one}}}}});
  };
  EXPECT_THAT(reason(with(span("s", {}, {"t2"}), {{"sources", {{"all", true}}}})), HasSubstr("all ports"));
  EXPECT_THAT(reason(with(span("s", {"t1"}, {"t2"}), {{"filter", "tcp"}})), HasSubstr("filters"));
  EXPECT_THAT(reason(with(span("s", {"t1"}, {"t2"}), {{"superframes", "cut"}})), HasSubstr("too long"));
  EXPECT_THAT(reason(span("s", {{{"glob", "t*"}}}, {"t2"})), HasSubstr("by a pattern"));
  EXPECT_THAT(reason(with(span("s", {"t1"}, {"t2"}), {{"rate", {{"packets", 5}}}})), HasSubstr("a rate"));
  EXPECT_THAT(reason(with(span("s", {"t1"}, {"t2"}), {{"cpu_budget", 5}})), HasSubstr("a budget"));
  EXPECT_THAT(reason(with(span("s", {"t1"}, {"t2"}), {{"expires", {{"packets", 5}}}})),
              HasSubstr("it ends after a time, packets or bytes"));
  EXPECT_THAT(reason(with(span("s", {"t1"}, {}), {{"destination", {{"vlan", 900}}}})),
              HasSubstr("every port that carries VLAN 900"));
  EXPECT_THAT(reason(with(span("s", {}, {"t2"}), {{"sources", {{"ports", {"t1"}}, {"vlans", {5}}}}})),
              HasSubstr("selected VLANs"));
  EXPECT_THAT(reason(endpoint({{"ip", "10.0.0.1"}, {"encap", "vxlan"}})), HasSubstr("vxlan"));
  EXPECT_THAT(reason(endpoint({{"ip", "10.0.0.1"}, {"key", 5}})), HasSubstr("vSphere does not have: key"));
  EXPECT_THAT(reason(endpoint({{"ip", "10.0.0.1"}, {"inherit_ttl", true}, {"dscp", 5}})),
              HasSubstr("vSphere does not have: dscp, ttl"));
}

TEST_F(VsphereApi, WhatWasKeptDoesNotOutliveItsMeaning) {
  Json vspan = with(port_mirror("9", "t1", ""), {{"sessionType", "encapsulatedRemoteMirrorSource"},
                                                 {"destinationPort", {{"ipAddress", {"10.0.0.1"}}}},
                                                 {"encapType", "gre"},
                                                 {"erspanId", 5}});
  imported({vspan});
  good("mirror.set", {{"bridge", "br0"},
                      {"name", "session 9"},
                      {"destination", {{"endpoints", {{{"ip", "10.0.0.1"}, {"encap", "erspan2"}}}}}}});
  EXPECT_FALSE(exported("session 9").contains("erspanId"));
  good("mirror.set", {{"bridge", "br0"}, {"name", "session 9"}, {"destination", {{"ports", {"t2"}}}}});
  EXPECT_EQ(exported("session 9")["sessionType"], "dvPortMirror");
  write("Mirror", database.table("Mirror").begin()->uuid(), "external_ids",
        Datum::map_of(std::map<std::string, std::string>{
            {"vsphere-samplingRate", "\"x\""}, {"vsphere-erspanCOS", "{"}, {"vsphere-sessionType", "none"}}));
  EXPECT_FALSE(exported("session 9").contains("samplingRate")) << "external_ids are anybody's";
}

/// Random sessions of each type, every field given or not.
class VspanGenerator {
 public:
  explicit VspanGenerator(unsigned seed) : engine_(seed) {}

  Json session(const std::string& key) {
    static const std::vector<std::string> kTypes = {"dvPortMirror", "remoteMirrorSource", "remoteMirrorDest",
                                                    "encapsulatedRemoteMirrorSource", "mixedDestMirror"};
    const std::size_t type = below(5);
    Json vspan = {{"key", key},
                  {"enabled", one_in(2)},
                  {"stripOriginalVlan", one_in(2)},
                  {"normalTrafficAllowed", one_in(2)},
                  {"sessionType", kTypes[type]}};
    if (type == 4 && one_in(2)) vspan.erase("sessionType");
    if (!one_in(4)) vspan["name"] = "name " + key;
    sources(vspan, type == 2);
    destination(vspan["destinationPort"], type);
    maybe(vspan, "description", {"", "some words"});
    if (type != 3) maybe(vspan, "encapsulationVlanId", {7, 900});
    maybe(vspan, "mirroredPacketLength", {60, 128});
    maybe(vspan, "samplingRate", {1, 17});
    maybe(vspan, "encapType", {"gre", "erspan2", "erspan3"});
    maybe(vspan, "erspanId", {0, 1023});
    maybe(vspan, "erspanCOS", {0, 7});
    maybe(vspan, "erspanGraNanosec", {false, true});
    maybe(vspan, "netstack", {"defaultTcpipStack", "mirror"});
    return vspan;
  }
  std::size_t below(std::size_t n) { return engine_() % n; }
  bool one_in(std::size_t n) { return below(n) == 0; }

 private:
  void maybe(Json& object, const char* field, const std::vector<Json>& values) {
    if (one_in(2)) object[field] = values[below(values.size())];
  }
  void sources(Json& vspan, bool vlans) {
    if (vlans) {
      vspan["sourcePortReceived"]["vlans"] = one_in(2) ? Json({7}) : Json({7, 901});
      return;
    }
    const std::size_t which = 1 + below(3);
    if (which & 1) vspan["sourcePortReceived"]["portKey"] = one_in(2) ? Json({"50"}) : Json({"50", "t3"});
    if (which & 2) vspan["sourcePortTransmitted"]["portKey"] = one_in(2) ? Json({"50"}) : Json({"51"});
  }
  void destination(Json& port, std::size_t type) {
    const bool both = one_in(2);
    if (type == 0 || type == 2 || (type == 4 && !both))
      port["portKey"] = one_in(2) ? Json({"60"}) : Json({"60", "61"});
    if (type == 1 || (type == 4 && both))
      port["uplinkPortName"] = one_in(2) ? Json({"uplink1"}) : Json({"d4", "uplink1"});
    if (type == 3) port["ipAddress"] = one_in(2) ? Json({"10.0.0.1"}) : Json({"10.0.0.1", "2001:db8::1"});
  }

  std::mt19937 engine_;
};

TEST_F(VsphereApi, WhatGoesInComesOut) {
  const Json names = {{"ports", {{"50", "t1"}, {"51", "t2"}, {"60", "d1"}, {"61", "d2"}}},
                      {"uplinks", {{"uplink1", "d3"}}}};
  VspanGenerator generate(1);
  for (int i = 0; i < 600; ++i) {
    const Json vspan = generate.session(std::to_string(i));
    SCOPED_TRACE(vspan.dump());
    const std::string name = imported({vspan}, names)["sessions"][0]["name"];
    const Json out = exported(name);
    ASSERT_EQ(out, vspan) << "session " << i;
    const Json ours = session(name);
    EXPECT_EQ(imported({out}, names)["sessions"][0]["operation"], "edit");
    EXPECT_EQ(session(name), ours) << "and in again";
    changed("remove", {{"key", vspan["key"]}});
  }
}

TEST_F(VsphereApi, OursThatVsphereCanHaveComeBackAsTheyWere) {
  VspanGenerator random(2);
  const auto pick = [&random](const std::vector<Json>& values) {
    return values[random.below(values.size())];
  };
  for (int i = 0; i < 300; ++i) {
    Json ours = span("s", {pick({"t1", {{"name", "t1"}, {"direction", "to"}}})}, {});
    ours["destination"] =
        pick({{{"ports", {"t2"}}},
              {{"ports", {"t2", "t3"}}, {"strip_vlan", true}},
              {{"ports", {"t3"}}, {"vlan", 900}, {"keep_vlan", random.one_in(2)}},
              {{"endpoints", {{{"ip", "10.0.0.1"}}, {{"ip", "10.0.0.2"}}}}},
              {{"endpoints",
                {{{"ip", "10.0.0.1"}, {"encap", "erspan3"}, {"session_id", 5}, {"timestamp", "100us"}}}}}});
    if (random.one_in(5))
      ours.update({{"sources", {{"vlans", {900}}}}, {"destination", {{"ports", {"t2"}}}}});
    ours.update({{"enabled", random.one_in(2)},
                 {"normal_io", random.one_in(2)},
                 {"snaplen", pick({nullptr, 60, 1500})},
                 {"sample", pick({1, 2})},
                 {"description", pick({"", "x"})}});
    SCOPED_TRACE(ours.dump());
    Json before = good("mirror.add", ours);
    const Json vspan = exported("s");
    good("mirror.del", {{"bridge", "br0"}, {"name", "s"}});
    imported({vspan});
    Json after = session("s");
    for (const char* member : {"uuid", "origin", "revision"}) {
      before.erase(member);
      after.erase(member);
    }
    ASSERT_EQ(before, after) << vspan.dump();
    good("mirror.del", {{"bridge", "br0"}, {"name", "s"}});
  }
}

}  // namespace
}  // namespace vswitch::api::test
