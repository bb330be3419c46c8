// SPDX-License-Identifier: Apache-2.0
// Open_vSwitch.other_config: what is taken as it stands, and what is said of the rest.
#include "switchd/model/datapath_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "schemas/embedded.h"
#include "schemas/json.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"

namespace vswitch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

model::DatapathSettings settings(const std::map<std::string, std::string>& other_config) {
  ovsdb::Database database(ovsdb::DatabaseSchema::parse(Json::parse(embedded::vswitch_ovsschema)));
  ovsdb::Transaction transaction(database);
  const ovsdb::Uuid root = transaction.insert("Open_vSwitch");
  transaction.set("Open_vSwitch", root, "other_config", ovsdb::Datum::map_of(other_config));
  EXPECT_FALSE(transaction.commit());
  return model::read_datapath_settings(*database.find("Open_vSwitch", root), {0, 1, 2, 3, 70});
}

TEST(DatapathSettings, NothingSaidIsTheDefault) {
  const model::DatapathSettings none = settings({{"stats-update-interval", "7000"}});
  EXPECT_EQ(none.at_start, model::DatapathSettings::AtStart{});
  EXPECT_EQ(none.ports, model::DatapathSettings::Ports{});
  EXPECT_EQ(none.work, WorkSpec{});
  EXPECT_THAT(none.complaints, IsEmpty());
}

TEST(DatapathSettings, EveryKeyIsTaken) {
  const model::DatapathSettings all = settings({{"worker-threads", "3"},
                                                {"mirror-threads", "2"},
                                                {"mirror-queue-kib", "32768"},
                                                {"mirror-session-kib", "512"},
                                                {"receive-ring-kib", "8192"},
                                                {"receive-queue-kib", "1024"},
                                                {"xdp-transmit", "false"},
                                                {"xdp-copies", "true"},
                                                {"worker-spin-us", "50"},
                                                {"worker-gather-us", "70"},
                                                {"worker-cpus", "2-3,0"},
                                                {"mirror-cpus", "70"},
                                                {"mirror-sample-seed", "9"}});
  EXPECT_EQ(all.at_start, (model::DatapathSettings::AtStart{3, 2, 32768}));
  EXPECT_EQ(all.ports, (model::DatapathSettings::Ports{8192, 1024, false, true}));
  EXPECT_EQ(all.work.session_queue_bytes, 512U * 1024);
  EXPECT_EQ(all.work.spin, 50'000);
  EXPECT_EQ(all.work.gather, 70'000);
  EXPECT_EQ(all.work.sample_seed, 9U);
  EXPECT_THAT(all.work.worker_cpus, ElementsAre(2, 3, 0));
  EXPECT_THAT(all.work.mirror_cpus, ElementsAre(70));
  EXPECT_THAT(all.complaints, IsEmpty());
}

TEST(DatapathSettings, WhatIsWrongIsNotUsedAndSaid) {
  for (const auto& [key, value] : std::map<std::string, std::string>{{"worker-threads", "0"},
                                                                     {"mirror-threads", "many"},
                                                                     {"mirror-queue-kib", "12"},
                                                                     {"receive-ring-kib", "1e6"},
                                                                     {"xdp-transmit", "no"},
                                                                     {"worker-spin-us", "-1"},
                                                                     {"worker-gather-us", "201"},
                                                                     {"worker-cpus", "3-1"},
                                                                     {"mirror-cpus", "0,,1"},
                                                                     {"mirror-sample-seed", ""}}) {
    const model::DatapathSettings found = settings({{key, value}});
    EXPECT_THAT(found.complaints,
                ElementsAre(HasSubstr("other_config:" + key + "=\"" + value + "\" is not used: give ")))
        << key;
    EXPECT_EQ(found.at_start, model::DatapathSettings::AtStart{}) << key;
    EXPECT_EQ(found.ports, model::DatapathSettings::Ports{}) << key;
    EXPECT_EQ(found.work, WorkSpec{}) << key;
  }
}

TEST(DatapathSettings, ProcessorsThatAreNotThereAreLeftOut) {
  EXPECT_THAT(settings({{"worker-cpus", "2-9"}}).work.worker_cpus, ElementsAre(2, 3));
  const model::DatapathSettings none = settings({{"worker-cpus", "8-15"}});
  EXPECT_THAT(none.work.worker_cpus, IsEmpty());
  EXPECT_THAT(none.complaints, ElementsAre(HasSubstr("vswitchd may use none of these processors")));
}

}  // namespace
}  // namespace vswitch
