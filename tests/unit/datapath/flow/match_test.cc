// SPDX-License-Identifier: Apache-2.0
// Filters: which matches there are, which frames they match, and what sessions make of it. The differential
// test (tests/system/test_filter.py) compares both with Open vSwitch itself.
#include "datapath/flow/match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "datapath/pipeline/pipeline.h"
#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

using testing::HasSubstr;

std::string u16(unsigned value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

const std::string kMacA = bytes({2, 0, 0, 0, 0, 0x0a});
const std::string kMacB = bytes({2, 0, 0, 0, 0, 0x0b});

std::string address6(int last) {
  return bytes({0x20, 0x01, 0x0d, 0xb8}) + std::string(11, '\0') + static_cast<char>(last);
}

// Headers with values that differ from each other and from zero.

/// From port 1234 to 80; `flags` as in the header.
std::string tcp(unsigned flags) {
  return u16(1234) + u16(80) + std::string(8, 'n') + u16(0x5000 | flags) + std::string(6, 'w');
}
std::string udp() {
  return u16(5353) + u16(8053) + u16(12) + u16(0xcccc) + "data";
}
std::string sctp() {
  return u16(3868) + u16(3869) + std::string(8, 's');
}
std::string icmp(int type, int code) {
  return bytes({type, code}) + std::string(6, 'i');
}

/// 10.1.2.3 to 192.0.2.9 with TOS 0xb9 and TTL 61.
std::string ipv4(int protocol, const std::string& payload, unsigned fragment = 0) {
  return bytes({0x45, 0xb9}) + u16(20 + static_cast<unsigned>(payload.size())) + u16(7) + u16(fragment) +
         bytes({61, protocol}) + u16(0xcccc) + bytes({10, 1, 2, 3, 192, 0, 2, 9}) + payload;
}

/// 2001:db8::5 to 2001:db8::6 with traffic class 0xb9, label 0x54321 and hop limit 62.
std::string ipv6(int next, const std::string& payload) {
  return bytes({0x6b, 0x95, 0x43, 0x21}) + u16(static_cast<unsigned>(payload.size())) + bytes({next, 62}) +
         address6(5) + address6(6) + payload;
}

/// Asked by kMacA at 10.1.2.3 for 192.0.2.9.
std::string arp(unsigned operation) {
  return bytes({0, 1, 8, 0, 6, 4}) + u16(operation) + kMacA + bytes({10, 1, 2, 3}) + kMacB +
         bytes({192, 0, 2, 9});
}

std::string neighbour(int type, int option) {
  return bytes({type, 0}) + std::string(6, '\0') + address6(9) + bytes({option, 1}) + kMacB;
}

FrameBuilder ip(const std::string& packet) {
  return frame().ether_type((packet[0] >> 4) == 4 ? 0x0800 : 0x86dd).text(packet);
}

/// The key of a frame that a trunk port received.
FlowKey key_of(const std::vector<std::uint8_t>& frame_bytes) {
  const ParseResult parsed = parse({.bytes = frame_bytes, .stripped_tag = {}, .offload = {}});
  EXPECT_EQ(parsed.drop, DropReason::none);
  TagList wire;
  if (parsed.frame.tag) wire.push_back(*parsed.frame.tag);
  return {parsed.frame, *arrive({}, wire)};
}

bool matches(const std::string& text, const std::vector<std::uint8_t>& frame_bytes) {
  const Match::Parsed parsed = Match::parse(text);
  EXPECT_TRUE(parsed.match) << text << ": " << parsed.trouble;
  return parsed.match && parsed.match->matches(key_of(frame_bytes));
}

struct Case {
  const char* what;
  FrameBuilder frame;
  std::vector<const char*> matching;
  std::vector<const char*> not_matching;
};

void PrintTo(const Case& at, std::ostream* out) {
  *out << at.what;
}

class FilterOn : public testing::TestWithParam<Case> {};

TEST_P(FilterOn, Frame) {
  const Case& at = GetParam();
  for (const char* text : at.matching) EXPECT_TRUE(matches(text, at.frame.bytes())) << text;
  for (const char* text : at.not_matching) EXPECT_FALSE(matches(text, at.frame.bytes())) << text;
}

const Case kCases[] = {
    {"tcp",
     ip(ipv4(6, tcp(0x002))),
     {"eth",
      "ip",
      "tcp",
      "ip4",
      "ipv4",
      "dl_type=0x0800",
      "eth_type=2048",
      "dl_src=02:00:00:00:00:50",
      "eth_dst=2:0:0:0:0:d0",
      "dl_dst=00:00:00:00:00:00/01:00:00:00:00:00",
      "dl_vlan=0xffff",
      "dl_vlan=65535",
      "vlan_tci=0",
      "vlan_tci=0/0x1000",
      "vlan_vid=0",
      "vlan_tci=0/0xe000",
      "ip,nw_src=10.1.2.3",
      "tcp,ip_src=10.0.0.0/8",
      "ip,nw_src=10.0.2.0/255.0.255.0",
      "ip,nw_src=1.2.3.4/0",
      "ip,nw_dst=192.0.2.8/31",
      "ip,nw_proto=6",
      "tcp,nw_tos=184",
      "tcp,nw_tos=187",
      "ip,ip_dscp=46",
      "ip,nw_ecn=1",
      "ip,ip_dscp=46,ip_ecn=1",
      "ip,nw_ttl=61",
      "ip,ip_frag=no",
      "ip,nw_frag=NOT_later",
      "tcp,tp_src=1234",
      "tcp,tcp_dst=80",
      "tp_dst=80,nw_proto=6,ip",
      "tcp,tp_dst=0x50/0xfff0",
      "tcp,tp_dst=0x51/0xfff0",
      "tcp tp_dst:0120",
      ",tcp,,\ttp_src=*,\n",
      "tcp,tp_dst=80-90",
      "tcp,tp_dst=80-80,tp_src=0-65535",
      "tcp,tcp_flags=2",
      "tcp,tcp_flags=syn",
      "tcp,tcp_flags=+syn-ack",
      "tcp,tcp_flags=0x002/0x012"},
     {"ipv6",
      "udp",
      "tcp6",
      "arp",
      "dl_src=02:00:00:00:00:51",
      "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
      "dl_vlan=0",
      "vlan_vid=0x1000/0x1000",
      "ip,nw_src=10.1.2.4",
      "ip,nw_dst=192.0.2.10/31",
      "ip,nw_proto=17",
      "ip,ip_dscp=45",
      "ip,nw_ecn=0",
      "ip,nw_ttl=60",
      "ip,ip_frag=yes",
      "tcp,tp_src=80",
      "tcp,tp_dst=81-90",
      "tcp,tp_dst=0-79",
      "tcp,tp_dst=80-90,tp_src=1000-1233",
      "tcp,tcp_flags=+syn+ack",
      "tcp,tcp_flags=ack",
      "tcp,tcp_flags=syn|ack"}},
    {"tcp with all flags",
     ip(ipv4(6, tcp(0xfff))),
     {"tcp,tcp_flags=0xfff", "tcp,tcp_flags=+fin+syn+rst+psh+ack+urg+ece+cwr+ns", "tcp,tcp_flags=+cwr"},
     {"tcp,tcp_flags=fin|syn|rst|psh|ack|urg|ece|cwr|ns", "tcp,tcp_flags=-ns"}},
    {"udp", ip(ipv4(17, udp())), {"udp,udp_dst=8053", "udp,udp_src=5353", "udp,tp_dst=8000-8100"}, {"tcp"}},
    {"sctp", ip(ipv4(132, sctp())), {"sctp", "sctp,sctp_src=3868", "sctp,sctp_dst=0xf1d/0xffff"}, {"udp"}},
    {"icmp",
     ip(ipv4(1, icmp(3, 4))),
     {"icmp", "icmp,icmp_type=3", "icmp,icmp_type=3,icmp_code=4", "icmp,tp_src=3,tp_dst=4"},
     {"icmp,icmp_type=8", "icmp,icmp_code=0", "icmp6"}},
    {"first fragment",
     ip(ipv4(6, tcp(0x010), 0x2000)),
     {"ip,ip_frag=yes", "ip,ip_frag=first", "ip,ip_frag=not_later", "tcp,tp_dst=80"},
     {"ip,ip_frag=no", "ip,ip_frag=later"}},
    {"later fragment, whose first bytes look like ports",
     ip(ipv4(6, tcp(0x010), 0x2001)),
     {"ip,ip_frag=yes", "ip,ip_frag=later", "tcp", "tcp,tp_dst=0", "tcp,tcp_flags=0"},
     {"ip,ip_frag=no", "ip,ip_frag=first", "ip,ip_frag=not_later", "tcp,tp_dst=80"}},
    {"tagged",
     ip(ipv4(6, tcp(0x010))).vlan(10, 5).dei(),
     {"dl_vlan=10", "vlan_vid=0x100a", "dl_vlan=0xa,dl_vlan_pcp=5", "vlan_pcp=5", "vlan_tci=0xb00a",
      "vlan_tci=0x1000/0x1000", "vlan_vid=0x1002/0x1006", "vlan_vid=2/6", "dl_vlan=10,tcp,tp_dst=80"},
     {"dl_vlan=11", "dl_vlan=0xffff", "vlan_tci=0", "vlan_vid=0", "vlan_pcp=4", "dl_vlan=5",
      "dl_type=0x8100"}},
    {"tagged with priority 0 in VLAN 0",
     ip(ipv4(6, tcp(0x010))).vlan(0),
     {"dl_vlan=0", "vlan_tci=0x1000", "vlan_tci=0/0xefff", "vlan_pcp=0", "tcp"},
     {"dl_vlan=0xffff", "vlan_tci=0"}},
    {"service tag",
     ip(ipv4(6, tcp(0x010))).vlan(7, 0, kTpid8021ad),
     {"dl_vlan=7", "dl_vlan=7,tcp"},
     {"dl_type=0x88a8"}},
    {"two tags",
     ip(ipv4(6, tcp(0x010))).vlan(7, 0, kTpid8021ad).vlan(10),
     {"dl_vlan=7", "dl_vlan=7,dl_type=0x8100"},
     {"ip", "tcp", "dl_vlan=10"}},
    {"arp",
     frame().ether_type(0x0806).text(arp(1)),
     {"arp", "arp,arp_op=1", "arp,arp_spa=10.0.0.0/8", "arp,arp_tpa=192.0.2.9", "arp,nw_src=10.1.2.3",
      "arp,nw_proto=1", "arp,arp_sha=02:00:00:00:00:0a", "arp,arp_tha=00:00:00:00:00:0b/00:00:00:00:00:0f"},
     {"rarp", "arp,arp_op=2", "ip", "arp,arp_sha=02:00:00:00:00:0b"}},
    {"rarp",
     frame().ether_type(0x8035).text(arp(3)),
     {"rarp", "rarp,arp_op=3", "rarp,arp_spa=10.1.2.3"},
     {"arp"}},
    {"arp with an operation of two bytes",
     frame().ether_type(0x0806).text(arp(257)),
     {"arp,arp_op=0", "arp,arp_spa=10.1.2.3"},
     {"arp,arp_op=1"}},
    {"arp of another hardware",
     frame().ether_type(0x0806).text(arp(1).replace(1, 1, 1, '\7')),
     {"arp", "arp,arp_op=0,arp_spa=0.0.0.0"},
     {"arp,arp_op=1"}},
    {"arp cut short",
     frame().ether_type(0x0806).text(arp(1).substr(0, 27)),
     {"arp,arp_op=0"},
     {"arp,arp_op=1"}},
    {"tcp over ipv6",
     ip(ipv6(6, tcp(0x010))),
     {"ipv6", "ip6", "tcp6", "dl_type=0x86dd", "ipv6,ipv6_src=2001:db8::5", "ipv6,ipv6_src=2001:db8::/32",
      "ipv6,ipv6_dst=::6/::ff", "ipv6,ipv6_dst=::/0", "ipv6,ipv6_label=0x54321", "ipv6,ipv6_label=1/1",
      "tcp6,nw_tos=184", "tcp6,nw_ecn=1", "tcp6,nw_ttl=62", "ipv6,nw_proto=6", "tcp6,tcp_dst=80",
      "tcp6,tp_src=1234,tcp_flags=ack", "ipv6,ip_frag=no"},
     {"ip", "tcp", "ipv6,ipv6_src=2001:db8::6", "ipv6,ipv6_label=0x54320", "udp6", "tcp6,tp_dst=81"}},
    {"udp behind extension headers",
     ip(ipv6(0, bytes({43, 0}) + std::string(6, 'h') + bytes({60, 1}) + std::string(14, 'r') +
                    bytes({51, 0}) + std::string(6, 'd') + bytes({17, 1}) + std::string(10, 'a') + udp())),
     {"udp6", "udp6,udp_dst=8053", "ipv6,ip_frag=no"},
     {"ipv6,nw_proto=0", "tcp6"}},
    {"extension header cut short",
     ip(ipv6(0, bytes({17, 9}) + std::string(6, 'h') + udp())),
     {"ipv6,ipv6_src=2001:db8::5", "ipv6,nw_proto=0,nw_ttl=0,nw_tos=0,ipv6_label=0"},
     {"udp6"}},
    {"first fragment of ipv6",
     ip(ipv6(44, bytes({17, 0, 0, 1, 0, 0, 0, 1}) + udp())),
     {"udp6,udp_dst=8053", "udp6,ip_frag=first"},
     {"ipv6,ip_frag=no"}},
    {"later fragment of ipv6",
     ip(ipv6(44, bytes({17, 0, 0, 8, 0, 0, 0, 1}) + udp())),
     {"ipv6,nw_proto=44", "ipv6,ip_frag=later"},
     {"udp6"}},
    {"only fragment of ipv6",
     ip(ipv6(44, bytes({17, 0, 0, 0, 0, 0, 0, 1}) + udp())),
     {"udp6,udp_dst=8053,ip_frag=no"},
     {"ipv6,ip_frag=yes"}},
    {"neighbour solicitation",
     ip(ipv6(58, neighbour(135, 1))),
     {"icmp6", "icmp6,icmpv6_type=135,icmpv6_code=0", "icmp6,icmpv6_type=135,nd_target=2001:db8::9",
      "icmp6,icmpv6_type=135,nd_target=2001:db8::/64", "icmp6,icmpv6_type=135,nd_sll=02:00:00:00:00:0b",
      "icmp6,tp_src=135,tp_dst=0,nd_target=2001:db8::9"},
     {"icmp", "icmp6,icmpv6_type=136", "icmp6,icmpv6_type=135,nd_target=2001:db8::8",
      "icmp6,icmpv6_type=135,nd_sll=02:00:00:00:00:0a"}},
    {"neighbour advertisement",
     ip(ipv6(58, neighbour(136, 2))),
     {"icmp6,icmpv6_type=136,nd_target=2001:db8::9,nd_tll=02:00:00:00:00:0b"},
     {"icmp6,icmpv6_type=136,nd_tll=02:00:00:00:00:0a"}},
    {"neighbour solicitation with an option twice",
     ip(ipv6(58, neighbour(135, 1) + bytes({1, 1}) + kMacA)),
     {"icmp6,icmpv6_type=135,nd_target=::,nd_sll=00:00:00:00:00:00"},
     {"icmp6,icmpv6_type=135,nd_target=2001:db8::9"}},
    {"icmp6 of another kind",
     ip(ipv6(58, icmp(1, 4))),
     {"icmp6,icmpv6_type=1,icmpv6_code=4"},
     {"icmp6,icmpv6_code=0"}},
    {"tcp cut short",
     ip(ipv4(6, tcp(0x010).substr(0, 19))),
     {"tcp", "tcp,tp_dst=0", "tcp,nw_src=10.1.2.3"},
     {"tcp,tp_dst=80"}},
    {"tcp header longer than the packet",
     ip(ipv4(6, tcp(0x010).replace(12, 1, 1, '\x60'))),
     {"tcp,tp_dst=0"},
     {"tcp,tp_dst=80"}},
    {"udp cut short", ip(ipv4(17, udp().substr(0, 7))), {"udp,tp_dst=0"}, {"udp,tp_dst=8053"}},
    {"sctp cut short", ip(ipv4(132, sctp().substr(0, 11))), {"sctp,tp_dst=0"}, {"sctp,tp_dst=3869"}},
    {"icmp cut short", ip(ipv4(1, icmp(3, 4).substr(0, 7))), {"icmp,icmp_type=0"}, {"icmp,icmp_type=3"}},
    {"icmp6 cut short",
     ip(ipv6(58, icmp(1, 4).substr(0, 7))),
     {"icmp6,icmpv6_type=0"},
     {"icmp6,icmpv6_type=1"}},
    {"ports in the padding behind the packet",
     ip(ipv4(17, "") + udp()),
     {"udp,tp_dst=0"},
     {"udp,tp_dst=8053"}},
    {"ipv4 longer than the frame",
     ip(ipv4(6, tcp(0x010)).substr(0, 39)),
     {"ip", "ip,nw_proto=0,nw_src=0.0.0.0"},
     {"tcp", "ip,nw_src=10.1.2.3"}},
    {"ipv4 with a header of 16 bytes",
     ip(ipv4(6, tcp(0x010)).replace(0, 1, 1, '\x44')),
     {"ip,nw_proto=0"},
     {"tcp"}},
    {"ipv6 longer than the frame", ip(ipv6(17, udp()).substr(0, 50)), {"ipv6,ipv6_src=::"}, {"udp6"}},
    {"802.3 with SNAP",
     frame().ether_type(100).text(bytes({0xaa, 0xaa, 3, 0, 0, 0, 8, 0}) + ipv4(6, tcp(0x010))),
     {"ip", "tcp,tp_dst=80"},
     {"dl_type=0x05ff", "dl_type=100"}},
    {"802.3 with LLC",
     frame().ether_type(100).text("\x42\x42\x03 spanning tree"),
     {"dl_type=0x05ff"},
     {"ip"}},
    {"nothing but a header", frame().ether_type(0x0800), {"ip", "ip,nw_proto=0"}, {"tcp"}},
    {"mpls", frame().ether_type(0x8847).zeros(40), {"mpls", "dl_type=0x8847"}, {"mplsm", "ip"}},
};

INSTANTIATE_TEST_SUITE_P(Filter, FilterOn, testing::ValuesIn(kCases), [](const auto& test) {
  std::string name = test.param.what;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
});

struct Refusal {
  const char* text;
  const char* sentence;
};

void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.text;
}

class FilterRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(FilterRefuses, WithASentenceThatNamesThePart) {
  const Match::Parsed parsed = Match::parse(GetParam().text);
  EXPECT_FALSE(parsed.match);
  EXPECT_THAT(parsed.trouble, HasSubstr(GetParam().sentence)) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Filter, FilterRefuses,
    testing::Values(
        Refusal{"", "the match is empty"}, Refusal{" ,\t", "the match is empty"},
        Refusal{"tcp,port=80", "'port=80': unknown field or protocol 'port'"},
        Refusal{"TCP", "unknown field or protocol 'TCP'"}, Refusal{"tcp=6", "tcp takes no value"},
        Refusal{"=5", "unknown field or protocol ''"},
        Refusal{"in_port=1,tcp",
                "'in_port=1': in_port selects a port, which a filter cannot do: add the port"},
        Refusal{"ct_state=+trk", "ct_state needs connection tracking"},
        Refusal{"tun_id=5", "tun_id belongs to"}, Refusal{"reg0=1", "reg0 belongs to"},
        Refusal{"xxreg1=1", "belongs to"}, Refusal{"metadata=1", "belongs to"},
        Refusal{"mpls,mpls_label=5", "mpls_label is not supported"},
        Refusal{"tcp,actions=drop", "is part of a flow"}, Refusal{"priority=5,tcp", "is part of a flow"},
        Refusal{"tcp,tp_dst", "'tp_dst': tp_dst needs a value"}, Refusal{"tcp,tp_dst=", "needs a value"},
        Refusal{"tcp,tp_dst=http", "'tp_dst=http': give a number, or number/mask, or a range"},
        Refusal{"tcp,tp_dst=65536", "'tp_dst=65536': tp_dst must be 0 to 65535"},
        Refusal{"tcp,tp_dst=65536/0", "must be 0 to 65535"},
        Refusal{"tcp,tp_dst=4294967376", "give a number"}, Refusal{"tcp,tp_dst=-1", "give a number"},
        Refusal{"tcp,tp_dst=080", "give a number"}, Refusal{"tcp,tp_dst=0x", "give a number"},
        Refusal{"tcp,tp_dst=80/", "give a number"}, Refusal{"tcp,tp_dst=80/0xg", "give a number"},
        Refusal{"tcp,tp_dst=90-80", "the smaller one first"},
        Refusal{"tcp,tp_dst=80-65536", "the smaller one first"},
        Refusal{"tcp,tp_dst=80-", "a range must be two"},
        Refusal{"tcp,tp_dst=80-90/0xff", "a range must be two"}, Refusal{"ip,nw_ttl=3-4", "give a number"},
        Refusal{"ip,nw_ttl=3/1", "nw_ttl takes no mask"}, Refusal{"dl_vlan=10/0xff", "dl_vlan takes no mask"},
        Refusal{"dl_vlan=4096", "dl_vlan must be 0 to 4095"}, Refusal{"dl_vlan_pcp=8", "must be 0 to 7"},
        Refusal{"vlan_vid=0x3000", "must be 0 to 8191"}, Refusal{"vlan_vid=10", "write dl_vlan=10 or"},
        Refusal{"vlan_tci=5", "write dl_vlan=10 or"}, Refusal{"ip,ip_dscp=64", "must be 0 to 63"},
        Refusal{"ip,nw_ecn=4", "must be 0 to 3"}, Refusal{"ip,nw_tos=256", "must be 0 to 255"},
        Refusal{"arp,arp_op=256", "must be 0 to 255"}, Refusal{"ipv6,ipv6_label=0x100000", "must be 0 to"},
        Refusal{"dl_src=02:00:00:00:00", "give an Ethernet address"},
        Refusal{"dl_src=02:00:00:00:00:00:00", "give an Ethernet address"},
        Refusal{"dl_src=002:00:00:00:00:00", "give an Ethernet address"},
        Refusal{"dl_src=02:00:00:00:00:0g", "give an Ethernet address"},
        Refusal{"dl_src=02:00:00:00:00:", "give an Ethernet address"},
        Refusal{"dl_src=02:00:00:00:00:00/8", "give an Ethernet address"},
        Refusal{"ip,nw_src=10.0.0", "give an IPv4 address"}, Refusal{"ip,nw_src=10.0.0.256", "give an IPv4"},
        Refusal{"ip,nw_src=10.0.0.0/33", "give an IPv4"}, Refusal{"ip,nw_src=10.0.0.0/", "give an IPv4"},
        Refusal{"ip,nw_src=::1", "give an IPv4"}, Refusal{"ipv6,ipv6_src=10.0.0.1", "give an IPv6"},
        Refusal{"ipv6,ipv6_src=::/129", "give an IPv6"}, Refusal{"ip,ip_frag=maybe", "give no, yes, first"},
        Refusal{"tcp,tcp_flags=+syn+syn", "each at most once"},
        Refusal{"tcp,tcp_flags=+foo", "the flags are fin"}, Refusal{"tcp,tcp_flags=+", "the flags are"},
        Refusal{"tcp,tcp_flags=syn|", "the flags are"},
        Refusal{"tcp,tcp_flags=syn,ack", "'ack': unknown field or protocol"},
        Refusal{"tcp,tcp_flags=0x1000", "must be 0 to 4095"}, Refusal{"ip,ipv6", "'ipv6': contradicts"},
        Refusal{"tcp,udp", "contradicts"}, Refusal{"dl_vlan=10,dl_vlan=20", "'dl_vlan=20': contradicts"},
        Refusal{"dl_vlan=0xffff,vlan_pcp=3", "contradicts"}));

/// The field alone, and with company that is not the right one.
INSTANTIATE_TEST_SUITE_P(
    FilterPrerequisites, FilterRefuses,
    testing::Values(
        Refusal{"tp_dst=80", "'tp_dst=80': it needs a protocol with ports: add tcp, udp"},
        Refusal{"ip,tp_dst=80", "needs a protocol"}, Refusal{"tp_src=80-90", "needs a protocol"},
        Refusal{"ip,nw_proto=47,tp_dst=80", "needs a protocol"},
        Refusal{"nw_proto=6,tp_dst=80", "is a field of IP: add"}, Refusal{"arp,tp_src=1", "needs a protocol"},
        Refusal{"tcp,ip_frag=later,tp_dst=80", "later fragments have none"},
        Refusal{"udp,tcp_dst=80", "'tcp_dst=80': it is a field of TCP: add tcp"},
        Refusal{"udp,tcp_flags=+syn", "is a field of TCP"}, Refusal{"tcp_flags=+syn", "is a field of TCP"},
        Refusal{"tcp,udp_src=1", "is a field of UDP"}, Refusal{"tcp,sctp_src=1", "is a field of SCTP"},
        Refusal{"ip,icmp_type=8", "is a field of ICMP: add icmp"},
        Refusal{"icmp6,icmp_type=8", "is a field of ICMP:"},
        Refusal{"icmp,icmpv6_type=8", "is a field of ICMPv6"},
        Refusal{"nw_src=10.0.0.1", "is a field of IPv4"},
        Refusal{"ipv6,nw_src=10.0.0.1", "for IPv6 there are ipv6_src and"},
        Refusal{"ip,ipv6_src=::1", "is a field of IPv6"}, Refusal{"ipv6_label=5", "is a field of IPv6"},
        Refusal{"nw_proto=6", "is a field of IP"}, Refusal{"arp,nw_ttl=5", "is a field of IP"},
        Refusal{"nw_tos=4", "is a field of IP"}, Refusal{"ip_frag=yes", "is a field of IP"},
        Refusal{"arp_op=1", "is a field of ARP"}, Refusal{"ip,arp_spa=10.0.0.1", "is a field of ARP"},
        Refusal{"ip,arp_sha=02:00:00:00:00:01", "is a field of ARP"},
        Refusal{"icmp6,nd_target=::1", "is a field of neighbour discovery"},
        Refusal{"icmp6,icmpv6_type=135,icmpv6_code=1,nd_target=::1", "is a field of neighbour discovery"},
        Refusal{"icmp6,icmpv6_type=136,nd_sll=02:00:00:00:00:01", "is a field of neighbour solicitations"},
        Refusal{"icmp6,icmpv6_type=135,nd_tll=02:00:00:00:00:01", "is a field of neighbour advertisements"}));

TEST(FilterText, IsKeptAsItWasWritten) {
  EXPECT_EQ(Match::parse(" tcp, tp_dst=0x50 ").match->text(), " tcp, tp_dst=0x50 ");
}

// What sessions make of them.

const std::string kA = "02:00:00:00:00:0a";

class FilteredSession : public testing::Test {
 protected:
  FilteredSession() {
    for (const char* name : {"p1", "p2", "m"}) lab.port(name);
    SessionSpec& session = lab.session("s");
    session.sources = {{"p1", Direction::both}, {"p2", Direction::both}};
    session.destinations = {"m"};
  }
  void rules(const std::vector<std::string>& filter, const std::vector<std::string>& skip = {}) {
    FilterRules rules;
    for (const std::string& text : filter) rules.filter.push_back(*Match::parse(text).match);
    for (const std::string& text : skip) rules.skip.push_back(*Match::parse(text).match);
    lab.session("s").rules = std::make_shared<const FilterRules>(std::move(rules));
    lab.apply();
  }
  /// Whether a frame from p1 is copied.
  bool copies(const MemoryFrame& frame) {
    lab.inject("p1", frame);
    return lab.run().contains("m");
  }
  SwitchLab lab;
  const MemoryFrame web = ip(ipv4(6, tcp(0x002))).src(kA).dst(kBroadcast);
  const MemoryFrame dns = ip(ipv4(17, udp())).src(kA).dst(kBroadcast);
  const MemoryFrame ask = frame().src(kA).dst(kBroadcast).ether_type(0x0806).text(arp(1));
};

TEST_F(FilteredSession, CopiesWhatMatchesOneOfItsFilters) {
  rules({"tcp,tp_dst=80", "arp"});
  EXPECT_TRUE(copies(web));
  EXPECT_TRUE(copies(ask));
  EXPECT_FALSE(copies(dns));
}

TEST_F(FilteredSession, SkipsWhateverTheFilterSays) {
  rules({}, {"arp", "udp"});
  EXPECT_TRUE(copies(web));
  EXPECT_FALSE(copies(ask));
  rules({"ip"}, {"tcp"});
  EXPECT_FALSE(copies(web));
  EXPECT_FALSE(copies(ask));
  EXPECT_TRUE(copies(dns));
}

TEST_F(FilteredSession, WhatIsNotSelectedIsNeitherMatchedNorLost) {
  rules({"tcp"});
  copies(dns);
  EXPECT_EQ(lab.account("s", "m"), (SwitchLab::Account{0, 0, 0}));
  EXPECT_EQ(lab.frames_of("s"), 0U);
  copies(web);
  EXPECT_EQ(lab.account("s", "m"), (SwitchLab::Account{1, 1, 0}));
}

TEST_F(FilteredSession, TestsTheTagTheFrameHasInsideTheBridge) {
  lab.port("p1").vlan = {.mode = VlanMode::access, .tag = 10};
  rules({"dl_vlan=10,tcp"});
  const MemoryFrame tagged = ip(ipv4(6, tcp(0x002))).src(kA).dst(kBroadcast).vlan(10);
  lab.expect("p1", web, {{"p2", {tagged}}, {"m", {tagged}}}, "untagged on the wire of an access port");
  rules({"dl_vlan=0xffff"});
  EXPECT_FALSE(copies(web));
}

TEST_F(FilteredSession, AFrameThatIsNotSelectedOnArrivalMayBeOnDelivery) {
  lab.port("p2").vlan = {.mode = VlanMode::access, .tag = 10};
  const MemoryFrame urgent = ip(ipv4(6, tcp(0x002))).src(kA).dst(kBroadcast).vlan(10, 5);
  rules({"dl_vlan=10,dl_vlan_pcp=0"});
  EXPECT_TRUE(copies(urgent)) << "an access port sends no priority";
  EXPECT_EQ(lab.account("s", "m"), (SwitchLab::Account{1, 1, 0}));
  rules({}, {"dl_vlan=10,dl_vlan_pcp=5"});
  EXPECT_TRUE(copies(urgent));
  rules({}, {"dl_vlan=10"});
  EXPECT_FALSE(copies(urgent));
}

TEST_F(FilteredSession, ACustomersTagBehindATunnelsHidesWhatIsBehindIt) {
  lab.port("p1").vlan = {.mode = VlanMode::dot1q_tunnel, .tag = 900};
  const MemoryFrame customers = ip(ipv4(6, tcp(0x002))).src(kA).dst(kBroadcast).vlan(7);
  rules({"dl_vlan=900,dl_type=0x8100"});
  EXPECT_TRUE(copies(customers));
  EXPECT_FALSE(copies(web));
  rules({"dl_vlan=900,tcp"});
  EXPECT_FALSE(copies(customers));
  EXPECT_TRUE(copies(web));
}

TEST_F(FilteredSession, ExplainsWhyNot) {
  rules({"tcp"}, {"tcp,tp_dst=80"});
  const auto results = [this](const MemoryFrame& frame) {
    const Snapshot& snapshot = lab.datapath->current();
    PortNo in = kNoPort;
    for (const PortConfig* port : snapshot.ports) {
      if (port->name == "p1") in = port->number;
    }
    Decider decider;
    Trace trace;
    const ParseResult parsed = parse({.bytes = frame.bytes, .stripped_tag = {}, .offload = {}});
    decider.decide(snapshot, in, parsed.frame, lab.now, &trace);
    return trace.tests;
  };
  const auto of_dns = results(dns);
  ASSERT_EQ(of_dns.size(), 2U) << "on arrival and on delivery";
  EXPECT_EQ(of_dns[0].result, Trace::Result::filtered_out);
  EXPECT_EQ(of_dns[1].result, Trace::Result::filtered_out);
  const auto of_web = results(web);
  ASSERT_EQ(of_web.size(), 2U);
  EXPECT_EQ(of_web[0].result, Trace::Result::skipped);
  ASSERT_NE(of_web[0].skip, nullptr);
  EXPECT_EQ(of_web[0].skip->text(), "tcp,tp_dst=80");
}

TEST_F(FilteredSession, ABadOneLeavesTheSessionAsItWas) {
  rules({"tcp"});
  lab.session("s").refusal = "filter: no";
  lab.session("s").rules = nullptr;
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::error);
  EXPECT_TRUE(copies(web));
  EXPECT_FALSE(copies(dns));
}

}  // namespace
}  // namespace vswitch::test
