// SPDX-License-Identifier: Apache-2.0
#include "datapath/frame/frame.h"

#include <gtest/gtest.h>

#include <array>

#include "datapath/frame/checksum.h"
#include "tests/support/frame_builder.h"

namespace vswitch {
namespace {

using test::frame;

TEST(Parse, TakesTheTagInTheData) {
  const auto bytes = frame().vlan(7, 3).dei().text("abc").bytes();
  const ParseResult parsed = parse({.bytes = bytes, .stripped_tag = {}, .offload = {}});
  ASSERT_EQ(parsed.drop, DropReason::none);
  EXPECT_EQ(parsed.frame.tag, (VlanTag{kTpid8021Q, 0x7007}));
  EXPECT_EQ(parsed.frame.ether_type(), 0x88b5);
  EXPECT_EQ(parsed.frame.wire_length(), bytes.size());
}

TEST(Parse, TakesTheStrippedTagAndLeavesTheInnerOne) {
  const auto bytes = frame().vlan(9).text("abc").bytes();
  const ParseResult parsed =
      parse({.bytes = bytes, .stripped_tag = VlanTag{kTpid8021ad, 0x2005}, .offload = {}});
  ASSERT_EQ(parsed.drop, DropReason::none);
  EXPECT_EQ(parsed.frame.tag, (VlanTag{kTpid8021ad, 0x2005}));
  EXPECT_EQ(parsed.frame.inner_tag(), (VlanTag{kTpid8021Q, 9}));
  EXPECT_EQ(parsed.frame.wire_length(), bytes.size() + kTagLength);
}

TEST(Parse, AcceptsFourteenBytesAndRefusesThirteen) {
  auto bytes = frame().bytes();
  EXPECT_EQ(parse({.bytes = bytes, .stripped_tag = {}, .offload = {}}).drop, DropReason::none);
  bytes.pop_back();
  EXPECT_EQ(parse({.bytes = bytes, .stripped_tag = {}, .offload = {}}).drop, DropReason::malformed);
}

TEST(Parse, TakesARuntWithHalfATagAsUntagged) {
  auto bytes = frame().ether_type(0x8100).zeros(2).bytes();
  const ParseResult parsed = parse({.bytes = bytes, .stripped_tag = {}, .offload = {}});
  ASSERT_EQ(parsed.drop, DropReason::none);
  EXPECT_FALSE(parsed.frame.tag);
  EXPECT_EQ(parsed.frame.payload.size(), 4U);
}

TEST(Parse, RefusesAChecksumOutsideTheFrame) {
  const auto bytes = frame().zeros(20).bytes();  // 34 bytes
  const auto drop_with = [&bytes](std::uint16_t start, std::uint16_t offset) {
    return parse({.bytes = bytes,
                  .stripped_tag = {},
                  .offload = {.needs_checksum = true, .checksum_start = start, .checksum_offset = offset}})
        .drop;
  };
  EXPECT_EQ(drop_with(16, 16), DropReason::none);
  EXPECT_EQ(drop_with(16, 17), DropReason::malformed);
  EXPECT_EQ(drop_with(11, 0), DropReason::malformed);
  EXPECT_EQ(drop_with(0xffff, 0xffff), DropReason::malformed);
}

TEST(Outgoing, MovesThePositionsBehindTheNewHeader) {
  const auto bytes = frame().vlan(7).zeros(30).bytes();
  const ParseResult parsed = parse(
      {.bytes = bytes,
       .stripped_tag = {},
       .offload = {.needs_checksum = true, .header_length = 38, .checksum_start = 24, .checksum_offset = 6}});
  ASSERT_EQ(parsed.drop, DropReason::none);
  std::array<std::uint8_t, kMaxHeaderLength> header{};
  TagList tags;
  EXPECT_EQ(write_header(parsed.frame.dst, parsed.frame.src, tags, header), 12U);
  const OutgoingFrame out = outgoing({header.data(), 12}, parsed.frame.payload, parsed.frame.offload);
  EXPECT_EQ(out.offload.checksum_start, 20);
  EXPECT_EQ(out.offload.checksum_offset, 6);
  EXPECT_EQ(out.offload.header_length, 34);
  EXPECT_EQ(out.length(), bytes.size() - kTagLength);
}

TEST(Checksum, MatchesTheExampleOfRfc1071) {
  const std::array<std::uint8_t, 8> bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(internet_sum(bytes), 0xddf2);
}

TEST(Checksum, CountsAnOddLastByteAsUpperHalf) {
  const std::array<std::uint8_t, 3> bytes{0x01, 0x02, 0x03};
  EXPECT_EQ(internet_sum(bytes), 0x0102 + 0x0300);
}

TEST(Checksum, IsTheSameForEveryLengthAsASlowSum) {
  std::array<std::uint8_t, 67> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(251 * i + 17);
  for (std::size_t length = 0; length <= bytes.size(); ++length) {
    std::uint32_t slow = 0;
    for (std::size_t i = 0; i < length; ++i) slow += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
    while (slow >> 16 != 0) slow = (slow & 0xffff) + (slow >> 16);
    EXPECT_EQ(internet_sum({bytes.data(), length}), slow) << length;
  }
}

TEST(Checksum, IsCompletedInPlace) {
  // EtherType, then a pretended transport header of 10 bytes at 2 whose checksum field (at 4) holds a
  // pseudo-header sum.
  std::array<std::uint8_t, 12> payload{0x08, 0x00, 0x12, 0x34, 0xab, 0xcd,
                                       0x00, 0x07, 0x99, 0x88, 0x01, 0x02};
  Offload offload{.needs_checksum = true, .checksum_start = 2, .checksum_offset = 2};
  const std::uint16_t expected = static_cast<std::uint16_t>(~internet_sum(std::span(payload).subspan(2)));
  complete_checksum(payload, offload);
  EXPECT_FALSE(offload.needs_checksum);
  EXPECT_EQ(payload[4] << 8 | payload[5], expected);
}

TEST(Checksum, ZeroIsSentAsAllOnes) {
  std::array<std::uint8_t, 6> payload{0x08, 0x00, 0xff, 0xff, 0x00, 0x00};
  Offload offload{.needs_checksum = true, .checksum_start = 2, .checksum_offset = 2};
  complete_checksum(payload, offload);
  EXPECT_EQ(payload[4], 0xff);
  EXPECT_EQ(payload[5], 0xff);
}

TEST(Checksum, OfSctpIsACrc32c) {
  // EtherType, then an SCTP packet (ports 36412 and 2905, one COOKIE ACK chunk) as Scapy finishes it.
  std::array<std::uint8_t, 18> payload{0x08, 0x00, 0x8e, 0x3c, 0x0b, 0x59, 0x12, 0x34, 0x56,
                                       0x78, 0xff, 0xff, 0xff, 0xff, 0x0b, 0x00, 0x00, 0x04};
  Offload offload{.needs_checksum = true, .checksum_start = 2, .checksum_offset = 8};
  complete_checksum(payload, offload);
  EXPECT_FALSE(offload.needs_checksum);
  const std::array<std::uint8_t, 4> expected{0xab, 0xa7, 0xe6, 0xdc};
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), payload.begin() + 10));
}

TEST(Checksum, LeavesGsoPacketsAlone) {
  std::array<std::uint8_t, 6> payload{0x08, 0x00, 0x01, 0x02, 0x03, 0x04};
  const auto before = payload;
  Offload offload{
      .needs_checksum = true, .gso_type = 1, .gso_size = 1448, .checksum_start = 2, .checksum_offset = 2};
  complete_checksum(payload, offload);
  EXPECT_TRUE(offload.needs_checksum);
  EXPECT_EQ(payload, before);
}

TEST(MacAddr, ParsesWhatItPrintsAndNothingElse) {
  const auto mac = MacAddr::parse("02:0a:ff:00:10:9c");
  ASSERT_TRUE(mac);
  EXPECT_EQ(mac->to_string(), "02:0a:ff:00:10:9c");
  EXPECT_EQ(MacAddr::from_u64(mac->to_u64()), *mac);
  for (const char* bad : {"", "02:0a:ff:00:10", "02:0a:ff:00:10:9", "02-0a-ff-00-10-9c",
                          "02:0a:ff:00:10:9c:", "0g:0a:ff:00:10:9c"}) {
    EXPECT_FALSE(MacAddr::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace vswitch
