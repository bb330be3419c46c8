// SPDX-License-Identifier: Apache-2.0
// Frames as they leave for a device: whole, cut short, in segments. With endpoints:
// tests/platform/tunnel_port_test.
#include "datapath/tunnel/pieces.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

#include "tests/support/gso_packet.h"

namespace vswitch {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes on_wire(const OutgoingFrame& piece) {
  Bytes bytes(piece.header.begin(), piece.header.end());
  bytes.insert(bytes.end(), piece.payload.begin(), piece.payload.end());
  return bytes;
}

/// A frame with one tag in its header, for pieces that leave bare.
struct Copy {
  explicit Copy(const test::GsoPacket& super) : payload(super.payload()), offload(super.offload()) {
    std::iota(header.begin(), header.end(), std::uint8_t{0x10});
    header[12] = 0x81;
    header[13] = 0x00;
  }
  OutgoingFrame frame() const { return outgoing(header, payload, offload); }
  /// Without addresses and tag: an IP packet with its EtherType.
  static Bytes packet(const Bytes& wire) { return {wire.begin() + 18, wire.end()}; }

  std::array<std::uint8_t, 16> header;
  Bytes payload;
  Offload offload;
};

TEST(Pieces, ADeviceTakesAGsoPacketAsItIs) {
  const Copy copy({.data = 4000, .segment = 1400});
  tunnel::Pieces pieces;
  ASSERT_EQ(pieces.add(copy.frame(), {}), DropReason::none);
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_EQ(pieces.all()[0].offload, copy.frame().offload);
  EXPECT_EQ(on_wire(pieces.all()[0]), on_wire(copy.frame()));
}

TEST(Pieces, AGsoPacketIsCutIntoFinishedSegments) {
  const Copy copy({.data = 4000, .segment = 1400});
  tunnel::Pieces pieces;
  ASSERT_EQ(pieces.add(copy.frame(), {.segment_gso = true}), DropReason::none);
  ASSERT_EQ(pieces.size(), 3U);
  for (const OutgoingFrame& piece : pieces.all()) {
    const Bytes wire = on_wire(piece);
    EXPECT_EQ(piece.offload, Offload{});
    EXPECT_TRUE(std::equal(copy.header.begin(), copy.header.end(), wire.begin()));
    EXPECT_TRUE(test::packet_is_valid(Copy::packet(wire)));
  }
}

TEST(Pieces, SnaplenCutsEachSegment) {
  const Copy copy({.data = 4000, .segment = 1400});
  tunnel::Pieces pieces;
  ASSERT_EQ(pieces.add(copy.frame(), {.segment_gso = true, .snaplen = 100}), DropReason::none);
  ASSERT_EQ(pieces.size(), 3U);
  for (const OutgoingFrame& piece : pieces.all()) EXPECT_EQ(piece.length(), 100U);
}

TEST(Pieces, AGsoPacketThatIsCutShortHasTheChecksumOfTheWhole) {
  const Copy copy({.data = 4000, .segment = 1400});
  tunnel::Pieces all;
  ASSERT_EQ(all.add(copy.frame(), {.snaplen = copy.frame().length() - 1}), DropReason::none);
  Bytes whole = on_wire(all.all()[0]);
  whole.push_back(copy.payload.back());
  EXPECT_TRUE(test::packet_is_valid(Copy::packet(whole))) << "all but the last byte, and it";
  for (const std::size_t snaplen : {14, 17, 60, 300}) {
    tunnel::Pieces pieces;
    ASSERT_EQ(pieces.add(copy.frame(), {.snaplen = snaplen}), DropReason::none);
    EXPECT_EQ(on_wire(pieces.all()[0]), Bytes(whole.begin(), whole.begin() + static_cast<long>(snaplen)));
    EXPECT_EQ(pieces.all()[0].offload, Offload{});
  }
}

TEST(Pieces, WhatCannotBeSegmentedIsRefusedAndLeavesNothing) {
  Copy copy({.data = 4000, .segment = 1400});
  copy.payload[0] = 0x88;  // another EtherType than the offload says
  tunnel::Pieces pieces;
  EXPECT_EQ(pieces.add(copy.frame(), {.segment_gso = true}), DropReason::not_segmentable);
  EXPECT_EQ(pieces.size(), 0U);
}

TEST(FitToPath, IsDecidedByTheBytesThatAreWanted) {
  for (const MtuPolicy policy : {MtuPolicy::truncate, MtuPolicy::fragment, MtuPolicy::drop}) {
    for (const auto& [length, snaplen] : {std::pair(1000U, kWholeFrame), {1001U, 1000U}, {60U, 1000U}}) {
      const tunnel::Fit fit = tunnel::fit_to_path(length, snaplen, 1000, policy);
      EXPECT_EQ(fit.bytes, std::min(length, snaplen));
      EXPECT_FALSE(fit.cut_to_mtu || fit.fragmented || fit.is_too_long);
    }
  }
}

TEST(FitToPath, WhatIsTooLongGoesByThePolicy) {
  const auto fit = [](MtuPolicy policy) { return tunnel::fit_to_path(1400, 1300, 1000, policy); };
  EXPECT_EQ(fit(MtuPolicy::truncate).bytes, 1000U);
  EXPECT_TRUE(fit(MtuPolicy::truncate).cut_to_mtu);
  EXPECT_EQ(fit(MtuPolicy::fragment).bytes, 1300U);
  EXPECT_TRUE(fit(MtuPolicy::fragment).fragmented);
  EXPECT_TRUE(fit(MtuPolicy::drop).is_too_long);
}

TEST(Pieces, MemoryIsUsedAgainAndStaysValidUntilCleared) {
  const Copy copy({.data = 60000, .segment = 536});
  tunnel::Pieces pieces;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 12; ++i)  // more headers than a block of the arena holds
      ASSERT_EQ(pieces.add(copy.frame(), {.segment_gso = true}), DropReason::none);
    ASSERT_EQ(pieces.size(), 12U * 112);
    for (const OutgoingFrame& piece : pieces.all())
      ASSERT_TRUE(test::packet_is_valid(Copy::packet(on_wire(piece))));
    pieces.clear();
  }
}

}  // namespace
}  // namespace vswitch
