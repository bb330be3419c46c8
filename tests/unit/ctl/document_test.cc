// SPDX-License-Identifier: Apache-2.0
// export and apply: the document as text, what differs in words, files, exit status.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

#include "ctl/progress.h"
#include "tests/unit/ctl/fake_world.h"

namespace vswitch::ctl {
namespace {

using test::FakeDaemon;
using test::Invocation;
using testing::HasSubstr;
using testing::StartsWith;

const Json kEmpty = {{"version", 1}, {"bridges", Json::object()}};

class SettingsAsText : public testing::Test {
 protected:
  ~SettingsAsText() override { std::remove(path_.c_str()); }

  void put(const std::string& text) const { std::ofstream(path_) << text; }
  std::string contents() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  Invocation apply(const std::string& text, std::vector<std::string> more = {}) {
    put(text);
    more.insert(more.begin(), {"apply", "-f", path_});
    return Invocation(more, &daemon_);
  }
  static Json difference(const std::string& operation, const std::string& kind, const Json& bridge,
                         const std::string& name, const Json& changes, const std::string& reason = "") {
    return {{"operation", operation}, {"kind", kind},
            {"bridge", bridge},       {"name", name},
            {"changes", changes},     {"state", reason.empty() ? Json() : Json("waiting")},
            {"reason", reason}};
  }
  static Json change(const std::string& member, const Json& before, const Json& after) {
    return {{"member", member}, {"before", before}, {"after", after}};
  }
  void answer_apply(const Json& differences, bool dry_run = false, const Json& kept = Json::array()) {
    daemon_.answers["system.apply"] = {{{"changed", !differences.empty()},
                                        {"dry_run", dry_run},
                                        {"differences", differences},
                                        {"kept", kept}}};
  }
  void answer_export(const Json& document, const Json& left_out = Json::array()) {
    daemon_.answers["system.export"] = {{{"document", document}, {"left_out", left_out}}};
  }

  FakeDaemon daemon_;
  const std::string path_ = testing::TempDir() + "settings-" + std::to_string(::getpid()) + ".json";
};

TEST_F(SettingsAsText, APortIsALineAndNamesNeverShareOne) {
  Json trunks = Json::array();
  for (int vlan = 100; vlan < 140; ++vlan) trunks.push_back(vlan);
  answer_export({{"version", 1},
                 {"bridges",
                  {{"br0",
                    {{"ports", {{"t1", {{"tag", 7}}}, {"t2", Json::object()}, {"t3", {{"trunks", trunks}}}}},
                     {"mirrors", Json::object()}}}}}});
  const Invocation tool({"export"}, &daemon_);
  EXPECT_EQ(tool.out, R"({
  "bridges": {
    "br0": {
      "mirrors": {},
      "ports": {
        "t1": {"tag": 7},
        "t2": {},
        "t3": {
          "trunks": [100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139]
        }
      }
    }
  },
  "version": 1
}
)");
  EXPECT_EQ(tool.err, "");
  EXPECT_EQ(Json::parse(tool.out), daemon_.answers["system.export"][0]["document"]);
}

TEST_F(SettingsAsText, WhatIsLeftOutIsOnStandardError) {
  answer_export(kEmpty,
                Json::array({{{"path", "bridges.br0"}, {"sentence", "Bridge external_ids: \x1b only"}},
                             {{"path", ""}, {"sentence", "table QoS"}}}));
  const Invocation tool({"export", "--bridge", "br0"}, &daemon_);
  EXPECT_EQ(tool.calls[0].second, Json({{"bridge", "br0"}}));
  EXPECT_EQ(Json::parse(tool.out), kEmpty);
  EXPECT_EQ(
      tool.err,
      "vswitch-ctl: warning: bridges.br0: Bridge external_ids: ? only\nvswitch-ctl: warning: table QoS\n");
  EXPECT_EQ(Json::parse(Invocation({"--json", "export"}, &daemon_).out)["left_out"].size(), 2u);
  Json many = Json::array();
  for (int i = 0; i < 60; ++i) many.push_back({{"path", "x"}, {"sentence", "y"}});
  answer_export(kEmpty, many);
  EXPECT_THAT(Invocation({"export"}, &daemon_).err, HasSubstr("... and 10 more, which --json lists"));
}

TEST_F(SettingsAsText, AFileIsReplacedAsAWholeOrNotAtAll) {
  answer_export(kEmpty);
  put("old");
  ::chmod(path_.c_str(), 0640);
  const Invocation tool({"export", "-f", path_}, &daemon_);
  EXPECT_EQ(tool.out, "");
  EXPECT_EQ(Json::parse(contents()), kEmpty);
  struct stat status {};
  ::stat(path_.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
  const Invocation lost({"export", "-f", "/nonexistent/x.json"}, &daemon_);
  EXPECT_EQ(lost.status, kWrongUsage);
  EXPECT_THAT(lost.err,
              StartsWith("vswitch-ctl: cannot write /nonexistent/x.json: No such file or directory"));
  EXPECT_EQ(Invocation({"export", "-f", "/dev/null"}, &daemon_).status, kDone) << "written, not replaced";
  ::stat("/dev/null", &status);
  EXPECT_TRUE(S_ISCHR(status.st_mode));
}

TEST_F(SettingsAsText, DifferencesAreLines) {
  answer_apply(Json::array(
      {difference("change", "config", nullptr, "", Json::array({change("worker-threads", "2", nullptr)})),
       difference("add", "bridge", "br1", "br1", Json::array({change("mac_aging_time", nullptr, 60)})),
       difference("change", "port", "br0", "t1", {change("tag", 10, 20), change("trunks", {1, 2}, nullptr)}),
       difference("add", "port", "br0", "t9", Json::array(), "no device t9"),
       difference("remove", "mirror", "br0", "old", Json::array()),
       difference("change", "mirror", "br0", "web",
                  {change("description", nullptr, "a\nb"), change("enabled", nullptr, false)})}));
  const Invocation tool = apply(kEmpty.dump(), {"--prune", "--bridge", "br0"});
  EXPECT_EQ(tool.calls[0].second, Json({{"document", kEmpty}, {"prune", true}, {"bridge", "br0"}}));
  EXPECT_EQ(tool.out,
            "~ config: worker-threads 2 -> default\n"
            "+ bridge br1: mac_aging_time 60\n"
            "~ port br0/t1: tag 10 -> 20, trunks 1,2 -> default\n"
            "+ port br0/t9 (waiting: no device t9)\n"
            "- mirror br0/old\n"
            "~ mirror br0/web: description default -> a?b, enabled default -> false\n"
            "2 added, 3 changed, 1 removed\n");
  EXPECT_EQ(tool.status, kDone);
}

TEST_F(SettingsAsText, NothingToDoIsSaid) {
  answer_apply(Json::array(), false,
               Json::array({{{"path", "bridges.br0.mirrors.x"}, {"sentence", "not pruned"}}}));
  const Invocation tool = apply(kEmpty.dump());
  EXPECT_EQ(tool.out, "nothing to do\n");
  EXPECT_EQ(tool.err, "vswitch-ctl: warning: bridges.br0.mirrors.x: not pruned\n");
  EXPECT_EQ(tool.status, kDone);
}

TEST_F(SettingsAsText, ADryRunSaysByItsStatusWhetherSomethingDiffers) {
  answer_apply(Json::array(), true);
  EXPECT_EQ(apply(kEmpty.dump(), {"--dry-run"}).status, kDone);
  answer_apply(Json::array({difference("remove", "port", "br0", "t1", Json::array())}), true);
  const Invocation tool = apply(kEmpty.dump(), {"--dry-run"});
  EXPECT_EQ(tool.status, kDiffers);
  EXPECT_EQ(tool.out, "- port br0/t1\n0 to add, 0 to change, 1 to remove: a dry run, nothing was changed\n");
  daemon_.refuse = "system.apply";
  EXPECT_EQ(apply(kEmpty.dump(), {"--dry-run"}).status, kRefused);
}

TEST_F(SettingsAsText, BadDocumentsAreFoundBeforeTheyAreSent) {
  const auto complaint = [&](const std::string& text) {
    const Invocation tool = apply(text);
    EXPECT_EQ(tool.status, kWrongUsage);
    EXPECT_TRUE(tool.calls.empty());
    return tool.err.substr(0, tool.err.find('\n'));
  };
  EXPECT_EQ(complaint(R"({"version": 1, "bridges": {"br0": {"ports": {"file": {"tag": 5000}}}}})"),
            "vswitch-ctl: bridges.br0.ports.file.tag must be an integer from 0 to 4095 or null, not 5000");
  EXPECT_EQ(complaint(R"({"version": 1, "bridges": {"br0": {"ports": {"file": {"tagg": 5}}}}})"),
            "vswitch-ctl: unknown member bridges.br0.ports.file.tagg");
  EXPECT_EQ(complaint(R"({"version": 1, "bridges": {"br0": {}, "br0": {}}})"),
            "vswitch-ctl: " + path_ + " has two members named \"br0\" in one object: remove one of them");
  EXPECT_THAT(complaint("{\n\"version\": }"),
              HasSubstr(path_ + " is not JSON: line 2, column 12: syntax error"));
  EXPECT_THAT(complaint("[]"),
              HasSubstr(" is not a document of settings, which is an object with version and bridges"));
  EXPECT_EQ(complaint("{}"), "vswitch-ctl: bridges is missing");
  EXPECT_THAT(complaint(R"({"version": 1, "bridges": 7})"), HasSubstr("bridges must be an object, not 7"));
}

TEST_F(SettingsAsText, RefusalsNameMembersOfTheDocumentAndNoOptions) {
  daemon_.refuse = "system.apply";
  daemon_.refusal = {
      1003,
      "bridges.lab.ports.uplink: port uplink is on bridge br1",
      {{"reason", "conflict"}, {"field", "document.bridges.lab.ports.uplink"}, {"value", "uplink"}}};
  const Invocation tool = apply(kEmpty.dump());
  EXPECT_EQ(tool.status, kRefused);
  EXPECT_THAT(tool.err, StartsWith("vswitch-ctl: bridges.lab.ports.uplink: port uplink is on bridge br1\n"));
}

TEST_F(SettingsAsText, MoreTimeForMore) {
  Json ports = Json::object();
  for (int i = 0; i < 1999; ++i) ports["p" + std::to_string(i)] = Json::object();
  answer_apply(Json::array());
  const Invocation tool =
      apply(Json{{"version", 1}, {"bridges", {{"br0", {{"ports", ports}}}}}}.dump(), {"--timeout", "3"});
  EXPECT_EQ(tool.timeout, std::chrono::seconds(23));
}

TEST(ProgressTest, SpeaksUpAfterASecondOnly) {
  std::ostringstream err;
  { const Progress progress(err, "applying"); }
  EXPECT_EQ(err.str(), "");
  {
    const Progress progress(err, "applying");
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  }
  EXPECT_EQ(err.str(), "vswitch-ctl: applying, 1 s so far\n");
}

}  // namespace
}  // namespace vswitch::ctl
