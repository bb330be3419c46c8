// SPDX-License-Identifier: Apache-2.0
// What an operator does to the daemon itself: settings, log, database file, transient ports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "switchd/base/log.h"
#include "tests/unit/switchd/api/support.h"

namespace vswitch::api::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Maintenance : public ApiTest {
 protected:
  ~Maintenance() override { log::set_level("", log::Level::info); }
};

TEST_F(Maintenance, SettingsThatAreNotGivenStay) {
  EXPECT_EQ(good("system.config")["config"], Json::object());
  good("system.set_config", {{"config", {{"worker-threads", "2"}, {"mirror-queue-kib", "512"}}}});
  EXPECT_EQ(good("system.set_config",
                 {{"config", {{"worker-threads", nullptr}, {"worker-spin-us", "9"}}}})["config"],
            Json({{"mirror-queue-kib", "512"}, {"worker-spin-us", "9"}}));
  EXPECT_EQ(good("system.config")["config"], Json({{"mirror-queue-kib", "512"}, {"worker-spin-us", "9"}}));
  EXPECT_THAT(refusal("system.set_config", {{"config", {{"worker-threads", 2}}}}),
              StartsWith("invalid config"));
}

TEST_F(Maintenance, LevelsOfTheLog) {
  const log::Module module("maintenance-test");
  const auto level = [](const Json& levels) {
    for (const Json& area : levels["areas"]) {
      if (area["name"] == "maintenance-test") return area;
    }
    return Json();
  };
  EXPECT_EQ(level(good("log.list")),
            Json({{"name", "maintenance-test"}, {"console", "info"}, {"file", "info"}}));
  EXPECT_EQ(level(good("log.set", {{"level", "dbg"}, {"area", "maintenance-test"}, {"destination", "file"}})),
            Json({{"name", "maintenance-test"}, {"console", "info"}, {"file", "dbg"}}));
  EXPECT_EQ(level(good("log.set", {{"level", "err"}})),
            Json({{"name", "maintenance-test"}, {"console", "err"}, {"file", "err"}}));
  EXPECT_THAT(refusal("log.set", {{"level", "dbg"}, {"area", "nosuch"}}),
              HasSubstr("the log has no area nosuch"));
}

TEST_F(Maintenance, TransientPortsGoTogether) {
  good("bridge.add", {{"name", "br7"}});
  for (const char* name : {"vm1", "vm2"})
    EXPECT_EQ(good("port.add", {{"bridge", "br7"}, {"name", name}, {"transient", true}})["transient"], true);
  EXPECT_EQ(good("port.add", {{"bridge", "br7"}, {"name", "eth1"}})["transient"], false);
  good("port.set", {{"name", "vm2"}, {"transient", false}});
  EXPECT_EQ(good("port.del_transient"), Json({{"removed", {"vm1"}}}));
  EXPECT_EQ(good("bridge.get", {{"name", "br7"}})["ports"], Json({"eth1", "vm2"}));
  EXPECT_EQ(good("port.del_transient")["removed"], Json::array());
}

TEST_F(Maintenance, ABackupIsADatabaseFile) {
  good("bridge.add", {{"name", "br7"}});
  const std::string path = std::filesystem::temp_directory_path() / ("backup." + std::to_string(::getpid()));
  std::ofstream(path) << good("database.backup")["file"].get<std::string>();
  std::vector<std::string> warnings;
  const auto copy = ovsdb::Database::open(path, ovsdb::vswitch_schema(), warnings);
  EXPECT_NE(copy->table("Bridge").find("name", "br7"), nullptr);
  EXPECT_TRUE(warnings.empty());
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace vswitch::api::test
