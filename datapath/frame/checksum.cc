// SPDX-License-Identifier: Apache-2.0
#include "datapath/frame/checksum.h"

#include <boost/crc.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

namespace vswitch {

namespace {

constexpr std::size_t kCrc32cLength = 4;

/// CRC32c over the packet with its checksum field zero, sent least significant octet first (RFC 9260,
/// appendix A). Only the position of the field tells it from an Internet checksum: struct virtio_net_hdr has
/// no flag for it.
bool complete_crc32c(std::span<std::uint8_t> head, std::span<const std::uint8_t> rest) {
  if (head.size() < kSctpChecksumAt + kCrc32cLength) return false;
  const auto field = head.subspan(kSctpChecksumAt, kCrc32cLength);
  std::fill(field.begin(), field.end(), std::uint8_t{0});
  boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> crc;
  crc.process_bytes(head.data(), head.size());
  crc.process_bytes(rest.data(), rest.size());
  std::uint32_t value = crc.checksum();
  for (std::uint8_t& octet : field) {
    octet = static_cast<std::uint8_t>(value);
    value >>= 8;
  }
  return true;
}

}  // namespace

std::uint16_t internet_sum(std::span<const std::uint8_t> bytes) {
  // Summed in machine order, eight bytes at a time with end-around carry; the sum of byte-swapped words is
  // the byte-swapped sum (RFC 1071, 2B).
  std::uint64_t sum = 0;
  const auto add = [&sum](std::uint64_t word) {
    sum += word;
    sum += sum < word ? 1 : 0;
  };
  while (bytes.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof word);
    add(word);
    bytes = bytes.subspan(sizeof word);
  }
  std::uint64_t rest = 0;
  if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
  add(rest);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  const auto folded = static_cast<std::uint16_t>(sum);
  if constexpr (std::endian::native == std::endian::little)
    return static_cast<std::uint16_t>(folded << 8 | folded >> 8);
  return folded;
}

void complete_checksum(std::span<std::uint8_t> payload, Offload& offload) {
  complete_checksum(payload, {}, offload);
}

void complete_checksum(std::span<std::uint8_t> head, std::span<const std::uint8_t> rest, Offload& offload) {
  if (!offload.needs_checksum || offload.is_gso()) return;
  const std::span<std::uint8_t> covered = head.subspan(offload.checksum_start);
  if (offload.checksum_offset == kSctpChecksumAt && complete_crc32c(covered, rest)) {
    offload = {};
    return;
  }
  const std::uint16_t of_rest = internet_sum(rest);
  std::uint32_t sum = internet_sum(covered);
  sum += covered.size() % 2 == 0 ? of_rest : static_cast<std::uint16_t>(of_rest << 8 | of_rest >> 8);
  auto checksum = static_cast<std::uint16_t>(~((sum & 0xffff) + (sum >> 16)));
  if (checksum == 0)
    checksum = 0xffff;  // 0 would mean "no checksum" in UDP; both are the same number to a receiver
  put_u16(covered, offload.checksum_offset, checksum);
  offload = {};
}

}  // namespace vswitch
