// SPDX-License-Identifier: Apache-2.0
// Frames in words, whatever their bytes are.
#include "ctl/frame_text.h"

#include <gtest/gtest.h>

#include <random>

namespace vswitch::ctl {
namespace {

std::string said(const std::string& hex) {
  return frame_text(bytes_of_hex(hex));
}

const std::string kMacs = "525400000002525400000001";
// 20 bytes: total length, fragment, protocol.
std::string ipv4(const std::string& fragment, const std::string& protocol) {
  return "0800"
         "4500003c1234" +
         fragment + "40" + protocol +
         "0000"
         "0a5f000b"
         "0a5f0001";
}

TEST(FrameText, HasAddressesAndPorts) {
  EXPECT_EQ(said(kMacs + ipv4("0000", "06") +
                 "04d20050"
                 "00000001"
                 "00000000"
                 "5012"),
            "IPv4 10.95.0.11 > 10.95.0.1 TCP 1234 > 80 SYN ACK");
  EXPECT_EQ(said(kMacs + ipv4("0000", "11") + "003514e9"), "IPv4 10.95.0.11 > 10.95.0.1 UDP 53 > 5353");
  EXPECT_EQ(said(kMacs + ipv4("0000", "01") + "0800"), "IPv4 10.95.0.11 > 10.95.0.1 ICMP echo request");
  EXPECT_EQ(said(kMacs + ipv4("0000", "01") + "0507"), "IPv4 10.95.0.11 > 10.95.0.1 ICMP type 5, code 7");
  EXPECT_EQ(said(kMacs + ipv4("0000", "59") + "00"), "IPv4 10.95.0.11 > 10.95.0.1 protocol 89");
  EXPECT_EQ(said(kMacs + "0806"
                         "00010800"
                         "0604"
                         "0001"
                         "525400000001"
                         "0a5f000b"
                         "000000000000"
                         "0a5f0001"),
            "ARP who has 10.95.0.1, tell 10.95.0.11");
  EXPECT_EQ(said(kMacs + "0806"
                         "00010800"
                         "0604"
                         "0002"
                         "525400000001"
                         "0a5f000b"
                         "525400000002"
                         "0a5f0001"),
            "ARP 10.95.0.11 is at 52:54:00:00:00:01");
}

TEST(FrameText, HasTags) {
  EXPECT_EQ(said(kMacs +
                 "8100"
                 "600a" +
                 ipv4("0000", "11") + "00010002"),
            "VLAN 10 priority 3, IPv4 10.95.0.11 > 10.95.0.1 UDP 1 > 2");
  EXPECT_EQ(said(kMacs + "88a80005"
                         "81000007"
                         "88b5"
                         "00"),
            "802.1ad VLAN 5, VLAN 7, 52:54:00:00:00:01 > 52:54:00:00:00:02 EtherType 0x88b5");
}

TEST(FrameText, OfIpv6LooksBehindExtensions) {
  const std::string addresses =
      "20010db8000000000000000000000001"
      "20010db8000000000000000000000002";
  EXPECT_EQ(said(kMacs +
                 "86dd"
                 "6000000000103aff" +
                 addresses + "8700"),
            "IPv6 2001:db8::1 > 2001:db8::2 ICMPv6 neighbour solicitation");
  EXPECT_EQ(said(kMacs +
                 "86dd"
                 "60000000001000ff" +
                 addresses +
                 "1100000000000000"
                 "003514e9"),
            "IPv6 2001:db8::1 > 2001:db8::2 UDP 53 > 5353");
  EXPECT_EQ(said(kMacs +
                 "86dd"
                 "6000000000102cff" +
                 addresses +
                 "11000058"
                 "00000001"
                 "003514e9"),
            "IPv6 2001:db8::1 > 2001:db8::2 fragment at byte 88 of protocol 17");
}

TEST(FrameText, OfFragments) {
  EXPECT_EQ(said(kMacs + ipv4("2000", "11") + "003514e9"),
            "IPv4 10.95.0.11 > 10.95.0.1 UDP 53 > 5353, first fragment");
  EXPECT_EQ(said(kMacs + ipv4("00b9", "11") + "003514e9"),
            "IPv4 10.95.0.11 > 10.95.0.1 fragment at byte 1480 of protocol 17");
}

TEST(FrameText, OfTheBeginningOfAFrame) {
  EXPECT_EQ(said(""), "the beginning of an Ethernet header");
  EXPECT_EQ(said(kMacs + "08"), "the beginning of an Ethernet header");
  EXPECT_EQ(said(kMacs + "0800"), "52:54:00:00:00:01 > 52:54:00:00:00:02 EtherType 0x0800");
  EXPECT_EQ(said(kMacs + "0800"
                         "45"),
            "IPv4");
  EXPECT_EQ(said(kMacs + ipv4("0000", "06") + "04d200"), "IPv4 10.95.0.11 > 10.95.0.1 TCP");
  EXPECT_EQ(said(kMacs + "0026"
                         "4242"),
            "52:54:00:00:00:01 > 52:54:00:00:00:02 IEEE 802.3");
}

TEST(FrameText, TakesAnyBytes) {
  std::mt19937 random(15);
  const std::vector<std::string> starts = {kMacs + "0800", kMacs + "86dd", kMacs + "0806", kMacs + "8100",
                                           ""};
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::uint8_t> bytes = bytes_of_hex(starts[random() % starts.size()]);
    for (std::size_t more = random() % 100; more > 0; --more)
      bytes.push_back(static_cast<std::uint8_t>(random()));
    EXPECT_FALSE(frame_text(bytes).empty());
  }
}

TEST(FrameText, HexadecimalThatIsNoneHasNoBytes) {
  EXPECT_EQ(bytes_of_hex("00fF"), (std::vector<std::uint8_t>{0, 255}));
  EXPECT_TRUE(bytes_of_hex("00f").empty());
  EXPECT_TRUE(bytes_of_hex("0x").empty());
}

}  // namespace
}  // namespace vswitch::ctl
