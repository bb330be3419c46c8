// SPDX-License-Identifier: Apache-2.0
#include "datapath/frame/headers.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace vswitch::test {
namespace {

constexpr std::array<std::uint8_t, 6> kBytes = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc};
static_assert(u16_at(kBytes, 4) == 0x9abc);
static_assert(u32_at(kBytes, 1) == 0x3456789a);

TEST(Headers, WhatIsWrittenIsReadAgain) {
  std::array<std::uint8_t, 8> bytes{};
  HeaderWriter writer(bytes);
  writer.u16(0x1122);
  writer.u32(0x33445566);
  put_u16(bytes, 6, 0xf7788);
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 8>{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}));
}

TEST(Headers, ACursorDoesNotPassTheEnd) {
  HeaderCursor cursor(kBytes);
  EXPECT_TRUE(cursor.skip(4));
  EXPECT_FALSE(cursor.skip(3));
  EXPECT_EQ(u16_at(cursor.rest(), 0), 0x9abc);
  EXPECT_TRUE(cursor.skip(2));
  EXPECT_FALSE(cursor.has(1));
}

TEST(Headers, TagsArePassedWhileAnEtherTypeFollows) {
  const std::vector<std::uint8_t> bytes = {0x81, 0, 0, 1, 0x88, 0xa8, 0, 2, 0x81, 0, 0, 3, 0x08, 0x00};
  EXPECT_EQ(skip_vlan_tags(bytes, 0), 12U);
  EXPECT_EQ(skip_vlan_tags(bytes, 0, 2), 8U);
  EXPECT_EQ(skip_vlan_tags(bytes, 12), 12U);
  EXPECT_EQ(skip_vlan_tags(std::span(bytes).first(13), 0), 8U) << "a tag without an EtherType behind it";
  EXPECT_EQ(skip_vlan_tags(std::span(bytes).first(1), 0), 0U);
}

TEST(Headers, AViewNeedsItsFixedHeader) {
  const std::vector<std::uint8_t> ipv4 = {0x46, 0xb8, 0x01, 0x02, 0, 0, 0x20, 0x00, 61, 17,
                                          0,    0,    10,   1,    2, 3, 192,  0,    2,  9};
  EXPECT_FALSE(Ipv4View::of(std::span(ipv4).first(19)));
  const auto ip = Ipv4View::of(ipv4);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->version(), 4);
  EXPECT_EQ(ip->header_length(), 24U);
  EXPECT_EQ(ip->tos(), 0xb8);
  EXPECT_EQ(ip->total_length(), 0x102U);
  EXPECT_TRUE(ip->is_fragment());
  EXPECT_FALSE(ip->is_later_fragment());
  EXPECT_EQ(ip->ttl(), 61);
  EXPECT_EQ(ip->protocol(), kIpProtoUdp);
  EXPECT_EQ(u32_at(ip->source(), 0), 0x0a010203U);
  EXPECT_EQ(u32_at(ip->destination(), 0), 0xc0000209U);
  EXPECT_EQ(u32_at(ip->addresses(), 4), 0xc0000209U);
}

TEST(Headers, TheFixedHeaderOfIpv6) {
  std::vector<std::uint8_t> bytes = {0x6b, 0x95, 0x43, 0x21, 0x01, 0x02, 44, 62};
  bytes.resize(Ipv6View::kLength);
  bytes[8] = 0x20;
  bytes[24] = 0xfe;
  EXPECT_FALSE(Ipv6View::of(std::span(bytes).first(39)));
  const auto ip = Ipv6View::of(bytes);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->version(), 6);
  EXPECT_EQ(ip->traffic_class(), 0xb9);
  EXPECT_EQ(ip->flow_label(), 0x54321U);
  EXPECT_EQ(ip->payload_length(), 0x102U);
  EXPECT_EQ(ip->next_header(), kIpProtoFragment);
  EXPECT_EQ(ip->hop_limit(), 62);
  EXPECT_EQ(ip->source()[0], 0x20);
  EXPECT_EQ(ip->destination()[0], 0xfe);
}

TEST(Headers, AFragmentOfIpv6) {
  const auto fragment = [](std::uint16_t word) {
    const std::array<std::uint8_t, 8> bytes = {kIpProtoUdp, 0, static_cast<std::uint8_t>(word >> 8),
                                               static_cast<std::uint8_t>(word)};
    const Ipv6FragmentView view = *Ipv6FragmentView::of(bytes);
    return std::pair(view.is_fragment(), view.is_later_fragment());
  };
  EXPECT_EQ(fragment(0), std::pair(false, false));
  EXPECT_EQ(fragment(1), std::pair(true, false)) << "more follow";
  EXPECT_EQ(fragment(8), std::pair(true, true));
}

}  // namespace
}  // namespace vswitch::test
