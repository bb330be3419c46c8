// SPDX-License-Identifier: Apache-2.0
#include "datapath/tunnel/inherit.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

#include "datapath/frame/checksum.h"
#include "datapath/frame/headers.h"

namespace vswitch::tunnel {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes ethernet(std::uint16_t type, int tags = 0) {
  Bytes frame(kAddressesLength, 0xaa);
  for (int i = 0; i < tags; ++i) frame.insert(frame.end(), {0x81, 0x00, 0x00, 0x07});
  frame.insert(frame.end(), {static_cast<std::uint8_t>(type >> 8), static_cast<std::uint8_t>(type)});
  return frame;
}

Bytes ipv4(std::uint8_t tos, std::uint8_t ttl, int tags = 0) {
  Bytes frame = ethernet(kEtherTypeIpv4, tags);
  Bytes header = {0x45, tos, 0, 20, 0, 0, 0, 0, ttl, 253, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2};
  put_u16(header, 10, 0xffffU & ~std::uint32_t{internet_sum(header)});
  frame.insert(frame.end(), header.begin(), header.end());
  return frame;
}

Bytes ipv6(std::uint8_t traffic_class, std::uint8_t hop_limit) {
  Bytes frame = ethernet(kEtherTypeIpv6);
  Bytes header(Ipv6View::kLength);
  header[0] = static_cast<std::uint8_t>(0x60 | traffic_class >> 4);
  header[1] = static_cast<std::uint8_t>(traffic_class << 4 | 0x0a);  // and a bit of the flow label
  header[7] = hop_limit;
  frame.insert(frame.end(), header.begin(), header.end());
  return frame;
}

TunnelEndpointSettings inheriting(bool ttl, bool dscp, bool ecn) {
  TunnelEndpointSettings settings;
  settings.ttl = 17;
  settings.dscp = 18;
  settings.inherit_ttl = ttl;
  settings.inherit_dscp = dscp;
  settings.inherit_ecn = ecn;
  return settings;
}

OuterFields outer(const TunnelEndpointSettings& settings, const Bytes& frame) {
  const OuterFields whole = outer_fields(settings, frame, {});
  // Where the frame is divided does not matter.
  for (std::size_t at = 0; at <= frame.size(); ++at)
    EXPECT_EQ(outer_fields(settings, std::span(frame).first(at), std::span(frame).subspan(at)), whole) << at;
  return whole;
}

TEST(Inherit, EachFieldByItself) {
  const Bytes frame = ipv4(0xb9, 7);
  EXPECT_EQ(outer(inheriting(false, false, false), frame), (OuterFields{17, 18 << 2}));
  EXPECT_EQ(outer(inheriting(true, false, false), frame), (OuterFields{7, 18 << 2}));
  EXPECT_EQ(outer(inheriting(false, true, false), frame), (OuterFields{17, 0xb8}));
  EXPECT_EQ(outer(inheriting(false, false, true), frame), (OuterFields{17, 18 << 2 | 1}));
  EXPECT_EQ(outer(inheriting(true, true, true), ipv6(0x2a, 9)), (OuterFields{9, 0x2a}));
}

TEST(Inherit, ACongestionMarkStartsAnew) {
  EXPECT_EQ(outer(inheriting(true, true, true), ipv4(0xbb, 7)).tos, 0xba);
}

TEST(Inherit, FramesWithoutIpGetTheSettings) {
  const TunnelEndpointSettings all = inheriting(true, true, true);
  const OuterFields configured{17, 18 << 2};
  EXPECT_EQ(outer(all, ethernet(kEtherTypeArp)), configured);
  EXPECT_EQ(outer(all, Bytes(13)), configured);
  Bytes cut = ipv4(0xb9, 7);
  cut.pop_back();
  EXPECT_EQ(outer(all, cut), configured);
  EXPECT_EQ(outer(all, ipv4(0xb9, 7, 1)), (OuterFields{7, 0xb9})) << "one tag";
  EXPECT_EQ(outer(all, ipv4(0xb9, 7, 2)), configured) << "two tags, as in Open vSwitch";
}

TEST(Inherit, NoPacketHasTtl0) {
  EXPECT_EQ(outer(inheriting(true, false, false), ipv4(0, 0)).ttl, 1);
}

TEST(CongestionMark, GoesIntoThePacketInside) {
  for (const std::uint8_t before : std::initializer_list<std::uint8_t>{0x01, 0x02, 0x03, 0xb9}) {
    for (const int tags : {0, 1}) {
      Bytes frame = ipv4(before, 64, tags);
      EXPECT_TRUE(take_congestion_mark(0x03, frame));
      EXPECT_EQ(frame, ipv4(static_cast<std::uint8_t>(before | 0x03), 64, tags))
          << int{before} << ", the checksum too";
    }
    Bytes frame = ipv6(before, 64);
    EXPECT_TRUE(take_congestion_mark(0xff, frame));
    EXPECT_EQ(frame, ipv6(static_cast<std::uint8_t>(before | 0x03), 64));
  }
}

TEST(CongestionMark, DropsWhatDoesNotKnowIt) {
  Bytes frame = ipv4(0xb8, 64);
  EXPECT_FALSE(take_congestion_mark(0x03, frame));
  EXPECT_TRUE(take_congestion_mark(0x02, frame)) << "no congestion";
  EXPECT_EQ(frame, ipv4(0xb8, 64));
  Bytes arp = ethernet(kEtherTypeArp);
  EXPECT_TRUE(take_congestion_mark(0x03, arp)) << "no IP inside";
}

}  // namespace
}  // namespace vswitch::tunnel
