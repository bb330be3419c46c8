// SPDX-License-Identifier: Apache-2.0
// Arguments become exactly these requests, or wrong usage with a sentence, without any daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "ctl/command.h"
#include "tests/unit/ctl/fake_world.h"

namespace vswitch::ctl {
namespace {

using test::Invocation;
using test::words;
using testing::HasSubstr;
using testing::IsEmpty;

struct Asks {
  const char* arguments;
  const char* method;
  const char* params;
};

class Requests : public testing::TestWithParam<Asks> {};

TEST_P(Requests, AreExactlyWhatTheArgumentsSay) {
  const Invocation tool(words(GetParam().arguments));
  EXPECT_EQ(tool.status, kDone) << tool.err;
  ASSERT_EQ(tool.calls.size(), 1u);
  EXPECT_EQ(tool.calls[0].first, GetParam().method);
  EXPECT_EQ(tool.calls[0].second, Json::parse(GetParam().params));
}

INSTANTIATE_TEST_SUITE_P(
    Bridges, Requests,
    testing::Values(
        Asks{"add-br br7", "bridge.add", R"({"name":"br7"})"},
        Asks{"--may-exist add-br br7", "bridge.add", R"({"name":"br7","may_exist":true})"},
        Asks{"add-br --may-exist br7", "bridge.add", R"({"name":"br7","may_exist":true})"},
        Asks{
            "add-br br7 --fail-mode secure --mac-aging-time 61 --mac-table-size 77 --flood-vlans 5,7-9 "
            "--forward-bpdu",
            "bridge.add",
            R"({"name":"br7","fail_mode":"secure","mac_aging_time":61,"mac_table_size":77,"flood_vlans":[5,7,8,9],
                 "forward_bpdu":true})"},
        Asks{"set-br br7 --fail-mode none --flood-vlans none --no-forward-bpdu", "bridge.set",
             R"({"name":"br7","fail_mode":null,"flood_vlans":[],"forward_bpdu":false})"},
        Asks{"del-br br7", "bridge.del", R"({"name":"br7"})"},
        Asks{"--if-exists del-br br7", "bridge.del", R"({"name":"br7","if_exists":true})"},
        Asks{"show-br br7", "bridge.get", R"({"name":"br7"})"}, Asks{"list-br", "bridge.list", "{}"}));

INSTANTIATE_TEST_SUITE_P(
    Ports, Requests,
    testing::Values(
        Asks{"add-port br7 p3", "port.add", R"({"bridge":"br7","name":"p3"})"},
        Asks{
            "add-port br7 p3 --type internal --tag 11 --vlan-mode native-untagged --trunks 1,3-5 --may-exist",
            "port.add",
            R"({"bridge":"br7","name":"p3","type":"internal","tag":11,"vlan_mode":"native-untagged","trunks":[1,3,4,5],
                 "may_exist":true})"},
        Asks{
            "add-port br7 p3 --protected --priority-tags always --cvlans 8 --qinq-ethtype 802.1q --ofport 99",
            "port.add",
            R"({"bridge":"br7","name":"p3","protected":true,"priority_tags":"always","cvlans":[8],
                 "qinq_ethtype":"802.1q","ofport_request":99})"},
        Asks{
            "set-port p3 --tag none --vlan-mode none --trunks none --no-protected --ofport none", "port.set",
            R"({"name":"p3","tag":null,"vlan_mode":null,"trunks":[],"protected":false,"ofport_request":null})"},
        Asks{"del-port p3", "port.del", R"({"name":"p3"})"},
        Asks{"--if-exists del-port br7 p3", "port.del", R"({"bridge":"br7","name":"p3","if_exists":true})"},
        Asks{"show-port p3", "port.get", R"({"name":"p3"})"}, Asks{"list-ports", "port.list", "{}"},
        Asks{"list-ports br7", "port.list", R"({"bridge":"br7"})"}));

INSTANTIATE_TEST_SUITE_P(
    Mirrors, Requests,
    testing::Values(
        Asks{"add-mirror br7 s3 --source t1 --output t2", "mirror.add",
             R"({"bridge":"br7","name":"s3","sources":{"ports":["t1"]},"destination":{"ports":["t2"]}})"},
        Asks{"add-mirror --source t1 --output t2 br7 s3", "mirror.add",
             R"({"bridge":"br7","name":"s3","sources":{"ports":["t1"]},"destination":{"ports":["t2"]}})"},
        Asks{"add-mirror br7 s3 -s t1:from --source t3:to --source t4:both -s t5:ingress -s t6:egress -o t2 "
             "--output t8 "
             "--normal-io --disabled --description text",
             "mirror.add",
             R"({"bridge":"br7","name":"s3",
                 "sources":{"ports":[{"name":"t1","direction":"from"},{"name":"t3","direction":"to"},
                   {"name":"t4","direction":"both"},{"name":"t5","direction":"from"},{"name":"t6","direction":"to"}]},
                 "destination":{"ports":["t2","t8"]},"normal_io":true,"enabled":false,"description":"text"})"},
        Asks{"set-mirror br7 s3 --gso-packets segment --mtu-policy truncate", "mirror.set",
             R"({"bridge":"br7","name":"s3","superframes":"cut","mtu_policy":"cut"})"},
        Asks{"set-mirror br7 s3 --superframes cut --mtu-policy cut", "mirror.set",
             R"({"bridge":"br7","name":"s3","superframes":"cut","mtu_policy":"cut"})"},
        Asks{"set-mirror br7 s3 --superframes keep --mtu-policy drop", "mirror.set",
             R"({"bridge":"br7","name":"s3","superframes":"keep","mtu_policy":"drop"})"},
        Asks{
            "add-mirror br7 s3 --source all --output t2 --may-exist", "mirror.add",
            R"({"bridge":"br7","name":"s3","sources":{"all":true},"destination":{"ports":["t2"]},"may_exist":true})"},
        Asks{
            "add-mirror br7 s3 --source-vlan 900 --source-vlan 1,2-4 --output t2", "mirror.add",
            R"({"bridge":"br7","name":"s3","sources":{"vlans":[900,1,2,3,4]},"destination":{"ports":["t2"]}})"},
        Asks{
            "set-mirror br7 s3 --source vnet* --source tap?[0-9]:to --source iface-id=vm-7 "
            "--source iface-id=a:b:ingress --source iface-id=a:b --source mac=52:54:00:00:00:07 "
            "--source mac=52:54:00:00:00:08:from",
            "mirror.set",
            R"({"bridge":"br7","name":"s3","sources":{"ports":[{"glob":"vnet*"},{"glob":"tap?[0-9]","direction":"to"},
                 {"iface_id":"vm-7","direction":"both"},{"iface_id":"a:b","direction":"from"},
                 {"iface_id":"a:b","direction":"both"},{"mac":"52:54:00:00:00:07","direction":"both"},
                 {"mac":"52:54:00:00:00:08","direction":"from"}]}})"},
        Asks{"set-mirror br7 s3 --rate 1000 --rate 5mbit", "mirror.set",
             R"({"bridge":"br7","name":"s3","rate":{"packets":1000,"bits":5000000}})"},
        Asks{"set-mirror br7 s3 --rate 1gbit --expires none", "mirror.set",
             R"({"bridge":"br7","name":"s3","rate":{"bits":1000000000},"expires":null})"},
        Asks{"set-mirror br7 s3 --rate none --expires 10m --expires 1000packets --expires 2gb", "mirror.set",
             R"({"bridge":"br7","name":"s3","rate":null,
                 "expires":{"seconds":600,"packets":1000,"bytes":2000000000}})"},
        Asks{"set-mirror br7 s3 --expires 1d", "mirror.set",
             R"({"bridge":"br7","name":"s3","expires":{"seconds":86400}})"},
        Asks{"add-mirror br7 r0 --source t1 --output-vlan 900 --keep-vlan --sample 10", "mirror.add",
             R"({"bridge":"br7","name":"r0","sources":{"ports":["t1"]},
                 "destination":{"vlan":900,"keep_vlan":true},"sample":10})"},
        Asks{"set-mirror br7 s3 --filter tcp,tp_dst=80 --filter arp --skip none", "mirror.set",
             R"({"bridge":"br7","name":"s3","filter":["tcp,tp_dst=80","arp"],"skip":null})"},
        Asks{"add-mirror br7 r0 --source t1 --output-vlan 900 --output up --snaplen 128", "mirror.add",
             R"({"bridge":"br7","name":"r0","sources":{"ports":["t1"]},
                 "destination":{"vlan":900,"ports":["up"]},"snaplen":128})"},
        Asks{"add-mirror br7 r1 --source-vlan 900 --output t2 --no-strip-vlan", "mirror.add",
             R"({"bridge":"br7","name":"r1","sources":{"vlans":[900]},
                 "destination":{"ports":["t2"],"strip_vlan":false}})"},
        Asks{"set-mirror br7 s3 --snaplen none", "mirror.set",
             R"({"bridge":"br7","name":"s3","snaplen":null})"},
        Asks{"set-mirror br7 s3 --no-normal-io", "mirror.set",
             R"({"bridge":"br7","name":"s3","normal_io":false})"},
        Asks{"set-mirror br7 s3 --source-vlan none", "mirror.set",
             R"({"bridge":"br7","name":"s3","sources":{"vlans":[]}})"},
        Asks{"set-mirror br7 s3 --output t9", "mirror.set",
             R"({"bridge":"br7","name":"s3","destination":{"ports":["t9"]}})"},
        Asks{"enable-mirror br7 s3", "mirror.enable", R"({"bridge":"br7","name":"s3"})"},
        Asks{"disable-mirror br7 s3", "mirror.disable", R"({"bridge":"br7","name":"s3"})"},
        Asks{"del-mirror br7 s3 --if-exists", "mirror.del",
             R"({"bridge":"br7","name":"s3","if_exists":true})"},
        Asks{"show-mirror br7 s3", "mirror.get", R"({"bridge":"br7","name":"s3"})"},
        Asks{"list-mirrors", "mirror.list", "{}"},
        Asks{"list-mirrors br7", "mirror.list", R"({"bridge":"br7"})"},
        Asks{"mirror-stats br7 s3", "mirror.stats", R"({"bridge":"br7","name":"s3"})"}));

INSTANTIATE_TEST_SUITE_P(
    Others, Requests,
    testing::Values(Asks{"who t3", "mirror.who", R"({"port":"t3"})"},
                    Asks{"explain br7 --in-port t3 --frame ff:ff:ff:ff:ff:ff:52:54:00:0a:0b:0d:08:06",
                         "mirror.explain",
                         R"({"bridge":"br7","in_port":"t3","frame":"ffffffffffff5254000a0b0d0806"})"},
                    Asks{"explain br7 --next", "mirror.explain", R"({"bridge":"br7","next":{"wait":10.0}})"},
                    Asks{"explain br7 --next --port t3 --match tcp,tp_dst=80 --wait 0.5", "mirror.explain",
                         R"({"bridge":"br7","in_port":"t3","next":{"match":"tcp,tp_dst=80","wait":0.5}})"},
                    Asks{"fdb br7", "fdb.list", R"({"bridge":"br7"})"},
                    Asks{"fdb br7 --flush", "fdb.flush", R"({"bridge":"br7"})"},
                    Asks{"mirror-stats", "mirror.stats", "{}"}, Asks{"version", "system.info", "{}"}));

struct Says {
  const char* arguments;
  const char* sentence;
};

class WrongUsage : public testing::TestWithParam<Says> {};

TEST_P(WrongUsage, EndsWithTwoAndAsksNoDaemon) {
  const Invocation tool(words(GetParam().arguments));
  EXPECT_EQ(tool.status, kWrongUsage);
  EXPECT_THAT(tool.calls, IsEmpty());
  EXPECT_THAT(tool.out, IsEmpty());
  EXPECT_THAT(tool.err, HasSubstr(GetParam().sentence));
}

INSTANTIATE_TEST_SUITE_P(
    Usage, WrongUsage,
    testing::Values(
        Says{"set-mirror br7 s7 --source t1,t3", "repeat --source for several"},
        Says{"add-mirror br7 s7 --source t1 --output t2,t3", "repeat --output for several"},
        Says{"set-mirror br7 s7 --output none", "disable-mirror"}, Says{"", "no command given"},
        Says{"bogus", "unknown command 'bogus'"}, Says{"list-br extra", "list-br does not take 'extra'"},
        Says{"list-br --bogus", "does not take '--bogus'"}, Says{"add-br", "bridge is required"},
        Says{"add-br a/b", "name: \"a/b\" cannot be the name of a device: it contains '/'"},
        Says{"add-port br0 lo", "name: lo is the loopback device"},
        Says{"add-port br0 p\xff", "it is not UTF-8"},
        Says{"add-br a-name-longer-than-it-may-be", "longer than 15 bytes"},
        Says{"set-br br0", "no setting to change"}, Says{"set-port p", "no setting to change"},
        Says{"set-mirror br0 s", "no setting to change"},
        Says{"add-port br0 p --tag 4096", "tag must be an integer from 0 to 4095 or null, not 4096"},
        Says{"add-port br0 p --tag x", "--tag takes a whole number or none, not 'x'"},
        Says{"add-port br0 p --trunks 1-", "not a list of VLANs"},
        Says{"add-port br0 p --trunks 9-1", "not a list of VLANs"},
        Says{"add-port br0 p --trunks 1,,2", "not a list of VLANs"},
        Says{"add-port br0 p --trunks 4096", "not a list of VLANs"},
        Says{"add-port br0 p --vlan-mode acces", "vlan_mode must be access, trunk"},
        Says{"add-port br0 p --type bogus",
             "type must be \"\", system, internal, gre, erspan or vxlan, not \"bogus\""},
        Says{"add-port br0 p --option remote_ip", "--option remote_ip: takes KEY=VALUE"},
        Says{"add-mirror br0 s --output t2", "no source given"},
        Says{"add-mirror br0 s --source t1", "no destination given"},
        Says{"add-mirror br0 s --source t1:rx --output t2", "after the colon comes from"},
        Says{"add-mirror br0 s --source all:from --output t2", "both directions"},
        Says{"set-mirror br0 s --filter tcp --filter none", "--filter none removes all matches"},
        Says{"add-mirror br0 s --source t1 --output-vlan 900-901", "takes one VLAN"},
        Says{"add-mirror br0 s --source t1 --output t2 --snaplen 13", "snaplen must be"},
        Says{"add-mirror br0 s --source t1 --output t2 --sample 0", "sample must be"},
        Says{"add-mirror br0 s --source t1 --output t2 --ttl 5",
             "--ttl applies to endpoints: add --endpoint IP"},
        Says{"set-mirror br0 s --rate fast", "--rate takes packets per second (1000)"},
        Says{"set-mirror br0 s --rate 0", "--rate takes"},
        Says{"set-mirror br0 s --rate 10kbyte", "--rate takes"},
        Says{"set-mirror br0 s --expires 10", "--expires takes a time"},
        Says{"set-mirror br0 s --expires 99999999999999999999d", "--expires takes a time"},
        Says{"set-mirror br0 s --expires connection", "the connection of this tool ends at once"},
        Says{"set-mirror br0 s --source mac=52:54:00:00:00:07:rx", "after the colon comes from"},
        Says{"set-mirror br0 s --source mac=52:54", "mac does not have the required form"},
        Says{"set-mirror br0 s --source vnet*:rx", "after the colon comes from"},
        Says{"set-mirror br0 s --disabled", "use disable-mirror and enable-mirror"},
        Says{"set-mirror br0 s --normal-io --no-normal-io", "--no-normal-io excludes --normal-io"},
        Says{"set-port p --no-protected --protected", "--no-protected excludes --protected"},
        Says{"set-br br0 --forward-bpdu --no-forward-bpdu", "--no-forward-bpdu excludes --forward-bpdu"},
        Says{"explain br0 --in-port t1", "--frame HEX or --pcap FILE"},
        Says{"explain br0 --frame ffffffffffff5254000a0b0c0800", "--in-port is required"},
        Says{"explain br0 --next --frame ffffffffffff5254000a0b0c0800", "excludes"},
        Says{"explain br0 --next --wait 0", "next.wait must be"},
        Says{"explain br0 --match tcp", "--match requires --next"},
        Says{"explain br0 --in-port t1 --frame 0011", "frame must be a string of 28 to 131070"},
        Says{"list-br --watch", "does not take '--watch'"},
        Says{"stats --interval 2", "--interval requires --watch"}));

/// The file that the example of import-mirrors reads.
std::string example_sessions() {
  const std::string path = testing::TempDir() + "example-vspan-" + std::to_string(::getpid()) + ".json";
  std::ofstream(path) << "[]";
  return path;
}

TEST(Arguments, EveryCommandHasAWorkingExampleAndHelp) {
  for (const Command* command : commands()) {
    std::istringstream examples(std::string(command->example));
    std::string example;
    do {
      std::getline(examples, example);
      std::vector<std::string> arguments = words(example);
      std::erase(arguments, "--watch");  // would go on for ever
      std::replace(arguments.begin(), arguments.end(), std::string("vspan.json"), example_sessions());
      arguments.insert(arguments.begin(), std::string(command->name));
      const Invocation tool(arguments);
      EXPECT_EQ(tool.status, kDone) << command->name << ": " << tool.err;
    } while (examples.good());
    const Invocation help({std::string(command->name), "--help"});
    EXPECT_EQ(help.status, kDone);
    EXPECT_THAT(help.out, HasSubstr("Example: vswitch-ctl " + std::string(command->name)));
  }
}

TEST(Arguments, ShowAsksThreeThings) {
  const Invocation tool({"show"});
  ASSERT_EQ(tool.calls.size(), 3u);
  EXPECT_EQ(tool.calls[0].first, "bridge.list");
  EXPECT_EQ(tool.calls[1].first, "port.list");
  EXPECT_EQ(tool.calls[2].first, "mirror.list");
}

TEST(Arguments, TheSocketIsFoundInTheOrderOfTheContract) {
  using Environment = std::map<std::string, std::string>;
  const auto socket = [](const std::string& line, const Environment& environment) {
    return Invocation(words(line), nullptr, environment).socket;
  };
  const Environment both = {{"VSWITCH_SOCKET", "/e/sock"}, {"OVS_RUNDIR", "/e/run"}};
  EXPECT_EQ(socket("list-br", {}), "/run/vswitch/db.sock");
  EXPECT_EQ(socket("list-br", {{"OVS_RUNDIR", "/e/run"}}), "/e/run/db.sock");
  EXPECT_EQ(socket("list-br", both), "/e/sock");
  EXPECT_EQ(socket("--rundir /r list-br", {{"OVS_RUNDIR", "/e/run"}}), "/r/db.sock");
  EXPECT_EQ(socket("list-br --rundir /r --socket /s", both), "/s");
  EXPECT_EQ(socket("list-br", {{"VSWITCH_SOCKET", ""}}), "/run/vswitch/db.sock");
}

TEST(Arguments, VersionAndHelpNeedNoDaemon) {
  EXPECT_EQ(Invocation({"--version"}).status, kDone);
  EXPECT_THAT(Invocation({"--version"}).out, HasSubstr("vswitch-ctl " VSWITCH_VERSION));
  const Invocation help({"--help"});
  EXPECT_THAT(help.out, HasSubstr("add-mirror"));
  EXPECT_THAT(help.calls, IsEmpty());
}

class CaptureFile : public testing::Test {
 protected:
  CaptureFile() : path_(testing::TempDir() + "vswitch-ctl-" + std::to_string(::getpid()) + ".pcap") {}
  ~CaptureFile() override { std::remove(path_.c_str()); }
  void write(const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; }
  Invocation explain(const std::string& more = "") {
    return Invocation(words("explain br7 --in-port t1 --pcap " + path_ + " " + more));
  }
  // Header and two frames of 14 bytes, big endian with nanoseconds: the order this machine does not have.
  std::string sample() {
    const auto word = [](std::uint32_t value) {
      std::string bytes;
      for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
      return bytes;
    };
    const auto record = [&](const std::string& frame) {
      const auto size = static_cast<std::uint32_t>(frame.size());
      return word(1) + word(2) + word(size) + word(size) + frame;
    };
    return word(0xa1b23c4d) + word(0x00020004) + word(0) + word(0) + word(65535) + word(1) +
           record(std::string(14, '\x11')) + record(std::string(15, '\xab'));
  }
  std::string path_;
};

TEST_F(CaptureFile, GivesTheFrameAskedFor) {
  write(sample());
  EXPECT_EQ(explain().calls.at(0).second["frame"], "1111111111111111111111111111");
  EXPECT_EQ(explain("--number 2").calls.at(0).second["frame"], "ababababababababababababababab");
}

TEST_F(CaptureFile, MayBePcapng) {
  const auto words_of = [](std::initializer_list<std::uint32_t> values) {
    std::string bytes;
    for (const std::uint32_t value : values)
      bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    return bytes;
  };
  // A section header, an interface with Ethernet frames, and an enhanced packet block with 14 bytes.
  write(words_of({0x0a0d0d0a, 28, 0x1a2b3c4d, 1, 0xffffffff, 0xffffffff, 28}) +
        words_of({1, 20, 1, 65535, 20}) + words_of({6, 48, 0, 0, 0, 14, 14}) + std::string(14, '\x22') +
        std::string(2, '\0') + words_of({48}));
  EXPECT_EQ(explain().calls.at(0).second["frame"], "2222222222222222222222222222");
  EXPECT_THAT(explain("--number 2").err, HasSubstr("has only 1 "));
}

TEST_F(CaptureFile, SaysWhatIsWrongWithIt) {
  write(sample());
  EXPECT_THAT(explain("--number 3").err, HasSubstr("has only 2 frames"));
  write(sample().substr(0, sample().size() - 1));
  EXPECT_THAT(explain("--number 2").err, HasSubstr("ends within a frame"));
  write(std::string(24, 'x'));
  EXPECT_THAT(explain().err, HasSubstr("is not a readable pcap file"));
  write("\x0a\x0d\x0d\x0a" + std::string(24, '\0'));
  EXPECT_THAT(explain().err, HasSubstr("is not a readable pcap file"));
  write("");
  EXPECT_EQ(explain().status, kWrongUsage);
}

}  // namespace
}  // namespace vswitch::ctl
