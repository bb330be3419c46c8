// SPDX-License-Identifier: Apache-2.0
// A composed frame is one that its match matches, and a well-formed one.
#include "datapath/flow/compose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "datapath/frame/checksum.h"
#include "datapath/frame/headers.h"

namespace vswitch::test {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;
using Bytes = std::vector<std::uint8_t>;

Match match(const std::string& text) {
  const Match::Parsed parsed = Match::parse(text);
  EXPECT_TRUE(parsed.match) << text << ": " << parsed.trouble;
  return parsed.match.value_or(Match{});
}

/// The key of a frame on a trunk port.
FlowKey key_of(const Bytes& bytes) {
  const ParseResult parsed = parse({.bytes = bytes, .stripped_tag = {}, .offload = {}});
  EXPECT_EQ(parsed.drop, DropReason::none);
  return {parsed.frame, {.outer = parsed.frame.tag, .inner = {}}};
}

// ---- matches at random -----------------------------------------------------------------------------------

class RandomMatch {
 public:
  explicit RandomMatch(unsigned seed) : random_(seed) {}

  /// Fields that a frame can have together, with random values and masks.
  std::string text() {
    text_.clear();
    ethernet();
    const std::string protocol =
        pick({"", "dl_type=0x88b5", "dl_type=0x05ff", "dl_type=0x8847", "arp", "rarp", "ip", "tcp", "udp",
              "sctp", "icmp", "ipv6", "tcp6", "udp6", "sctp6", "icmp6"});
    if (!protocol.empty()) add(protocol);
    if (protocol.ends_with("arp")) arp();
    const bool v6 = protocol.ends_with('6');
    const bool ip = v6 || protocol == "ip" || protocol == "tcp" || protocol == "udp" || protocol == "sctp" ||
                    protocol == "icmp";
    if (ip) network(protocol, v6);
    if (text_.empty()) add("eth");
    return text_;
  }

 private:
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }
  bool chance() { return below(2) == 0; }
  std::string pick(const std::vector<std::string>& from) {
    return from[below(static_cast<unsigned>(from.size()))];
  }
  std::string number(unsigned limit) { return std::to_string(below(limit)); }
  std::string masked(unsigned limit) {
    return number(limit) + (chance() ? "" : "/" + std::to_string(1 + below(limit - 1)));
  }
  std::string mac() {
    std::string address = "0" + number(10);
    for (int i = 0; i < 5; ++i) address += ":" + std::to_string(10 + below(90));
    return address;
  }
  std::string masked_mac() {
    return mac() + (chance() ? "" : "/ff:ff:00:0f:00:" + std::to_string(10 + below(90)));
  }
  std::string ipv4() {
    std::string address = number(256);
    for (int i = 0; i < 3; ++i) address += "." + number(256);
    return address + pick({"", "", "/8", "/31", "/255.0.255.1"});
  }
  std::string ipv6() {
    std::string address = "2001";
    for (int i = 0; i < 7; ++i) address += ":" + std::to_string(1000 + below(9000));
    return address + pick({"", "", "/64", "/127", "/ffff::1"});
  }
  std::string port() {
    const unsigned low = below(65000);
    return chance() ? masked(65536) : std::to_string(low) + "-" + std::to_string(low + below(500));
  }
  void add(const std::string& item) { text_ += (text_.empty() ? "" : ",") + item; }
  void maybe(const std::string& name, const std::string& value) {
    if (chance()) add(name + "=" + value);
  }

  void ethernet() {
    maybe("dl_src", masked_mac());
    maybe("dl_dst", masked_mac());
    add(pick(
        {"eth", "eth", "dl_vlan=" + number(4096), "dl_vlan=0xffff", "dl_vlan_pcp=" + number(8),
         "dl_vlan=" + number(4096) + ",dl_vlan_pcp=" + number(8), "vlan_tci=0x1000/0x1000",
         "vlan_tci=0/0x1fff", "vlan_tci=" + number(4096) + "/" + std::to_string(1 + below(4095)),
         "vlan_tci=" + number(4096) + "/" + std::to_string(1 + below(4095)) + ",vlan_tci=0x1000/0x1000"}));
  }
  void arp() {
    maybe("arp_op", number(256));
    maybe("arp_spa", ipv4());
    maybe("arp_tpa", ipv4());
    maybe("arp_sha", masked_mac());
    maybe("arp_tha", masked_mac());
  }
  void network(const std::string& protocol, bool v6) {
    maybe(v6 ? "ipv6_src" : "nw_src", v6 ? ipv6() : ipv4());
    maybe(v6 ? "ipv6_dst" : "nw_dst", v6 ? ipv6() : ipv4());
    if (v6) maybe("ipv6_label", masked(1U << 20));
    maybe("nw_tos", std::to_string(below(64) * 4));
    maybe("nw_ecn", number(4));
    maybe("nw_ttl", number(256));
    const bool bare = protocol == "ip" || protocol == "ipv6";
    const std::string fragment = pick({"", "", "no", "yes", "first", "not_later", bare ? "later" : "no"});
    if (!fragment.empty()) add("ip_frag=" + fragment);
    if (bare && fragment != "later") maybe("nw_proto", pick({"47", "89", "253"}));
    if (protocol.starts_with("icmp")) return icmp(v6);
    if (bare) return;
    const std::string name = v6 ? protocol.substr(0, protocol.size() - 1) : protocol;
    maybe(pick({"tp_src", name + "_src"}), port());
    maybe(pick({"tp_dst", name + "_dst"}), port());
    if (name == "tcp") maybe("tcp_flags", pick({"+syn-ack", "syn|ack", "0x800/0xf00", "-fin+ns"}));
  }
  void icmp(bool v6) {
    const std::string prefix = v6 ? "icmpv6_" : "icmp_";
    if (!v6 || chance()) {
      maybe(prefix + "type", number(256));
      maybe(prefix + "code", number(256));
      return;
    }
    const bool solicit = chance();
    add(prefix + "type=" + (solicit ? "135" : "136"));
    add(prefix + "code=0");
    maybe("nd_target", ipv6());
    maybe(solicit ? "nd_sll" : "nd_tll", masked_mac());
  }

  std::mt19937 random_;
  std::string text_;
};

/// Ones' complement sum of the pseudo-header and the packet: 0xffff if the checksum is right.
std::uint16_t transport_sum(std::span<const std::uint8_t> addresses, std::uint8_t protocol,
                            std::span<const std::uint8_t> packet) {
  std::uint32_t sum = internet_sum(packet);
  if (protocol != kIpProtoIcmp)
    sum += internet_sum(addresses) + protocol + static_cast<std::uint32_t>(packet.size());
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

bool has_internet_checksum(std::uint8_t protocol) {
  return protocol == kIpProtoTcp || protocol == kIpProtoUdp || protocol == kIpProtoIcmp ||
         protocol == kIpProtoIcmpv6;
}

/// Lengths and checksums of what is behind the EtherType; fragments have no checksum of their own.
void expect_well_formed(const Bytes& frame) {
  const std::size_t type_at = skip_vlan_tags(frame, kAddressesLength);
  const auto packet = std::span(frame).subspan(type_at + kEtherTypeLength);
  if (u16_at(frame, type_at) == kEtherTypeIpv4) {
    const Ipv4View ip = *Ipv4View::of(packet);
    ASSERT_LE(ip.total_length(), packet.size());
    EXPECT_EQ(internet_sum(packet.first(Ipv4View::kLength)), 0xffff);
    if (ip.is_fragment() || !has_internet_checksum(ip.protocol())) return;
    const auto transport = packet.first(ip.total_length()).subspan(Ipv4View::kLength);
    EXPECT_EQ(transport_sum(ip.addresses(), ip.protocol(), transport), 0xffff);
    if (ip.protocol() == kIpProtoUdp) {
      EXPECT_EQ(u16_at(transport, kUdpLengthAt), transport.size());
    }
  } else if (u16_at(frame, type_at) == kEtherTypeIpv6) {
    const Ipv6View ip = *Ipv6View::of(packet);
    ASSERT_LE(Ipv6View::kLength + ip.payload_length(), packet.size());
    if (!has_internet_checksum(ip.next_header())) return;
    const auto transport = packet.subspan(Ipv6View::kLength, ip.payload_length());
    EXPECT_EQ(transport_sum(ip.addresses(), ip.next_header(), transport), 0xffff);
  }
}

TEST(Compose, EachFrameMatchesItsMatch) {
  RandomMatch random(20261130);
  for (int i = 0; i < 20'000 && !testing::Test::HasFailure(); ++i) {
    const std::string text = random.text();
    SCOPED_TRACE(text);
    const Match wanted = match(text);
    const ComposedFrame frame = compose(wanted);
    ASSERT_THAT(frame.trouble, IsEmpty());
    EXPECT_TRUE(wanted.matches(key_of(frame.bytes)));
    EXPECT_GE(frame.bytes.size(), 60U);
    expect_well_formed(frame.bytes);
  }
}

// ---- whole frames ----------------------------------------------------------------------------------------

Bytes padded(Bytes bytes, std::size_t length) {
  bytes.resize(length);
  return bytes;
}

TEST(Compose, TcpToAPort) {
  // The checksums were computed by hand, as RFC 1071 says.
  const Bytes wanted = {
      2,    0,    0, 0,  0, 2, 2, 0, 0,  0, 0,    1,    0x08, 0x00,                          // Ethernet
      0x45, 0x00, 0, 40, 0, 0, 0, 0, 64, 6, 0x66, 0xce, 10,   0,    0, 1, 10,   0,    0, 2,  // IPv4
      0x04, 0xd2, 0, 80, 0, 0, 0, 0, 0,  0, 0,    0,    0x50, 0x02, 0, 0, 0x96, 0xbe, 0, 0};
  const ComposedFrame frame =
      compose(match("dl_dst=02:00:00:00:00:02,dl_src=02:00:00:00:00:01,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,"
                    "tp_src=1234,tp_dst=80-90,tcp_flags=syn"));
  EXPECT_THAT(frame.bytes, ElementsAreArray(padded(wanted, 60)));
}

TEST(Compose, ArpWithATag) {
  const Bytes wanted = {255,  255,  255, 255, 255,  255,  0, 0, 0, 0, 0,  0, 0x81, 0x00, 0x60, 0x0a,
                        0x08, 0x06, 0,   1,   0x08, 0x00, 6, 4, 0, 2, 2,  0, 0,    0,    0,    5,
                        10,   0,    0,   1,   0,    0,    0, 0, 0, 0, 10, 0, 0,    2};
  const ComposedFrame frame = compose(
      match("dl_dst=ff:ff:ff:ff:ff:ff,dl_vlan=10,dl_vlan_pcp=3,arp,arp_op=2,arp_sha=02:00:00:00:00:05,"
            "arp_spa=10.0.0.1,arp_tpa=10.0.0.2"));
  EXPECT_THAT(frame.bytes, ElementsAreArray(padded(wanted, 64)));
}

TEST(Compose, AnyFrame) {
  EXPECT_THAT(compose(Match{}).bytes, ElementsAreArray(Bytes(60)));
}

TEST(Compose, ASecondTagNeedsAFirst) {
  const ComposedFrame frame = compose(match("dl_type=0x8100"));
  EXPECT_EQ(key_of(frame.bytes).number(key_slot::kEthType), 0x8100U);
  EXPECT_EQ(key_of(frame.bytes).number(key_slot::kVlanTci), kTagPresent);
}

TEST(Compose, ARangeIsItsLowestPortThatFitsTheRest) {
  const auto port = [](const std::string& text) {
    return key_of(compose(match(text)).bytes).number(key_slot::kDstPort);
  };
  EXPECT_EQ(port("tcp,tp_dst=8000-8100"), 8000U);
  EXPECT_EQ(port("udp6,tp_dst=8000-8100,udp_dst=8050-9000"), 8050U);
  EXPECT_EQ(port("sctp,tp_dst=8000-8100,tp_dst=7/7"), 8007U);
  EXPECT_EQ(port("icmp,tp_dst=3-9"), 3U);
}

TEST(Compose, ALaterFragmentOfIpv6IsThatOfAnyProtocol) {
  EXPECT_EQ(key_of(compose(match("ipv6,ip_frag=later")).bytes).number(key_slot::kProtocol), kIpProtoFragment);
  EXPECT_EQ(key_of(compose(match("ipv6,nw_proto=44")).bytes).number(key_slot::kFragment),
            std::uint32_t{kAnyFragment | kLaterFragment});
}

TEST(Compose, WhatNoFrameHasIsRefused) {
  const std::pair<std::string, std::string> cases[] = {
      {"dl_type=0x0000", "no frame has the EtherType 0x0000: values below 0x0600 are lengths"},
      {"dl_type=0x05fe", "no frame has the EtherType 0x05fe"},
      {"dl_vlan=0xffff,dl_type=0x8100", "no frame has this dl_type together with the rest of the match"},
      {"icmp,icmp_type=8,ip_frag=later", "no frame has this icmp_type"},
      {"icmp,tp_src=300", "no frame has this tp_src"},
      {"icmp6,tp_dst=256-300", "no frame has this tp_dst"},
      {"tcp,tp_dst=80-90,tp_dst=100-110", "no port number satisfies all ranges"},
      {"tcp,tp_dst=8000-8001,tp_dst=2/2", "no port number satisfies all ranges"},
      {"tcp6,ip_frag=later", "a later fragment of IPv6 does not show protocol 6: use nw_proto=44"},
      {"ipv6,nw_proto=43", "protocol 43 is an extension header of IPv6"},
      {"ipv6,nw_proto=0,nw_ttl=9", "protocol 0 is an extension header of IPv6"},
      {"ipv6,nw_proto=44,ip_frag=first", "protocol 44 is an extension header of IPv6"},
  };
  for (const auto& [text, trouble] : cases) {
    const ComposedFrame frame = compose(match(text));
    EXPECT_THAT(frame.trouble, HasSubstr(trouble)) << text;
    EXPECT_THAT(frame.bytes, IsEmpty()) << text;
  }
}

}  // namespace
}  // namespace vswitch::test
