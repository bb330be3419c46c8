// SPDX-License-Identifier: Apache-2.0
// Arguments become exactly these requests, or wrong usage with a sentence, without any daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <span>
#include <sstream>

#include "ctl/capture_file.h"
#include "ctl/command.h"
#include "ctl/frame_text.h"
#include "ctl/pcapng.h"
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
    Health, Requests,
    testing::Values(
        Asks{"check", "system.check", "{}"}, Asks{"check --nagios", "system.check", "{}"},
        Asks{"metrics", "system.metrics", "{}"}, Asks{"events", "system.events", "{}"},
        Asks{
            "events br7 s3 --since 2h --topic mirror.state --topic mirror.loss --limit 7", "system.events",
            R"({"bridge":"br7","name":"s3","seconds":7200,"topics":["mirror.state","mirror.loss"],"limit":7})"},
        Asks{"events --since 2026-01-05T08:00:00Z", "system.events", R"({"since":"2026-01-05T08:00:00Z"})"},
        Asks{"events --since 41", "system.events", R"({"after":41})"}));

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
        Asks{"set-port p3 --external-id iface-id=vm-7 --external-id a=b=c --external-id old= --mtu 9000",
             "port.set",
             R"({"name":"p3","external_ids":{"iface-id":"vm-7","a":"b=c","old":null},"mtu_request":9000})"},
        Asks{"set-port p3 --mtu none --option key=", "port.set",
             R"({"name":"p3","mtu_request":null,"options":{"key":null}})"},
        Asks{"add-port br7 p3 --type patch --option peer=p4", "port.add",
             R"({"bridge":"br7","name":"p3","type":"patch","options":{"peer":"p4"}})"},
        Asks{"add-port br7 p3 --type tap", "port.add", R"({"bridge":"br7","name":"p3","type":"tap"})"},
        Asks{"add-port br7 p3 --type ip6gre --option remote_ip=2001:db8::1", "port.add",
             R"({"bridge":"br7","name":"p3","type":"ip6gre","options":{"remote_ip":"2001:db8::1"}})"},
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
        Asks{"set-mirror br7 s3 --src t1:rx --src t3:tx -s t4:in -s t5:out -s vnet*:rx -s iface-id=vm-7:tx",
             "mirror.set",
             R"({"bridge":"br7","name":"s3","sources":{"ports":[{"name":"t1","direction":"from"},
                 {"name":"t3","direction":"to"},{"name":"t4","direction":"from"},{"name":"t5","direction":"to"},
                 {"glob":"vnet*","direction":"from"},{"iface_id":"vm-7","direction":"to"}]}})"},
        Asks{
            "set-mirror br7 s3 --source mac=5254.0012.34AB --source mac=52-54-00-12-34-57:rx "
            "--source mac=525400123458 --source mac=52:54:00:12:34:59:both",
            "mirror.set",
            R"({"bridge":"br7","name":"s3","sources":{"ports":[{"mac":"52:54:00:12:34:AB","direction":"both"},
                 {"mac":"52:54:00:12:34:57","direction":"from"},{"mac":"52:54:00:12:34:58","direction":"both"},
                 {"mac":"52:54:00:12:34:59","direction":"both"}]}})"},
        Asks{"add-mirror br7 s3 --source all:from --to t2", "mirror.add",
             R"({"bridge":"br7","name":"s3","sources":{"ports":[{"glob":"*","direction":"from"}]},
                 "destination":{"ports":["t2"]}})"},
        Asks{
            "add-mirror br7 s3 --src t1 --dst t2 --destination t8", "mirror.add",
            R"({"bridge":"br7","name":"s3","sources":{"ports":["t1"]},"destination":{"ports":["t2","t8"]}})"},
        Asks{"set-mirror br7 s3 --output none --output-vlan none --no-keep-vlan", "mirror.set",
             R"({"bridge":"br7","name":"s3","destination":{"ports":[],"vlan":null,"keep_vlan":false}})"},
        Asks{"set-mirror br7 er0 --ttl inherit --dscp inherit", "mirror.set",
             R"({"bridge":"br7","name":"er0","destination":{"endpoints":[
                 {"ttl":null,"inherit_ttl":true,"dscp":null,"inherit_dscp":true}]}})"},
        Asks{"set-mirror br7 er0 --encap erspan3 --ttl none --no-subheader", "mirror.set",
             R"({"bridge":"br7","name":"er0",
                 "destination":{"endpoints":[{"encap":"erspan3","ttl":null,"inherit_ttl":false,"subheader":false}]}})"},
        Asks{"set-mirror br7 er0 -e 10.0.0.1 -e 2001:db8::1 --key 7 --local-ip none --timestamp none "
             "--session-id 5 --index 6 --cos 3 --hwid 8 --dst-port 9 --dscp 10",
             "mirror.set",
             R"({"bridge":"br7","name":"er0","destination":{"endpoints":[
                 {"ip":"10.0.0.1","key":7,"local_ip":null,"timestamp":null,"session_id":5,"index":6,"cos":3,
                  "hwid":8,"dst_port":9,"dscp":10,"inherit_dscp":false},
                 {"ip":"2001:db8::1","key":7,"local_ip":null,"timestamp":null,"session_id":5,"index":6,"cos":3,
                  "hwid":8,"dst_port":9,"dscp":10,"inherit_dscp":false}]}})"},
        Asks{"set-mirror br7 s3 --rate 10kpps --rate 10M", "mirror.set",
             R"({"bridge":"br7","name":"s3","rate":{"packets":10000,"bits":10000000}})"},
        Asks{"set-mirror br7 s3 --rate 7Gbps --expires 10min", "mirror.set",
             R"({"bridge":"br7","name":"s3","rate":{"bits":7000000000},"expires":{"seconds":600}})"},
        Asks{
            "set-mirror br7 s3 --rate 3Mb/s --expires 2hours --expires 5GB", "mirror.set",
            R"({"bridge":"br7","name":"s3","rate":{"bits":3000000},"expires":{"seconds":7200,"bytes":5000000000}})"},
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
        Asks{"add-mirror br7 s3 --source t1 --output t2 --cpu-budget 12", "mirror.add",
             R"({"bridge":"br7","name":"s3","sources":{"ports":["t1"]},
                 "destination":{"ports":["t2"]},"cpu_budget":12})"},
        Asks{"add-mirror br7 s3 --source t1 --record 65MB,7min", "mirror.add",
             R"({"bridge":"br7","name":"s3","sources":{"ports":["t1"]},
                 "destination":{"record_bytes":65000000,"record_seconds":420}})"},
        Asks{"set-mirror br7 s3 --record 9m", "mirror.set",
             R"({"bridge":"br7","name":"s3","destination":{"record_bytes":null,"record_seconds":540}})"},
        Asks{"set-mirror br7 s3 --record 9M", "mirror.set",
             R"({"bridge":"br7","name":"s3","destination":{"record_bytes":9000000,"record_seconds":null}})"},
        Asks{"set-mirror br7 s3 --cpu-budget none", "mirror.set",
             R"({"bridge":"br7","name":"s3","cpu_budget":null})"},
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
        Asks{"mirror-stats br7 s3", "mirror.stats", R"({"bridge":"br7","name":"s3"})"},
        Asks{"mirror-stats br7 s3 --reset", "mirror.reset", R"({"bridge":"br7","name":"s3"})"}));

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
        Says{"set-mirror br7 s7 --output none --output t2", "disable-mirror"},
        Says{"", "no command given\n`vswitch-ctl help` lists the commands"},
        Says{"bogus", "unknown command 'bogus'\n"}, Says{"list-br extra", "list-br does not take 'extra'"},
        Says{"list-br --bogus", "does not take '--bogus'"},
        Says{"add-br",
             "vswitch-ctl: add-br: bridge is required: vswitch-ctl add-br BRIDGE\n`vswitch-ctl help add-br` "
             "shows the arguments\n"},
        Says{"add-mirror br7",
             "vswitch-ctl: add-mirror: session is required: vswitch-ctl add-mirror BRIDGE "
             "SESSION\n`vswitch-ctl help add-mirror` "},
        Says{"add-br a/b", "vswitch-ctl: \"a/b\" cannot be the name of a device: it contains '/'"},
        Says{"add-port br0 lo", "vswitch-ctl: lo is the loopback device"},
        Says{"add-port br0 p\xff", "it is not UTF-8"},
        Says{"add-br a-name-longer-than-it-may-be", "longer than 15 bytes"},
        Says{"set-br br0", "no setting to change"}, Says{"set-port p", "no setting to change"},
        Says{"set-mirror br0 s", "no setting to change"},
        Says{"add-port br0 p --tag 4096", "--tag must be a whole number from 0 to 4095 or none, not 4096"},
        Says{"add-port br0 p --tag x", "--tag takes a whole number or none, not 'x'"},
        Says{"add-port br0 p --trunks 1-", "not a list of VLANs"},
        Says{"add-port br0 p --trunks 9-1", "not a list of VLANs"},
        Says{"add-port br0 p --trunks 1,,2", "not a list of VLANs"},
        Says{"add-port br0 p --trunks 4096", "not a list of VLANs"},
        Says{"add-port br0 p --vlan-mode acces",
             "--vlan-mode must be access, trunk, native-tagged, native-untagged, dot1q-tunnel or none, not "},
        Says{"add-port br0 p --type bogus",
             "--type must be system, internal, tap, patch, gre, erspan, vxlan, geneve, ip6gre or ip6erspan, "
             "not \"bogus\""},
        Says{"add-port br0 p --type gre --option remote-ip=10.0.0.1",
             "--option remote-ip: there is no such option; did you mean remote_ip?"},
        Says{"set-port p --external-id vm-7", "--external-id vm-7: takes KEY=VALUE"},
        Says{"set-port p --mtu 9", "--mtu must be a whole number from 68 to 65535 or none, not 9"},
        Says{"add-port br0 p --option remote_ip", "--option remote_ip: takes KEY=VALUE"},
        Says{"add-mirror br0 s --output t2", "no source given"},
        Says{"add-mirror br0 s --source t1", "no destination given"},
        Says{"add-mirror br0 s --source t1:up --output t2", "after the colon comes from"},
        Says{"add-mirror br0 s --source all:up --output t2", "after the colon comes from"},
        Says{"set-mirror br0 s --filter tcp --filter none", "--filter none removes all matches"},
        Says{"add-mirror br0 s --source t1 --output-vlan 900-901",
             "--output-vlan takes a whole number or none, not '900-901'"},
        Says{"add-mirror br0 s --source t1 --output-vlan 4096",
             "--output-vlan must be a whole number from 1 to 4095 or none, not 4096"},
        Says{"add-mirror br0 s --source t1 --output t2 --snaplen 13", "--snaplen must be"},
        Says{"add-mirror br0 s --source t1 --record 64",
             "--record must be a whole number from 1000000 to 500000000"},
        Says{"add-mirror br0 s --source t1 --record 2d", "--record must be a whole number from 1 to 86400"},
        Says{"add-mirror br0 s --source t1 --record 64MB,5MB", "(64MB,5min), not '64MB,5MB'"},
        Says{"add-mirror br0 s --source t1 --record 5min,", "(64MB,5min), not '5min,'"},
        Says{"add-mirror br0 s --source t1 --output t2 --sample 0", "--sample must be"},
        Says{"add-mirror br0 s --source t1 --output t2/3",
             "--output: \"t2/3\" cannot be the name of a device"},
        Says{"add-mirror br0 s --source t1 --endpoint 10.0.0.1 --session-id 1024",
             "--session-id must be a whole number from 0 to 1023 or none, not 1024"},
        Says{"set-mirror br0 s --encap erspan",
             "--encap must be gre, erspan1, erspan2, erspan3, vxlan or geneve, not \"erspan\""},
        Says{"add-mirror br0 s --source t1 --output t2 --session-id 5",
             "--session-id applies to endpoints: add --endpoint IP"},
        Says{"set-mirror br0 s --rate 2000000gbit", "--rate must be a whole number from 1 to"},
        Says{"add-mirror br0 s --source t1 --outptu t2", "does not take '--outptu'; did you mean --output?"},
        Says{"add-mirror br0 s --source t1 --session_id=5", "'--session_id=5'; did you mean --session-id?"},
        Says{"list-br --jsonn", "does not take '--jsonn'; did you mean --json?"},
        Says{"list-mirror", "unknown command 'list-mirror'; did you mean list-mirrors?"},
        Says{"show-mirrors", "did you mean show-mirror?"}, Says{"add-brr br0", "did you mean add-br?"},
        Says{"list-bridges", "did you mean list-br?"}, Says{"help add-brr", "did you mean add-br?"},
        Says{"create-mirror br0 s", "did you mean add-mirror?"},
        Says{"delete-session br0 s", "did you mean del-mirror?"},
        Says{"get-port t1", "did you mean show-port?"},
        Says{"mirror add br0 s", "unknown command 'mirror'; did you mean add-mirror?"},
        Says{"set interface t1 mtu_request=9000", "unknown command 'set'; did you mean set-port?"},
        Says{"port show t1", "show does not take 'port'; did you mean show-port?"},
        Says{"SHOW", "did you mean show?"}, Says{"-v", "unknown option '-v'"},
        Says{"add-port br0 t5 tag=10", "does not take 'tag=10'; did you mean --tag 10?"},
        Says{"add-port br0 t5 --vlan 10", "does not take '--vlan'; did you mean --tag?"},
        Says{"list-mirrors --format json", "does not take '--format'; did you mean --json?"},
        Says{"add-port br0 t5 -- set interface t5 type=internal", "takes one command at a time"},
        Says{"show-mirror br0", "session is required: vswitch-ctl show-mirror BRIDGE SESSION"},
        Says{"add-mirror br0 s --source t1 --endpoint host.example", "names are not looked up"},
        Says{"add-mirror br0 s --source t1 --endpoint 10.0.0.1:4789", "takes an address without a port"},
        Says{"add-mirror br0 s --source t1 --endpoint [2001:db8::1]:4789", "takes an address without a port"},
        Says{"add-mirror br0 s --source t1 --endpoint []", "is not an IPv4 or IPv6 address"},
        Says{"add-mirror br0 s --source t1 --output t2 --ttl 5",
             "--ttl applies to endpoints: add --endpoint IP"},
        Says{"set-mirror br0 s --rate fast", "--rate takes packets per second (1000)"},
        Says{"set-mirror br0 s --rate 0", "--rate takes"},
        Says{"set-mirror br0 s --rate 10kbyte", "--rate takes"},
        Says{"set-mirror br0 s --expires 10", "--expires takes a time"},
        Says{"set-mirror br0 s --expires 99999999999999999999d", "--expires takes a time"},
        Says{"set-mirror br0 s --expires connection", "the connection of this tool ends at once"},
        Says{"set-mirror br0 s --source mac=52:54:00:00:00:07:up", "after the colon comes from"},
        Says{"set-mirror br0 s --source mac=52:54",
             "--source mac=52:54: 52:54 is not a MAC address, such as"},
        Says{"set-mirror br0 s --source mac=5254.0012.345g", "is not a MAC address"},
        Says{"set-mirror br0 s --source vnet*:up", "after the colon comes from"},
        Says{"set-mirror br0 s --disabled", "use disable-mirror and enable-mirror"},
        Says{"set-mirror br0 s --normal-io --no-normal-io", "--no-normal-io excludes --normal-io"},
        Says{"set-port p --no-protected --protected", "--no-protected excludes --protected"},
        Says{"set-br br0 --forward-bpdu --no-forward-bpdu", "--no-forward-bpdu excludes --forward-bpdu"},
        Says{"explain br0 --in-port t1", "--frame HEX or --pcap FILE"},
        Says{"explain br0 --frame ffffffffffff5254000a0b0c0800", "--in-port is required"},
        Says{"explain br0 --next --frame ffffffffffff5254000a0b0c0800", "excludes"},
        Says{"explain br0 --next --wait 0", "--wait takes a number of seconds, such as 0.5 or 30, not '0'"},
        Says{"explain br0 --match tcp", "--match requires --next"},
        Says{"explain br0 --in-port t1 --frame 0011",
             "--frame must be 14 to 65535 bytes in hexadecimal, not 2"},
        Says{"list-br --timeout abc", "--timeout takes a number of seconds, such as 0.5 or 30, not 'abc'"},
        Says{"version --watch", "does not take '--watch'"},
        Says{"stats --interval 2", "--interval requires --watch"}));

/// The file that the example of import-mirrors reads.
std::string example_sessions() {
  const std::string path = testing::TempDir() + "example-vspan-" + std::to_string(::getpid()) + ".json";
  std::ofstream(path) << "[]";
  return path;
}

/// The file that the examples of apply read.
std::string example_document() {
  const std::string path = testing::TempDir() + "example-site-" + std::to_string(::getpid()) + ".json";
  std::ofstream(path) << R"({"version": 1, "bridges": {}})";
  return path;
}

/// The file that an example of explain reads: one frame.
std::string example_capture() {
  std::string text;
  pcapng::add_section(text, "test");
  pcapng::add_interface(text, "t1", 0);
  const std::array<std::byte, 14> frame{};
  pcapng::add_packet(text, {.interface = 0, .length = 14, .bytes = frame});
  const std::string path = testing::TempDir() + "example-" + std::to_string(::getpid()) + ".pcapng";
  std::ofstream(path) << text;
  return path;
}

TEST(Arguments, EveryCommandHasAWorkingExampleAndHelp) {
  for (const Command* command : commands()) {
    std::istringstream examples(std::string(command->example));
    std::string example;
    do {
      std::getline(examples, example);
      std::vector<std::string> arguments = words(example);
      if (std::erase(arguments, "--watch") != 0)  // would go on for ever
        arguments.insert(arguments.end(), {"--watch", "--count", "1"});
      std::replace(arguments.begin(), arguments.end(), std::string("vspan.json"), example_sessions());
      std::replace(arguments.begin(), arguments.end(), std::string("site.json"), example_document());
      std::replace(arguments.begin(), arguments.end(), std::string("br0.json"), example_document());
      std::replace(arguments.begin(), arguments.end(), std::string("t1.pcapng"), example_capture());
      std::replace(arguments.begin(), arguments.end(), std::string("leaving.pcapng"),
                   testing::TempDir() + "leaving-" + std::to_string(::getpid()) + ".pcapng");
      arguments.insert(arguments.begin(), std::string(command->name));
      if (command->name != "capture" && command->name != "dump-record") {  // need a daemon that goes on
        const Invocation tool(arguments);
        EXPECT_EQ(tool.status, kDone) << command->name << ": " << tool.err;
      }
    } while (examples.good());
    const Invocation help({std::string(command->name), "--help"});
    EXPECT_EQ(help.status, kDone);
    EXPECT_THAT(help.out, HasSubstr("Example: vswitch-ctl " + std::string(command->name)));
  }
}

TEST(Arguments, DevicesAreReleasedByVswitchdWithoutADaemon) {
  using Words = std::vector<std::string>;
  const Invocation tool({"--rundir", "/run/x", "release-devices"});
  EXPECT_EQ(tool.status, kDone);
  EXPECT_EQ(tool.vswitchd, (Words{"--rundir", "/run/x", "--release-devices"}));
  EXPECT_TRUE(tool.calls.empty());
  EXPECT_EQ(Invocation({"release-devices", "--cleanup"}, nullptr, {{"OVS_RUNDIR", "/run/y"}}).vswitchd,
            (Words{"--rundir", "/run/y", "--release-devices", "--cleanup"}));
  EXPECT_EQ(Invocation({"release-devices", "t1"}).status, kWrongUsage);
}

TEST(Arguments, ShowAsksThreeThings) {
  using Calls = std::vector<std::pair<std::string, Json>>;
  const Json none = Json::object();
  EXPECT_EQ(Invocation({"show"}).calls,
            (Calls{{"bridge.list", none}, {"port.list", none}, {"mirror.list", none}}));
  const Json br7 = {{"bridge", "br7"}};
  EXPECT_EQ(Invocation({"show", "br7"}).calls,
            (Calls{{"bridge.list", br7}, {"port.list", br7}, {"mirror.list", br7}}));
}

TEST(Arguments, HelpIsACommandToo) {
  EXPECT_EQ(Invocation({"help"}).out, Invocation({"--help"}).out);
  EXPECT_EQ(Invocation({"help"}).status, kDone);
  EXPECT_EQ(Invocation({"help", "add-mirror"}).out, Invocation({"add-mirror", "--help"}).out);
  EXPECT_EQ(Invocation({"help", "add-mirror"}).status, kDone);
  EXPECT_THAT(Invocation({"add-mirror", "--help"}).out, HasSubstr("add-mirror br0 span0 --source t1"));
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

TEST_F(CaptureFile, GivesAllFramesInAFewLinesEach) {
  write(sample());
  const Invocation tool = explain();
  ASSERT_EQ(tool.calls.size(), 2U);
  EXPECT_EQ(tool.calls.at(1).second,
            (Json{{"bridge", "br7"}, {"in_port", "t1"}, {"frame", "ababababababababababababababab"}}));
  EXPECT_EQ(tool.out,
            "frame 1: 11:11:11:11:11:11 > 11:11:11:11:11:11 EtherType 0x1111, 14 bytes\n"
            "    arrives on t1 in VLAN 0; broadcast: floods to t2\n"
            "    t2 gets it as: 52:54:00:0a:0b:0c > ff:ff:ff:ff:ff:ff EtherType 0x0800\n"
            "    t2 gets a copy of span0: 52:54:00:0a:0b:0c > ff:ff:ff:ff:ff:ff EtherType 0x0800\n"
            "frame 2: ab:ab:ab:ab:ab:ab > ab:ab:ab:ab:ab:ab EtherType 0xabab, 15 bytes\n"
            "    arrives on t1 in VLAN 0; broadcast: floods to t2\n"
            "    t2 gets it as: 52:54:00:0a:0b:0c > ff:ff:ff:ff:ff:ff EtherType 0x0800\n"
            "    t2 gets a copy of span0: 52:54:00:0a:0b:0c > ff:ff:ff:ff:ff:ff EtherType 0x0800\n"
            "2 frames: 2 forwarded, 0 not; copied by span0: 2\n");
  EXPECT_EQ(tool.err, "");
  const Invocation one = explain("--limit 1");
  EXPECT_EQ(one.calls.size(), 1U);
  EXPECT_THAT(one.err, HasSubstr("the file has more frames; --limit N takes more of them"));
  const Json frames = Json::parse(explain("--json").out)["frames"];
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[1]["number"], 2);
  EXPECT_EQ(frames[1]["frame"], "ababababababababababababababab");
  EXPECT_EQ(frames[1]["explanation"], test::example_result("mirror.explain"));
}

TEST_F(CaptureFile, IsExplainedUpToItsDamage) {
  write(sample() + sample().substr(24, 16 + 14) + "torn");
  const Invocation tool = explain();
  EXPECT_EQ(tool.status, kDone);
  EXPECT_EQ(tool.calls.size(), 3U);
  EXPECT_THAT(tool.err, HasSubstr("the file ends within a frame or is damaged"));
}

TEST_F(CaptureFile, WhatLeavesIsWritten) {
  write(sample());
  const std::string leaving = path_ + ".leaving";
  ASSERT_EQ(explain("-w " + leaving).status, kDone);
  const CapturedFrames frames = frames_of_capture(leaving, 1, 100);
  std::remove(leaving.c_str());
  ASSERT_EQ(frames.frames.size(), 4U) << "the frame and its copy, twice";
  EXPECT_EQ(frames.frames[0].unix_time_ns, 1'000'000'002U);
  EXPECT_EQ(frames.frames[3].bytes, bytes_of_hex("ffffffffffff5254000a0b0c0800"));
  EXPECT_THAT(explain("-w /nowhere/x").err, HasSubstr("cannot write /nowhere/x"));
  EXPECT_EQ(explain("-w -").status, kWrongUsage);
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
