// SPDX-License-Identifier: Apache-2.0
// What `vswitch-ctl __complete` offers. The examples of the contract are the daemon's names: bridge br0, ports t1 and
// others, session span0.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/unit/ctl/fake_world.h"

namespace vswitch::ctl::test {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;

/// The words offered after a line, without what they mean. The last word is the one that is typed; a line that ends with
/// a space begins a new one.
std::vector<std::string> offered(const std::string& line, FakeDaemon* daemon = nullptr) {
  std::vector<std::string> arguments = words(line);
  arguments.insert(arguments.begin(), "__complete");
  if (line.empty() || line.back() == ' ') arguments.emplace_back();
  const Invocation run(arguments, daemon);
  EXPECT_EQ(run.status, kDone);
  EXPECT_EQ(run.err, "");
  std::vector<std::string> result;
  std::istringstream lines(run.out);
  for (std::string one; std::getline(lines, one);) result.push_back(one.substr(0, one.find('\t')));
  return result;
}

TEST(Completion, Commands) {
  EXPECT_THAT(offered(""), IsSupersetOf({"add-br", "show", "help", "release-devices"}));
  EXPECT_THAT(offered("add-"), ElementsAre("add-br", "add-port", "add-mirror"));
  EXPECT_THAT(offered("help add-m"), ElementsAre("add-mirror"));
  EXPECT_THAT(offered("--timeout 3 --json del-b"), ElementsAre("del-br"));
  EXPECT_THAT(Invocation({"__complete", "add-b"}).out, testing::Eq("add-br\tmake a bridge\n"));
}

TEST(Completion, OptionsOfTheCommandAndOfAll) {
  EXPECT_THAT(offered("add-mirror br0 s --enc"), ElementsAre("--encap"));
  EXPECT_THAT(offered("add-mirror --"),
              IsSupersetOf({"--source", "--output", "--no-normal-io", "--json", "--help"}));
  EXPECT_THAT(offered("--"), Contains("--rundir"));
  EXPECT_THAT(offered("--"), Not(Contains("--source")));
}

TEST(Completion, ValuesOfTheContract) {
  EXPECT_THAT(offered("add-mirror br0 s --encap "), IsSupersetOf({"gre", "erspan2", "vxlan", "geneve"}));
  EXPECT_THAT(offered("add-mirror br0 s --encap=ers"),
              ElementsAre("--encap=erspan1", "--encap=erspan2", "--encap=erspan3"));
  EXPECT_THAT(offered("add-port br0 p --vlan-mode na"), ElementsAre("native-tagged", "native-untagged"));
  EXPECT_THAT(offered("add-port br0 p --type in"), ElementsAre("internal"));
  EXPECT_THAT(offered("add-mirror br0 s --mtu-policy f"), ElementsAre("fragment"));
}

TEST(Completion, NamesOfTheDaemon) {
  EXPECT_THAT(offered("del-br "), ElementsAre("br0"));
  EXPECT_THAT(offered("add-br "), IsEmpty());
  EXPECT_THAT(offered("set-mirror br0 "), ElementsAre("span0"));
  EXPECT_THAT(offered("set-mirror other "), IsEmpty()) << "not those of br0";
  EXPECT_THAT(offered("add-mirror br0 "), IsEmpty()) << "names that are taken";
  EXPECT_THAT(offered("add-mirror br0 x --source "), IsSupersetOf({"t1", "all"}));
  EXPECT_THAT(offered("add-mirror br0 x --output t"), Each(StartsWith("t")));
  EXPECT_THAT(offered("explain br0 --in-port "), Contains("t1"));
  EXPECT_THAT(offered("del-port "), IsSupersetOf({"t1", "br0"}));
}

TEST(Completion, FilesAreTheShells) {
  EXPECT_THAT(offered("explain br0 --pcap "), ElementsAre(":files"));
  EXPECT_THAT(offered("--rundir "), ElementsAre(":directories"));
  EXPECT_THAT(offered("import-mirrors br0 "), ElementsAre(":files"));
}

TEST(Completion, AsksTheDaemonOfTheLineAndNotForLong) {
  const Invocation run({"__complete", "--rundir", "/run/other", "del-br", ""});
  EXPECT_EQ(run.socket, "/run/other/db.sock");
  EXPECT_LE(run.timeout, std::chrono::seconds(1));
}

TEST(Completion, NoDaemonIsNoError) {
  FakeDaemon daemon;
  daemon.refuse = "bridge.list";
  EXPECT_THAT(offered("del-br ", &daemon), IsEmpty());
}

}  // namespace
}  // namespace vswitch::ctl::test
