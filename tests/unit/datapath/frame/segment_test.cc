// SPDX-License-Identifier: Apache-2.0
// GSO packets cut by hand-checked rules. That the kernel makes the same bytes is shown by
// tests/platform/segment_test.cc.
#include "datapath/frame/segment.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/support/gso_packet.h"

namespace vswitch::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<Bytes> cut(const Bytes& payload, const Offload& offload) {
  const Segmenter segmenter(payload, offload);
  std::vector<Bytes> all;
  for (std::size_t i = 0; i < segmenter.count(); ++i) {
    Bytes segment(segmenter.header_length(), 0xee);
    segmenter.write_headers(i, segment);
    const auto data = segmenter.data(i);
    segment.insert(segment.end(), data.begin(), data.end());
    EXPECT_LE(segment.size(), segmenter.longest());
    all.push_back(std::move(segment));
  }
  return all;
}
std::vector<Bytes> cut(const GsoPacket& frame) {
  return cut(frame.payload(), frame.offload());
}

std::uint32_t get(const Bytes& bytes, std::size_t at, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | bytes.at(at + i);
  return value;
}

TEST(Segment, EverySegmentIsAValidPacketAndTheDataIsWhole) {
  for (const bool ipv6 : {false, true}) {
    for (const bool udp : {false, true}) {
      for (const std::size_t options : {0, 8, 24}) {
        for (const std::size_t tags : {0, 1, 2}) {
          for (const std::size_t data : {1, 1399, 1400, 1401, 4001, 20000}) {
            for (const bool finished : {false, true}) {
              GsoPacket frame;
              frame.ipv6 = ipv6, frame.udp = udp, frame.options = options, frame.data = data;
              frame.finished_checksum = finished;
              frame.tags.assign(tags, VlanTag{kTpid8021ad, 0x6064});
              const auto segments = cut(frame);
              ASSERT_EQ(segments.size(), (data + 1399) / 1400);
              Bytes whole;
              for (const Bytes& segment : segments) {
                EXPECT_TRUE(packet_is_valid({segment.begin() + frame.network_at(), segment.end()}));
                EXPECT_TRUE(std::equal(segment.begin(), segment.begin() + frame.network_at(),
                                       frame.payload().begin()));
                whole.insert(whole.end(), segment.begin() + frame.data_at(), segment.end());
              }
              const Bytes payload = frame.payload();
              EXPECT_EQ(whole, Bytes(payload.begin() + frame.data_at(), payload.end()));
            }
          }
        }
      }
    }
  }
}

TEST(Segment, SequenceAndIdentificationCountUpAndWrap) {
  GsoPacket frame;
  frame.identification = 0xffff;
  const auto segments = cut(frame);
  ASSERT_EQ(segments.size(), 3U);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(get(segments[i], 2 + 4, 2), (0xffff + i) & 0xffff);
    EXPECT_EQ(get(segments[i], 22 + 4, 4), 0xfffff000 + i * 1400);
    EXPECT_EQ(get(segments[i], 2 + 6, 2), 0x4000U) << "don't fragment stays";
  }
}

TEST(Segment, FinAndPshAreOnTheLastAndCwrOnTheFirst) {
  GsoPacket frame;
  frame.ecn = true;
  frame.tcp_flags = 0xff;
  const auto segments = cut(frame);
  ASSERT_EQ(segments.size(), 3U);
  EXPECT_EQ(segments[0][22 + 13], 0xf6);
  EXPECT_EQ(segments[1][22 + 13], 0x76);
  EXPECT_EQ(segments[2][22 + 13], 0x7f);
  frame.data = 7;
  EXPECT_EQ(cut(frame).at(0)[22 + 13], 0xff) << "first and last";
}

TEST(Segment, AZeroChecksumIsSentAsSuchByTcpAndAsAllOnesByUdp) {
  for (const bool udp : {false, true}) {
    GsoPacket frame;
    frame.udp = udp;
    frame.data = 2;
    Bytes payload = frame.payload();
    const Bytes once = cut(payload, frame.offload()).at(0);
    const std::size_t field = frame.transport_at() + (udp ? 6 : 16);
    // Data that adds just what is missing to a sum of all ones.
    const std::uint32_t missing = get(once, field, 2) + get(payload, frame.data_at(), 2);
    payload[frame.data_at()] = static_cast<std::uint8_t>((missing + (missing >> 16)) >> 8);
    payload[frame.data_at() + 1] = static_cast<std::uint8_t>(missing + (missing >> 16));
    EXPECT_EQ(get(cut(payload, frame.offload()).at(0), field, 2), udp ? 0xffffU : 0U);
  }
}

TEST(Segment, UdpWithoutChecksumStaysWithout) {
  GsoPacket frame;
  frame.udp = true;
  frame.finished_checksum = true;
  Bytes payload = frame.payload();
  payload[frame.transport_at() + 6] = payload[frame.transport_at() + 7] = 0;
  for (const Bytes& segment : cut(payload, frame.offload()))
    EXPECT_EQ(get(segment, frame.transport_at() + 6, 2), 0U);
}

TEST(Segment, ASendersOwnPseudoHeaderCounts) {
  GsoPacket frame;
  Bytes payload = frame.payload();
  const Bytes plain = cut(payload, frame.offload()).at(0);
  payload[frame.transport_at() + 17] ^= 1;  // what a routing header's final address does
  EXPECT_NE(cut(payload, frame.offload()).at(0), plain);
}

struct Lie {
  const char* what;
  std::function<void(Bytes&, Offload&)> tell;
};

TEST(Segment, WhatLiesIsRefused) {
  const Lie lies[] = {
      {"an ordinary frame", [](Bytes&, Offload& o) { o.gso_type = 0; }},
      {"UDP fragmentation", [](Bytes&, Offload& o) { o.gso_type = kGsoUdp; }},
      {"an unknown type", [](Bytes&, Offload& o) { o.gso_type = 2; }},
      {"the other IP version", [](Bytes&, Offload& o) { o.gso_type = kGsoTcp6; }},
      {"the other protocol", [](Bytes&, Offload& o) { o.gso_type = kGsoUdpL4; }},
      {"no segment size", [](Bytes&, Offload& o) { o.gso_size = 0; }},
      {"a tiny segment size", [](Bytes&, Offload& o) { o.gso_size = 7; }},
      {"another checksum start", [](Bytes&, Offload& o) { o.checksum_start += 2; }},
      {"another checksum field", [](Bytes&, Offload& o) { o.checksum_offset = 6; }},
      {"another EtherType", [](Bytes& b, Offload&) { b[1] = 0x06; }},
      {"another IP version in the header", [](Bytes& b, Offload&) { b[2] = 0x55; }},
      {"a short IP header", [](Bytes& b, Offload&) { b[2] = 0x44; }},
      {"an IP header of other length", [](Bytes& b, Offload&) { b[2] = 0x46; }},
      {"a longer total length", [](Bytes& b, Offload&) { ++b[5]; }},
      {"padding", [](Bytes& b, Offload&) { b.push_back(0); }},
      {"a fragment", [](Bytes& b, Offload&) { b[8] = 0x20; }},
      {"a short TCP header", [](Bytes& b, Offload&) { b[22 + 12] = 0x40; }},
  };
  for (const Lie& lie : lies) {
    const GsoPacket frame;
    Bytes payload = frame.payload();
    Offload offload = frame.offload();
    ASSERT_TRUE(Segmenter(payload, offload).valid());
    lie.tell(payload, offload);
    EXPECT_FALSE(Segmenter(payload, offload).valid()) << lie.what;
  }
}

TEST(Segment, AMillionUdpSegmentsAreRefused) {
  GsoPacket frame;
  frame.udp = true;
  frame.segment = 10;
  frame.data = 1280;
  EXPECT_EQ(cut(frame).size(), 128U);
  frame.data = 1281;
  EXPECT_EQ(cut(frame).size(), 0U);
}

TEST(Segment, AnyPrefixOfAGsoPacketIsRefused) {
  for (const bool ipv6 : {false, true}) {
    for (const bool udp : {false, true}) {
      GsoPacket frame;
      frame.ipv6 = ipv6, frame.udp = udp, frame.options = 16;
      frame.tags = {{kTpid8021Q, 5}};
      const Bytes payload = frame.payload();
      for (std::size_t length = 0; length < payload.size(); ++length) {
        const Bytes prefix(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(length));
        EXPECT_FALSE(Segmenter(prefix, frame.offload()).valid()) << length;
      }
    }
  }
}

}  // namespace
}  // namespace vswitch::test
