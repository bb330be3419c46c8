// SPDX-License-Identifier: Apache-2.0
// struct virtio_net_hdr, in which AF_PACKET and tap devices carry a frame's Offload. Both use the machine's
// byte order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "datapath/frame/frame.h"

namespace vswitch {

/// struct virtio_net_hdr (virtio 1.2, section 5.1.6), which C++ cannot take from <linux/virtio_net.h>,
/// because that uses the name `class`.
struct VnetHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t header_length = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
};
static_assert(sizeof(VnetHeader) == 10);

inline constexpr std::uint8_t kVnetNeedsChecksum = 1;  ///< VIRTIO_NET_HDR_F_NEEDS_CSUM

inline Offload offload_from_vnet_header(const VnetHeader& header) {
  Offload offload;
  offload.needs_checksum = (header.flags & kVnetNeedsChecksum) != 0;
  offload.gso_type = header.gso_type;
  if (offload.is_gso()) {
    offload.gso_size = header.gso_size;
    offload.header_length = header.header_length;
  }
  if (offload.needs_checksum) {
    offload.checksum_start = header.checksum_start;
    offload.checksum_offset = header.checksum_offset;
  }
  return offload;
}

/// `length` is that of the whole frame, in bytes. VIRTIO_NET_HDR_F_DATA_VALID is never set: receivers check
/// the checksum themselves.
inline VnetHeader vnet_header_from_offload(const Offload& offload, std::size_t length) {
  VnetHeader header;
  if (offload.needs_checksum) {
    header.flags = kVnetNeedsChecksum;
    header.checksum_start = offload.checksum_start;
    header.checksum_offset = offload.checksum_offset;
  }
  if (offload.is_gso()) {
    header.gso_type = offload.gso_type;
    header.gso_size = offload.gso_size;
    // How much the kernel makes contiguous: enough for the headers. The received value is unsuitable: it may
    // be all of 64 KiB, which takes the kernel a high-order allocation, and tags may have been added or
    // removed since.
    constexpr std::size_t kMaxTcpHeader = 60;
    constexpr std::size_t kUsualHeaders = 128;
    const std::size_t headers =
        offload.needs_checksum ? offload.checksum_start + kMaxTcpHeader : kUsualHeaders;
    header.header_length = static_cast<std::uint16_t>(std::min({headers, length, std::size_t{0xffff}}));
  }
  return header;
}

}  // namespace vswitch
