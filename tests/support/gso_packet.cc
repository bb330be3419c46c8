// SPDX-License-Identifier: Apache-2.0
#include "tests/support/gso_packet.h"

#include <netinet/in.h>

namespace vswitch::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

void put16(Bytes& bytes, std::size_t at, std::size_t value) {
  bytes.at(at) = static_cast<std::uint8_t>(value >> 8);
  bytes.at(at + 1) = static_cast<std::uint8_t>(value);
}
std::size_t get16(const Bytes& bytes, std::size_t at) {
  return static_cast<std::size_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}

std::size_t sum(const Bytes& bytes, std::size_t from, std::size_t to, std::size_t start = 0) {
  std::size_t total = start;
  for (std::size_t i = from; i < to; ++i) total += std::size_t{bytes.at(i)} << ((i - from) % 2 == 0 ? 8 : 0);
  while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
  return total;
}

struct Layout {
  std::size_t addresses, addresses_end, transport;
  std::uint8_t protocol;
};

/// Of a packet that starts with IP; the builder's own extension header is the only one known.
Layout layout(const Bytes& packet) {
  if (packet.at(0) >> 4 == 4) return {12, 20, std::size_t{4} * (packet[0] & 15), packet.at(9)};
  if (packet.at(6) != IPPROTO_DSTOPTS) return {8, 40, 40, packet[6]};
  return {8, 40, 40 + std::size_t{8} * (packet.at(41) + 1U), packet.at(40)};
}

std::size_t pseudo_sum(const Bytes& packet, const Layout& at) {
  return sum(packet, at.addresses, at.addresses_end, at.protocol + packet.size() - at.transport);
}

void put_ipv4(Bytes& packet, const GsoPacket& frame) {
  packet[0] = static_cast<std::uint8_t>(0x40 | (20 + frame.options) / 4);
  packet[1] = 0x2a;
  put16(packet, 2, packet.size());
  put16(packet, 4, frame.identification);
  put16(packet, 6, 0x4000);
  packet[8] = 61;
  packet[9] = frame.udp ? IPPROTO_UDP : IPPROTO_TCP;
  for (std::size_t i = 0; i < 8; ++i) packet[12 + i] = static_cast<std::uint8_t>(192 + i * 7);
  for (std::size_t i = 0; i < frame.options; ++i) packet[20 + i] = 1;  // no operation
  put16(packet, 10, ~sum(packet, 0, 20 + frame.options) & 0xffff);
}

void put_ipv6(Bytes& packet, const GsoPacket& frame) {
  packet[0] = 0x62;
  packet[2] = 0x5c;
  put16(packet, 4, packet.size() - 40);
  packet[6] = frame.udp ? IPPROTO_UDP : IPPROTO_TCP;
  packet[7] = 59;
  for (std::size_t i = 0; i < 32; ++i) packet[8 + i] = static_cast<std::uint8_t>(0x20 + i * 5);
  if (frame.options == 0) return;
  packet[40] = packet[6];
  packet[6] = IPPROTO_DSTOPTS;
  packet[41] = static_cast<std::uint8_t>(frame.options / 8 - 1);
  packet[42] = 1;  // PadN to the end of the header
  packet[43] = static_cast<std::uint8_t>(frame.options - 4);
}

void put_transport(Bytes& packet, std::size_t at, const GsoPacket& frame) {
  put16(packet, at, 4242);
  put16(packet, at + 2, 5001);
  if (frame.udp) {
    put16(packet, at + 4, packet.size() - at);
    return;
  }
  put16(packet, at + 4, frame.sequence >> 16);
  put16(packet, at + 6, frame.sequence & 0xffff);
  put16(packet, at + 8, 0x1234);
  packet[at + 12] = static_cast<std::uint8_t>((20 + frame.options) / 4 << 4);
  packet[at + 13] = frame.tcp_flags;
  put16(packet, at + 14, 8191);
  put16(packet, at + 18, 0x0a0b);
  for (std::size_t i = 0; i < frame.options; ++i) packet[at + 20 + i] = 1;
}

}  // namespace

std::vector<std::uint8_t> GsoPacket::payload() const {
  Bytes packet(data_at() - network_at() + data, 0);
  ipv6 ? put_ipv6(packet, *this) : put_ipv4(packet, *this);
  const std::size_t transport = transport_at() - network_at();
  put_transport(packet, transport, *this);
  for (std::size_t i = 0; i < data; ++i)
    packet[packet.size() - data + i] = static_cast<std::uint8_t>(i * 13 + (i >> 8));
  const std::size_t pseudo = pseudo_sum(packet, layout(packet));
  put16(packet, transport + (udp ? 6 : 16),
        finished_checksum ? ~sum(packet, transport, packet.size(), pseudo) & 0xffff : pseudo);

  Bytes all;
  const auto append = [&all](std::size_t value) {
    all.push_back(static_cast<std::uint8_t>(value >> 8));
    all.push_back(static_cast<std::uint8_t>(value));
  };
  for (const VlanTag& tag : tags) {
    append(tag.tpid);
    append(tag.tci);
  }
  append(ipv6 ? 0x86dd : 0x0800);
  all.insert(all.end(), packet.begin(), packet.end());
  return all;
}

Offload GsoPacket::offload() const {
  Offload result;
  result.gso_type = udp ? kGsoUdpL4 : ipv6 ? kGsoTcp6 : kGsoTcp4;
  if (ecn) result.gso_type = static_cast<std::uint8_t>(result.gso_type | kGsoEcn);
  result.gso_size = segment;
  result.header_length = static_cast<std::uint16_t>(data_at());
  if (finished_checksum) return result;
  result.needs_checksum = true;
  result.checksum_start = static_cast<std::uint16_t>(transport_at());
  result.checksum_offset = udp ? 6 : 16;
  return result;
}

bool packet_is_valid(std::vector<std::uint8_t> packet) {
  const Layout at = layout(packet);
  const bool is_ipv4 = packet[0] >> 4 == 4;
  const bool length_fits = get16(packet, is_ipv4 ? 2 : 4) == packet.size() - (is_ipv4 ? 0 : 40);
  const bool header_fits = !is_ipv4 || sum(packet, 0, at.transport) == 0xffff;
  const bool datagram_fits =
      at.protocol != IPPROTO_UDP || get16(packet, at.transport + 4) == packet.size() - at.transport;
  return length_fits && header_fits && datagram_fits &&
         sum(packet, at.transport, packet.size(), pseudo_sum(packet, at)) == 0xffff;
}

}  // namespace vswitch::test
