// SPDX-License-Identifier: Apache-2.0
// import-mirrors and export-mirrors: whatever of vSphere holds sessions becomes one request.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "tests/unit/ctl/fake_world.h"

namespace vswitch::ctl {
namespace {

using test::Invocation;
using testing::HasSubstr;

class ImportMirrors : public testing::Test {
 protected:
  ~ImportMirrors() override { std::remove(path_.c_str()); }

  Invocation given(const std::string& text, std::vector<std::string> more = {}) {
    std::ofstream(path_) << text;
    more.insert(more.begin(), {"import-mirrors", "br0", path_});
    return Invocation(more);
  }
  /// The params of the one request.
  Json asked(const Json& content, const std::vector<std::string>& more = {}) {
    const Invocation tool = given(content.dump(), more);
    EXPECT_EQ(tool.status, kDone) << tool.err;
    return tool.calls.empty() ? Json() : tool.calls[0].second;
  }

  const std::string path_ = testing::TempDir() + "import-mirrors-" + std::to_string(::getpid()) + ".json";
  const Json session_ = {{"key", "1"}, {"enabled", true}, {"sessionType", "dvPortMirror"}};
};

TEST_F(ImportMirrors, TakesSessionsInEveryForm) {
  const Json sessions = Json::array({session_});
  const Json wanted = {{"bridge", "br0"}, {"sessions", sessions}};
  EXPECT_EQ(asked(session_), wanted);
  EXPECT_EQ(asked(sessions), wanted);
  EXPECT_EQ(asked({{"vspanSession", sessions}, {"name", "DSwitch"}}), wanted) << "config of a switch";
  EXPECT_EQ(asked({{"sessions", sessions}, {"warnings", Json::array()}}), wanted) << "export-mirrors";
}

TEST_F(ImportMirrors, FindsSessionsAtAnyDepth) {
  const Json sessions = Json::array({session_});
  const Json wanted = {{"bridge", "br0"}, {"sessions", sessions}};
  EXPECT_EQ(asked({{"config", {{"vspanSession", sessions}, {"ipfixConfig", {{"samplingRate", 7}}}}}}),
            wanted);
  EXPECT_EQ(asked(Json::parse(R"([{"name": "config.vspanSession", "op": "assign",
                "val": {"_typeName": "ArrayOfVMwareVspanSession", "_value": [)" +
                              session_.dump() + "]}}]")),
            wanted)
      << "govc object.collect -json";
  EXPECT_EQ(asked(Json::parse(R"({"propSet": [{"name": "config", "val": {"vspanSession": [)" +
                              session_.dump() + "]}}]}")),
            wanted);
  EXPECT_EQ(asked(Json::parse(R"([{"Name": "config.vspanSession", "Val": {"VMwareVspanSession": [
                {"Key": "1", "Enabled": true, "SessionType": "dvPortMirror"}]}}])")),
            wanted)
      << "older versions of govc";
}

TEST_F(ImportMirrors, TakesChanges) {
  const Json spec = {{{"operation", "remove"}, {"vspanSession", session_}}};
  const Json wanted = {{"bridge", "br0"}, {"vspanConfigSpec", spec}};
  EXPECT_EQ(asked(spec), wanted);
  EXPECT_EQ(asked({{"vspanConfigSpec", spec}}), wanted);
  EXPECT_EQ(asked(spec[0]), wanted);
}

TEST_F(ImportMirrors, NamesPorts) {
  const Json params = asked(Json::array(), {"--port", "50=t1", "--port", "a=b=t2", "--uplink", "up 1=eth0",
                                            "--strict", "--dry-run"});
  EXPECT_EQ(params["ports"], Json({{"50", "t1"}, {"a=b", "t2"}}));
  EXPECT_EQ(params["uplinks"], Json({{"up 1", "eth0"}}));
  EXPECT_EQ(params["strict"], true);
  EXPECT_EQ(params["dry_run"], true);
}

TEST_F(ImportMirrors, WrongUsageSaysWhatIsWrong) {
  EXPECT_THAT(given("{").err, HasSubstr("is not JSON"));
  EXPECT_THAT(given("5").err, HasSubstr("holds no session of vSphere"));
  EXPECT_THAT(given(R"({"config": {"name": "DSwitch"}})").err, HasSubstr("holds no session of vSphere"));
  EXPECT_THAT(given(R"([{"erspanId": 5}, {"operation": "remove", "vspanSession": {"key": "1"}}])").err,
              HasSubstr("holds both sessions and changes of sessions"));
  EXPECT_THAT(given("[]", {"--port", "50"}).err, HasSubstr("--port 50: takes vSphere's name"));
  EXPECT_THAT(given(R"({"erspanId": 5000})").err, HasSubstr("erspanId must be an integer from 0 to 1023"));
}

TEST_F(ImportMirrors, ShowsWhatWasDoneAndWarns) {
  const Invocation tool = given("[]");
  EXPECT_THAT(tool.out, HasSubstr("add        span0    DVS-span-1  active"));
  EXPECT_THAT(tool.out, HasSubstr("warning: span0: netstack: kept, without effect"));
}

TEST(ExportMirrors, PrintsJson) {
  const Invocation tool({"export-mirrors", "br0", "span0"});
  EXPECT_EQ(tool.calls[0].second, Json({{"bridge", "br0"}, {"name", "span0"}}));
  EXPECT_EQ(Json::parse(tool.out)["sessions"][0]["name"], "span0");
}

}  // namespace
}  // namespace vswitch::ctl
