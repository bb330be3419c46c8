// SPDX-License-Identifier: Apache-2.0
// TCP and UDP GSO packets as a local sender passes them to a device; every field differs from its default.
#pragma once

#include <cstdint>
#include <vector>

#include "datapath/frame/frame.h"

namespace vswitch::test {

/// The packet to build. payload() contains the tags, so that the frame itself has none.
struct GsoPacket {
  bool ipv6 = false;
  bool udp = false;
  std::size_t data = 4000;
  std::uint16_t segment = 1400;  ///< Offload::gso_size
  std::vector<VlanTag> tags = {};
  std::uint8_t tcp_flags = 0x10;
  std::size_t options = 0;  ///< bytes of TCP options, and of IPv4 options or an IPv6 extension header
  std::uint16_t identification = 77;    ///< IPv4
  std::uint32_t sequence = 0xfffff000;  ///< TCP: wraps within the frame
  bool finished_checksum = false;       ///< only segmentation is left to do
  bool ecn = false;                     ///< VIRTIO_NET_HDR_GSO_ECN

  /// Starts with the first tag, or with the EtherType.
  std::vector<std::uint8_t> payload() const;
  /// Its offsets count from the start of the payload.
  Offload offload() const;

  std::size_t network_at() const { return tags.size() * kTagLength + 2; }
  std::size_t transport_at() const { return network_at() + (ipv6 ? 40 : 20) + options; }
  std::size_t data_at() const { return transport_at() + (udp ? 8 : 20 + options); }
};

/// Whether lengths, IPv4 header checksum and transport checksum of a whole IP packet are right. Independent
/// of the code under test: computed word by word.
bool packet_is_valid(std::vector<std::uint8_t> packet);

}  // namespace vswitch::test
