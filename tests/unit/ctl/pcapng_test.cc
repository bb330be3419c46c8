// SPDX-License-Identifier: Apache-2.0
// What is written is read back by libpcap; tests/system/test_capture.py has tshark and capinfos read it.
#include "ctl/pcapng.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <memory>

namespace vswitch::ctl {
namespace {

std::uint32_t word(const std::string& text, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, text.data() + at, sizeof value);
  return value;
}

/// The types of the blocks, after checking that each has its length at both ends.
std::vector<std::uint32_t> blocks(const std::string& text) {
  std::vector<std::uint32_t> types;
  for (std::size_t at = 0; at < text.size();) {
    const std::uint32_t length = word(text, at + 4);
    EXPECT_EQ(length % 4, 0U);
    if (length < 12 || at + length > text.size()) {
      ADD_FAILURE() << "block " << types.size() << " has a length of " << length;
      break;
    }
    EXPECT_EQ(word(text, at + length - 4), length);
    types.push_back(word(text, at));
    at += length;
  }
  return types;
}

template <std::size_t kSize>
std::span<const std::byte> bytes_of(const std::array<std::uint8_t, kSize>& bytes) {
  return std::as_bytes(std::span(bytes));
}

TEST(Pcapng, LibpcapReadsFramesAndTheirTimes) {
  std::string text;
  pcapng::add_section(text, "test 1");
  pcapng::add_interface(text, "vnet7", 0);
  pcapng::add_interface(text, "t1", 0);
  const std::array<std::uint8_t, 15> first{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0, 0x45};
  const std::array<std::uint8_t, 16> second{9};
  pcapng::add_packet(text, {.interface = 0,
                            .unix_time_ns = 1'700'000'000'123'456'789,
                            .inbound = true,
                            .length = 1514,
                            .bytes = bytes_of(first)});
  pcapng::add_packet(text, {.interface = 1,
                            .unix_time_ns = 1'700'000'001'000'000'001,
                            .inbound = false,
                            .length = 16,
                            .bytes = bytes_of(second)});
  pcapng::add_statistics(
      text,
      {.interface = 1, .start_ns = 5, .end_ns = 6, .received = 7, .dropped = 3, .comment = "three lost"});
  EXPECT_EQ(blocks(text), (std::vector<std::uint32_t>{0x0a0d0d0a, 1, 1, 6, 6, 5}));

  std::array<char, PCAP_ERRBUF_SIZE> trouble{};
  pcap_t* file = pcap_fopen_offline_with_tstamp_precision(fmemopen(text.data(), text.size(), "rb"),
                                                          PCAP_TSTAMP_PRECISION_NANO, trouble.data());
  ASSERT_NE(file, nullptr) << trouble.data();
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> capture(file, &pcap_close);
  EXPECT_EQ(pcap_datalink(file), DLT_EN10MB);
  pcap_pkthdr* header = nullptr;
  const unsigned char* frame = nullptr;
  ASSERT_EQ(pcap_next_ex(file, &header, &frame), 1);
  EXPECT_EQ(header->ts.tv_sec, 1'700'000'000);
  EXPECT_EQ(header->ts.tv_usec, 123'456'789);
  EXPECT_EQ(header->len, 1514U);
  ASSERT_EQ(header->caplen, first.size());
  EXPECT_EQ(std::memcmp(frame, first.data(), first.size()), 0);
  ASSERT_EQ(pcap_next_ex(file, &header, &frame), 1);
  EXPECT_EQ(header->ts.tv_usec, 1);
  EXPECT_EQ(header->caplen, second.size());
  EXPECT_EQ(pcap_next_ex(file, &header, &frame), PCAP_ERROR_BREAK);
}

/// The directions and counts, which libpcap does not tell, byte by byte.
TEST(Pcapng, OptionsAreAsInTheDraft) {
  std::string packet;
  pcapng::add_packet(packet, {.interface = 2, .unix_time_ns = 1, .inbound = false, .length = 0, .bytes = {}});
  // type, length, interface, time (high, low), captured, length; option epb_flags: 2, 4 bytes, outbound; end; length
  const std::array<std::uint32_t, 11> expected{6, 44, 2, 0, 1, 0, 0, 2 | 4 << 16, 2, 0, 44};
  ASSERT_EQ(packet.size(), sizeof expected);
  EXPECT_EQ(std::memcmp(packet.data(), expected.data(), sizeof expected), 0);

  std::string statistics;
  pcapng::add_statistics(statistics, {.interface = 3,
                                      .start_ns = 0x1'0000'0002,
                                      .end_ns = 0x3'0000'0004,
                                      .received = 5,
                                      .dropped = std::nullopt,
                                      .comment = {}});
  const std::array<std::uint32_t, 16> counts{5,           64, 3, 3,           4, 2 | 8 << 16, 1, 2,
                                             3 | 8 << 16, 3,  4, 4 | 8 << 16, 5, 0,           0, 64};
  ASSERT_EQ(statistics.size(), sizeof counts);
  EXPECT_EQ(std::memcmp(statistics.data(), counts.data(), sizeof counts), 0);
}

TEST(Pcapng, AnOptionThatIsTooLongIsCut) {
  std::string text;
  pcapng::add_interface(text, std::string(100'000, 'x'), 96);
  EXPECT_EQ(blocks(text), std::vector<std::uint32_t>{1});
  EXPECT_LT(text.size(), 0x10100U);
}

}  // namespace
}  // namespace vswitch::ctl
