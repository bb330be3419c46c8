// SPDX-License-Identifier: Apache-2.0
// Rates, patterns, ends and origins of sessions: from params to rows and back.
#include <unistd.h>

#include "datapath/snapshot/spec.h"
#include "switchd/base/wall_clock.h"
#include "tests/unit/switchd/api/support.h"

namespace vswitch::api::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using Strings = std::map<std::string, std::string>;

class MirrorLife : public ApiTest {
 protected:
  MirrorLife() { build(); }
  const Row& mirror() { return *database.table("Mirror").begin(); }
  static Json named() { return {{"bridge", "br0"}, {"name", "s"}}; }
  Json add(const Json& members = Json::object()) {
    return good("mirror.add", with(span("s", {"t1"}, {"t2"}), members));
  }
  Json set(const Json& members) { return good("mirror.set", with(named(), members)); }
  std::string add_refused(const Json& members) {
    return refusal("mirror.add", with(span("s", {"t1"}, {"t2"}), members));
  }
};

TEST_F(MirrorLife, ARateIsPacketsBitsOrBoth) {
  EXPECT_EQ(add({{"rate", {{"packets", 7}}}})["rate"], Json({{"packets", 7}, {"bits", nullptr}}));
  EXPECT_EQ(mirror().integer("rate_packets"), 7);
  EXPECT_EQ(set({{"rate", {{"bits", 80}, {"packets", 9}}}})["rate"], Json({{"packets", 9}, {"bits", 80}}));
  EXPECT_EQ(mirror().integer("rate_bits"), 80);
  EXPECT_EQ(set({{"description", "x"}})["rate"], Json({{"packets", 9}, {"bits", 80}}));
  EXPECT_EQ(set({{"rate", {{"bits", 81}}}})["rate"], Json({{"packets", 9}, {"bits", 81}}))
      << "what is not named stays";
  EXPECT_EQ(set({{"rate", {{"packets", nullptr}}}})["rate"], Json({{"packets", nullptr}, {"bits", 81}}));
  EXPECT_EQ(set({{"rate", nullptr}})["rate"], nullptr);
  EXPECT_TRUE(mirror()["rate_bits"].empty());
}

TEST_F(MirrorLife, ARateThatIsNoneIsRefused) {
  EXPECT_THAT(add_refused({{"rate", Json::object()}}), StartsWith("invalid rate: rate is empty"));
  EXPECT_THAT(add_refused({{"rate", {{"packets", 0}}}}), HasSubstr("rate.packets must be an integer from 1"));
  EXPECT_THAT(add_refused({{"rate", 5}}), StartsWith("invalid rate: rate must be an object or null"));
  EXPECT_THAT(add_refused({{"rate", {{"bytes", 5}}}}), HasSubstr("unknown parameter rate.bytes"));
}

TEST_F(MirrorLife, PatternsAreSourcesAmongNames) {
  view.bound = {{"glob:vnet*", {"vnet0"}}, {"iface-id:vm-7", {}}};
  const Json ports = {{{"name", "t1"}, {"direction", "to"}},
                      {{"glob", "vnet*"}, {"direction", "from"}},
                      {{"iface_id", "vm-7"}, {"direction", "both"}},
                      {{"mac", "52:54:00:AA:bb:07"}, {"direction", "both"}}};
  const Json reply = add({{"sources", {{"ports", ports}}}});
  EXPECT_EQ(mirror().map("source_ports"), (Strings{{"t1", "to"}}));
  EXPECT_EQ(mirror().map("source_patterns"),
            (Strings{{"glob:vnet*", "from"}, {"iface-id:vm-7", "both"}, {"mac:52:54:00:aa:bb:07", "both"}}));
  Json shown = ports;
  shown[3]["mac"] = "52:54:00:aa:bb:07";
  EXPECT_EQ(reply["sources"]["ports"], shown);
  EXPECT_EQ(reply["bound_sources"], Json({{"glob:vnet*", {"vnet0"}}, {"iface-id:vm-7", Json::array()}}));
  EXPECT_EQ(set({{"sources", {{"ports", reply["sources"]["ports"]}}}})["sources"], reply["sources"])
      << "what is read can be written";
  EXPECT_EQ(set({{"sources", {{"ports", {"t1"}}}}})["sources"]["ports"].size(), 1U);
  EXPECT_TRUE(mirror()["source_patterns"].empty());
}

TEST_F(MirrorLife, PatternsAloneAreEnoughAndVlansOfThemAreNotOfEveryPort) {
  const Json reply = add({{"sources", {{"ports", {{{"glob", "t*"}}}}, {"vlans", {7}}}}});
  EXPECT_EQ(mirror().boolean("select_all"), false);
  EXPECT_EQ(reply["sources"]["vlans"], Json({7}));
  EXPECT_EQ(reply["destination"]["strip_vlan"], false);
}

TEST_F(MirrorLife, ASourceIsOneThing) {
  const auto refuse = [this](const Json& source) {
    return add_refused({{"sources", {{"ports", {source}}}}});
  };
  EXPECT_THAT(refuse({{"direction", "from"}}), HasSubstr("a source is one of name, glob, iface_id and mac"));
  EXPECT_THAT(refuse({{"name", "t1"}, {"glob", "t*"}}), HasSubstr("a source is one of"));
  EXPECT_THAT(refuse({{"mac", "52:54:00"}}), HasSubstr("mac does not have the required form"));
  EXPECT_THAT(refuse({{"mac", "01:00:5e:00:00:01"}}), HasSubstr("not the MAC address of a host"));
}

TEST_F(MirrorLife, WhoKnowsTheBoundOnes) {
  add({{"sources", {{"ports", {{{"glob", "t*"}, {"direction", "to"}}}}}}});
  view.bound = {{"glob:t*", {"t1", "t3"}}};
  const Json sessions = good("mirror.who", {{"port", "t3"}})["sessions"];
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_EQ(sessions[0]["via"], "pattern");
  EXPECT_EQ(sessions[0]["direction"], "to");
}

TEST_F(MirrorLife, EndsAreKeptInColumns) {
  const std::int64_t before = wall_now_ms();
  const Json reply = add({{"expires", {{"seconds", 60}, {"packets", 5}, {"bytes", 6}}}});
  const std::int64_t at = mirror().integer("expires_at").value_or(0);
  EXPECT_GE(at, before + 60'000);
  EXPECT_LE(at, wall_now_ms() + 60'000);
  EXPECT_EQ(reply["expires"],
            Json({{"at", iso_time(at)}, {"packets", 5}, {"bytes", 6}, {"connection", false}}));
  EXPECT_EQ(set({{"expires", {{"at", "2126-01-05T08:00:00.250+01:00"}}}})["expires"],
            Json({{"at", "2126-01-05T07:00:00.250Z"}, {"packets", 5}, {"bytes", 6}, {"connection", false}}))
      << "what is not named stays";
  EXPECT_EQ(
      set({{"expires", {{"bytes", nullptr}, {"packets", 7}}}})["expires"],
      Json({{"at", "2126-01-05T07:00:00.250Z"}, {"packets", 7}, {"bytes", nullptr}, {"connection", false}}));
  EXPECT_EQ(set({{"expires", {{"at", 4'923'360'000'000}}}})["expires"]["at"], "2126-01-06T08:00:00Z");
  EXPECT_EQ(set({{"expires", nullptr}})["expires"], nullptr);
  EXPECT_TRUE(mirror()["expires_at"].empty());
}

TEST_F(MirrorLife, EndsThatAreNoneAreRefused) {
  EXPECT_THAT(add_refused({{"expires", Json::object()}}), HasSubstr("expires is empty"));
  EXPECT_THAT(add_refused({{"expires", {{"at", "tomorrow"}}}}),
              HasSubstr("expires.at must be a time such as"));
  EXPECT_THAT(add_refused({{"expires", {{"at", "2020-01-05T08:00:00Z"}}}}),
              HasSubstr("expires.at is in the past"));
  EXPECT_THAT(add_refused({{"expires", {{"at", 5}, {"seconds", 5}}}}), HasSubstr("give one"));
  EXPECT_THAT(add_refused({{"expires", {{"packets", 0}}}}), HasSubstr("expires.packets must be"));
}

TEST_F(MirrorLife, MayExistTakesASpanForWhatItIs) {
  const Json asked = with(span("s", {"t1"}, {"t2"}), {{"may_exist", true}, {"expires", {{"seconds", 60}}}});
  const Json first = good("mirror.add", asked);
  EXPECT_EQ(good("mirror.add", asked)["expires"], first["expires"]) << "it does not begin anew";
}

TEST_F(MirrorLife, EnableGivesWhatHasEndedANewLife) {
  add({{"expires", {{"seconds", 60}, {"packets", 5}}}});
  good("mirror.enable", named());
  EXPECT_FALSE(mirror()["expires_at"].empty()) << "it has not ended";
  write("Mirror", mirror().uuid(), "expires_at", Datum::of(77));
  const Json reply = good("mirror.enable", named());
  EXPECT_EQ(reply["expires"],
            Json({{"at", nullptr}, {"packets", 5}, {"bytes", nullptr}, {"connection", false}}));
}

TEST_F(MirrorLife, WhatHasEndedIsInNobodysWayUntilItLivesAgain) {
  add();
  write("Mirror", mirror().uuid(), "expires_at", Datum::of(77));
  good("mirror.add", span("other", {{{"name", "t2"}, {"direction", "from"}}}, {"t3"}));
  EXPECT_THAT(refusal("mirror.enable", named()), HasSubstr("would never see a frame"));
}

TEST_F(MirrorLife, ASessionEndsWithItsConnection) {
  add({{"expires", {{"connection", true}}}});
  EXPECT_EQ(mirror().boolean("expires_with_connection"), true);
  EXPECT_TRUE(mirror()["expires_at"].empty());
  const std::int64_t before = wall_now_ms();
  client->hang_up();
  EXPECT_GE(mirror().integer("expires_at").value_or(0), before);

  client = std::make_shared<FakeSession>();
  set({{"expires", {{"connection", true}}}});
  set({{"expires", nullptr}});
  client->hang_up();
  EXPECT_TRUE(mirror()["expires_at"].empty()) << "it is not bound any more";
}

TEST_F(MirrorLife, AnotherConnectionMayTakeItOver) {
  add({{"expires", {{"connection", true}}}});
  const auto first = std::exchange(client, std::make_shared<FakeSession>());
  set({{"expires", {{"connection", true}}}});
  first->hang_up();
  EXPECT_TRUE(mirror()["expires_at"].empty());
  good("mirror.del", named());
  client->hang_up();  // and may outlive it
}

TEST_F(MirrorLife, NoBoundSessionSurvivesTheDaemon) {
  add({{"expires", {{"connection", true}}}});
  good("mirror.add", span("t", {"t1"}, {"t2"}));
  end_bound_sessions(database);
  EXPECT_NE(good("mirror.get", named())["expires"]["at"], nullptr);
  EXPECT_EQ(good("mirror.get", {{"bridge", "br0"}, {"name", "t"}})["expires"], nullptr);
}

TEST_F(MirrorLife, WhoMadeItIsRecorded) {
  EXPECT_EQ(add()["origin"]["owner"], "tcp:192.0.2.7");
  client = std::make_shared<FakeSession>(control::PeerCredentials{.pid = 4711, .uid = 0, .gid = 0});
  const Json origin = good("mirror.add", span("t", {"t1"}, {"t2"}))["origin"];
  EXPECT_EQ(origin["owner"], "root");
  EXPECT_EQ(origin["peer_pid"], 4711);
  EXPECT_EQ(origin["peer_uid"], 0);
  EXPECT_NEAR(static_cast<double>(parse_iso_time(origin["created"]).value_or(0)),
              static_cast<double>(wall_now_ms()), 60'000);
  insert_mirror("br0", "of-ovs-vsctl");
  EXPECT_EQ(good("mirror.get", {{"bridge", "br0"}, {"name", "of-ovs-vsctl"}})["origin"], nullptr);
}

TEST_F(MirrorLife, ThereIsRoomForSoManySessions) {
  ovsdb::Transaction transaction(database);
  for (std::size_t i = 0; i < kMaxSessions; ++i) {
    const Uuid mirror = transaction.insert("Mirror");
    transaction.set("Mirror", mirror, "name", Datum::of("m" + std::to_string(i)));
    transaction.add("Bridge", row("Bridge", "br0").uuid(), "mirrors", Datum::of(mirror));
  }
  EXPECT_FALSE(transaction.commit());
  EXPECT_EQ(add_refused(Json::object()),
            "conflict name: bridge br0: limit of 4096 sessions per bridge reached; delete one first");
}

}  // namespace
}  // namespace vswitch::api::test
