// SPDX-License-Identifier: Apache-2.0
// Golden bytes of every encapsulation, worked out by hand from the RFCs and draft-foschiano-erspan-03.
// tests/system/test_encapsulation.py has tshark read all combinations.
#include "datapath/tunnel/encapsulation.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <string>
#include <vector>

#include "datapath/frame/checksum.h"

namespace vswitch {
namespace {

std::vector<std::uint8_t> frame_bytes(std::size_t length = 60) {
  std::vector<std::uint8_t> bytes(length);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{1});
  bytes[12] = 0x08;
  bytes[13] = 0x06;
  return bytes;
}

const tunnel::CopyFacts kFacts{.tag = VlanTag{kTpid8021Q, 0xa064},  // PCP 5, VLAN 100
                               .tag_removed = false,
                               .delivered = true,
                               .truncated = true,
                               .length = 60,
                               .unix_time_ns = 1'700'000'000'123'456'789,
                               .sequence = 0x01020304};

std::string hex(const tunnel::Encapsulation& how, const tunnel::CopyFacts& facts,
                const std::vector<std::uint8_t>& frame = frame_bytes()) {
  std::vector<std::uint8_t> out(tunnel::encapsulation_length(how));
  const std::span<const std::uint8_t> whole(frame);
  // In two parts, the first of odd length.
  const std::array<std::span<const std::uint8_t>, 2> parts = {whole.first(17), whole.subspan(17)};
  tunnel::write_encapsulation(how, facts, parts, out);
  std::string text;
  for (const std::uint8_t byte : out) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

TEST(Encapsulation, Gre) {
  EXPECT_EQ(hex({.encap = tunnel::Encap::gre}, kFacts), "00006558");
  EXPECT_EQ(hex({.encap = tunnel::Encap::gre, .key = 0xdeadbeef}, kFacts), "20006558deadbeef");
  EXPECT_EQ(hex({.encap = tunnel::Encap::gre, .key = 7, .sequence = true}, kFacts),
            "300065580000000701020304");
}

TEST(Encapsulation, GreChecksumCoversHeaderAndFrame) {
  const tunnel::Encapsulation how{.encap = tunnel::Encap::gre, .key = 7, .checksum = true};
  const std::vector<std::uint8_t> frame = frame_bytes();
  std::vector<std::uint8_t> packet(tunnel::encapsulation_length(how));
  const std::array<std::span<const std::uint8_t>, 2> parts = {std::span(frame).first(17),
                                                              std::span(frame).subspan(17)};
  tunnel::write_encapsulation(how, kFacts, parts, packet);
  packet.insert(packet.end(), frame.begin(), frame.end());
  EXPECT_EQ(internet_sum(packet), 0xffff);
  ASSERT_TRUE(tunnel::decapsulate(how, packet));
  packet[20] ^= 1;
  EXPECT_FALSE(tunnel::decapsulate(how, packet));
}

TEST(Encapsulation, ErspanType1IsGreAlone) {
  EXPECT_EQ(hex({.encap = tunnel::Encap::erspan1, .session_id = 5}, kFacts), "000088be");
}

TEST(Encapsulation, ErspanType2) {
  // Ver 1, VLAN 100, COS 5, En 3, T 1, session 0x155; index.
  EXPECT_EQ(hex({.encap = tunnel::Encap::erspan2, .session_id = 0x155, .index = 0x12345}, kFacts),
            "100088be01020304"
            "1064bd55"
            "00012345");
  tunnel::CopyFacts removed = kFacts;
  removed.tag_removed = true;
  EXPECT_EQ(hex({.encap = tunnel::Encap::erspan2}, removed).substr(16, 8), "1064b400")
      << "En 2: the tag is removed";
  tunnel::CopyFacts untagged = kFacts;
  untagged.tag.reset();
  untagged.truncated = false;
  EXPECT_EQ(hex({.encap = tunnel::Encap::erspan2}, untagged).substr(16, 8), "10000000");
  EXPECT_EQ(hex({.encap = tunnel::Encap::erspan2, .cos = 3}, untagged).substr(16, 8), "10006000");
}

TEST(Encapsulation, ErspanType3) {
  // Ver 2, VLAN 100, COS 5, BSO 0, T 1, session 9; time; SGT 0, P 1, FT 0, hardware 0x2a, D 1, Gra, O.
  const std::uint64_t in_100us = 17'000'000'001'234ULL;
  EXPECT_EQ(hex({.encap = tunnel::Encap::erspan3, .session_id = 9, .hwid = 0x2a}, kFacts),
            "100022eb01020304"
            "2064a409"
            "1ef614d2"
            "000082a8");
  EXPECT_EQ(static_cast<std::uint32_t>(in_100us), 0x1ef614d2U);
  const tunnel::Encapsulation whole{.encap = tunnel::Encap::erspan3,
                                    .index = 0x1234,
                                    .timestamp = tunnel::Timestamp::ns100,
                                    .subheader = true};
  const std::uint64_t in_100ns = 17'000'000'001'234'567ULL;
  char expected[64];
  std::snprintf(expected, sizeof expected, "%08x0000800b0c001234%08x", static_cast<unsigned>(in_100ns),
                static_cast<unsigned>(in_100ns >> 32));
  EXPECT_EQ(hex(whole, kFacts).substr(24), expected) << "platform 3: the upper half of the time";
  const tunnel::Encapsulation seconds{
      .encap = tunnel::Encap::erspan3, .index = 0x1234, .timestamp = tunnel::Timestamp::ieee1588};
  EXPECT_EQ(hex(seconds, kFacts).substr(24),
            "075bcd15"
            "0000800d"
            "14001234"
            "6553f100")
      << "nanoseconds, and platform 5 with the seconds";
}

TEST(Encapsulation, ErspanType3TellsShortAndOversizedFrames) {
  tunnel::CopyFacts facts = kFacts;
  facts.truncated = false;
  const auto bso = [&facts](std::size_t length) {
    facts.length = length;
    return hex({.encap = tunnel::Encap::erspan3}, facts).substr(16, 8);
  };
  EXPECT_EQ(bso(59), "2064a800");
  EXPECT_EQ(bso(60), "2064a000");
  EXPECT_EQ(bso(1518), "2064a000") << "with a tag";
  EXPECT_EQ(bso(1519), "2064b000");
  facts.tag.reset();
  EXPECT_EQ(bso(1515), "20001000");
}

TEST(Encapsulation, ADirectionThatIsSetStandsForThatOfTheCopy) {
  EXPECT_EQ(hex({.encap = tunnel::Encap::erspan3, .delivered = false}, kFacts).substr(32, 8), "00008000");
}

TEST(Encapsulation, Vxlan) {
  const std::string bytes = hex({.encap = tunnel::Encap::vxlan, .key = 0x123456}, kFacts);
  EXPECT_EQ(bytes.substr(4),
            "12b5"
            "004c"
            "0000"
            "08000000"
            "12345600");
  EXPECT_GE(std::stoul(bytes.substr(0, 4), nullptr, 16), 49152U) << "RFC 7348, section 5";
  std::vector<std::uint8_t> other = frame_bytes();
  other[3] ^= 1;
  EXPECT_NE(bytes.substr(0, 4), hex({.encap = tunnel::Encap::vxlan}, kFacts, other).substr(0, 4))
      << "another flow, another source port";
}

TEST(Encapsulation, Geneve) {
  const tunnel::Encapsulation how{
      .encap = tunnel::Encap::geneve, .key = 0x123456, .dst_port = tunnel::kGenevePort};
  EXPECT_EQ(hex(how, kFacts).substr(4),
            "17c1"
            "004c"
            "0000"
            "00006558"
            "12345600");
}

/// What a receiver of Geneve takes: RFC 8926, sections 3.4 and 3.5.
TEST(Encapsulation, GeneveFromOthers) {
  const tunnel::Encapsulation how{.encap = tunnel::Encap::geneve, .key = 5, .dst_port = tunnel::kGenevePort};
  const std::vector<std::uint8_t> frame = frame_bytes(77);
  const auto packet = [&](std::uint8_t version_and_length, std::uint8_t flags, std::uint16_t protocol,
                          std::size_t options) {
    std::vector<std::uint8_t> bytes{0xc0, 0, 0x17, 0xc1, 0, 0, 0, 0, version_and_length, flags};
    bytes.insert(bytes.end(), {static_cast<std::uint8_t>(protocol >> 8), static_cast<std::uint8_t>(protocol),
                               0, 0, 5, 0xff});  // what is reserved is ignored
    bytes.resize(bytes.size() + options, 0xee);
    bytes.insert(bytes.end(), frame.begin(), frame.end());
    return bytes;
  };
  const auto inner = [&](const std::vector<std::uint8_t>& bytes) {
    const auto found = tunnel::decapsulate(how, bytes);
    return found ? std::vector<std::uint8_t>(found->begin(), found->end()) : std::vector<std::uint8_t>();
  };
  EXPECT_EQ(inner(packet(0, 0, 0x6558, 0)), frame);
  EXPECT_EQ(inner(packet(0, 0x3f, 0x6558, 0)), frame) << "reserved flags";
  EXPECT_EQ(inner(packet(2, 0, 0x6558, 8)), frame) << "options that need not be known";
  EXPECT_EQ(inner(packet(63, 0, 0x6558, 252)), frame);
  EXPECT_TRUE(inner(packet(2, 0x40, 0x6558, 8)).empty()) << "critical options";
  EXPECT_TRUE(inner(packet(0, 0x80, 0x6558, 0)).empty()) << "a control packet";
  EXPECT_TRUE(inner(packet(0x40, 0, 0x6558, 0)).empty()) << "another version";
  EXPECT_TRUE(inner(packet(0, 0, 0x0800, 0)).empty()) << "IP inside";
  EXPECT_TRUE(inner(packet(63, 0, 0x6558, 0)).empty()) << "options beyond the end";
}

TEST(Encapsulation, PortOfAFlowStaysTheSame) {
  std::vector<std::uint8_t> ipv4 = frame_bytes();
  ipv4[13] = 0x00;
  ipv4[14] = 0x45;
  ipv4[20] = 0x40;
  ipv4[21] = 0;
  ipv4[23] = 17;
  const tunnel::Encapsulation vxlan{.encap = tunnel::Encap::vxlan};
  const std::string port = hex(vxlan, kFacts, ipv4).substr(0, 4);
  for (const std::size_t varies : {16, 17, 18, 19, 22, 24, 25, 38, 50}) {
    std::vector<std::uint8_t> next = ipv4;
    next[varies] ^= 0x55;
    EXPECT_EQ(hex(vxlan, kFacts, next).substr(0, 4), port) << varies;
  }
  for (const std::size_t tells : {5, 26, 33, 34, 37}) {
    std::vector<std::uint8_t> other = ipv4;
    other[tells] ^= 0x55;
    EXPECT_NE(hex(vxlan, kFacts, other).substr(0, 4), port) << tells;
  }
}

struct Way {
  const char* what;
  tunnel::Encapsulation how;
};

class RoundTrip : public testing::TestWithParam<Way> {};

TEST_P(RoundTrip, GivesTheFrameBack) {
  const tunnel::Encapsulation& how = GetParam().how;
  const std::vector<std::uint8_t> frame = frame_bytes(77);
  std::vector<std::uint8_t> packet(tunnel::encapsulation_length(how));
  ASSERT_LE(packet.size(), tunnel::kMaxEncapsulation);
  const std::array<std::span<const std::uint8_t>, 1> parts = {frame};
  tunnel::write_encapsulation(how, kFacts, parts, packet);
  packet.insert(packet.end(), frame.begin(), frame.end());
  const auto inner = tunnel::decapsulate(how, packet);
  ASSERT_TRUE(inner);
  EXPECT_TRUE(std::equal(inner->begin(), inner->end(), frame.begin(), frame.end()));
  for (std::size_t length = 0; length < packet.size() - frame.size() + kMinFrameLength; ++length)
    EXPECT_FALSE(tunnel::decapsulate(how, std::span(packet).first(length))) << length;
}

TEST_P(RoundTrip, AnotherKeyOrSessionIsNotOurs) {
  tunnel::Encapsulation how = GetParam().how;
  const std::vector<std::uint8_t> frame = frame_bytes(77);
  std::vector<std::uint8_t> packet(tunnel::encapsulation_length(how));
  const std::array<std::span<const std::uint8_t>, 1> parts = {frame};
  tunnel::write_encapsulation(how, kFacts, parts, packet);
  packet.insert(packet.end(), frame.begin(), frame.end());
  how.key = how.key.value_or(0) + 1;
  how.session_id ^= 1;
  EXPECT_EQ(tunnel::decapsulate(how, packet).has_value(), how.encap == tunnel::Encap::erspan1)
      << "type I has no session";
}

INSTANTIATE_TEST_SUITE_P(
    Encapsulation, RoundTrip,
    testing::Values(Way{"Gre", {.encap = tunnel::Encap::gre}},
                    Way{"GreKey", {.encap = tunnel::Encap::gre, .key = 99}},
                    Way{"GreAll",
                        {.encap = tunnel::Encap::gre, .key = 99, .checksum = true, .sequence = true}},
                    Way{"Erspan1", {.encap = tunnel::Encap::erspan1}},
                    Way{"Erspan2", {.encap = tunnel::Encap::erspan2, .session_id = 1023}},
                    Way{"Erspan3", {.encap = tunnel::Encap::erspan3, .session_id = 1}},
                    Way{"Erspan3Sub", {.encap = tunnel::Encap::erspan3, .session_id = 1, .subheader = true}},
                    Way{"Vxlan", {.encap = tunnel::Encap::vxlan, .key = 16777214, .dst_port = 8472}},
                    Way{"Geneve", {.encap = tunnel::Encap::geneve, .key = 16777214, .dst_port = 6082}}),
    [](const auto& way) { return way.param.what; });

TEST(Encapsulation, NamesComeBack) {
  for (const tunnel::Encap encap : {tunnel::Encap::gre, tunnel::Encap::erspan1, tunnel::Encap::erspan2,
                                    tunnel::Encap::erspan3, tunnel::Encap::vxlan, tunnel::Encap::geneve})
    EXPECT_EQ(tunnel::encap_named(name(encap)), encap);
  EXPECT_FALSE(tunnel::encap_named("stt"));
}

}  // namespace
}  // namespace vswitch
