// SPDX-License-Identifier: Apache-2.0
// A frame on its way through the switch.
//
// A frame is never moved in memory: it consists of its two addresses, its outer VLAN tag and a view of the
// rest (the payload, which starts with the EtherType behind the outer tag). Ports receive it as RawFrame and
// send it as OutgoingFrame: a small Ethernet header built for that port, and the same payload. One payload
// thus serves any number of ports, each with its own tags, and putting a stripped tag back costs nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "datapath/base/drop_reason.h"
#include "datapath/base/types.h"
#include "datapath/frame/headers.h"

namespace vswitch {

/// Addresses and EtherType; frames inside a host are not padded.
inline constexpr std::size_t kMinFrameLength = kAddressesLength + kEtherTypeLength;

/// One VLAN tag: TPID and TCI (PCP 3 bits, DEI 1 bit, VID 12 bits), in host order.
struct VlanTag {
  std::uint16_t tpid = kTpid8021Q;
  std::uint16_t tci = 0;

  constexpr VlanId vid() const { return tci & 0x0fff; }
  constexpr std::uint8_t pcp() const { return static_cast<std::uint8_t>(tci >> 13); }
  constexpr bool dei() const { return (tci & 0x1000) != 0; }
  constexpr VlanTag with_vid(VlanId vid) const {
    return {tpid, static_cast<std::uint16_t>((tci & 0xf000) | vid)};
  }
  constexpr VlanTag with_pcp(std::uint8_t pcp) const {
    return {tpid, static_cast<std::uint16_t>((tci & 0x1fff) | pcp << 13)};
  }
  bool operator==(const VlanTag&) const = default;
};

// Offload::gso_type: the kinds of GSO packet.
inline constexpr std::uint8_t kGsoTcp4 = 1;    ///< VIRTIO_NET_HDR_GSO_TCPV4
inline constexpr std::uint8_t kGsoUdp = 3;     ///< VIRTIO_NET_HDR_GSO_UDP: UFO, fragments
inline constexpr std::uint8_t kGsoTcp6 = 4;    ///< VIRTIO_NET_HDR_GSO_TCPV6
inline constexpr std::uint8_t kGsoUdpL4 = 5;   ///< VIRTIO_NET_HDR_GSO_UDP_L4: USO, Linux 6.2
inline constexpr std::uint8_t kGsoEcn = 0x80;  ///< VIRTIO_NET_HDR_GSO_ECN, in addition

/// Work that a local sender left to the device: finishing the checksum and segmenting a GSO packet. The
/// fields have the same meaning as in struct virtio_net_hdr (virtio 1.2, section 5.1.6), in host order.
/// `checksum_start` is counted from the first byte of whatever holds the Offload: RawFrame::bytes,
/// Frame::payload or OutgoingFrame::header.
struct Offload {
  bool needs_checksum = false;      ///< VIRTIO_NET_HDR_F_NEEDS_CSUM
  std::uint8_t gso_type = 0;        ///< VIRTIO_NET_HDR_GSO_*, 0 = an ordinary frame
  std::uint16_t gso_size = 0;       ///< payload bytes per segment
  std::uint16_t header_length = 0;  ///< bytes of headers in front of the first segment's payload; a hint
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;  ///< from checksum_start to the checksum field

  bool is_gso() const { return gso_type != 0; }
  bool operator==(const Offload&) const = default;
};

/// A frame as a port received it. The memory belongs to the port and is valid until Port::release().
struct RawFrame {
  std::span<const std::uint8_t> bytes;  ///< from the destination address, without FCS
  std::optional<VlanTag> stripped_tag;  ///< outer tag that the kernel removed from `bytes`
  Offload offload;
  bool truncated = false;  ///< the receive memory was too small: count and drop
  bool congested =
      false;           ///< its way through a tunnel met congestion of which it cannot tell: count and drop
  TimeNs arrived = 0;  ///< when the device got it, in steady time; 0: not known
};

/// A parsed frame. `payload` points into the memory of the RawFrame.
struct Frame {
  MacAddr dst;
  MacAddr src;
  std::optional<VlanTag> tag;             ///< outer tag, if it has one
  std::span<const std::uint8_t> payload;  ///< starts with an EtherType: inner tags count as payload
  Offload offload;
  TimeNs arrived = 0;  ///< RawFrame::arrived

  /// Length on the wire as received, tag included, without FCS.
  std::size_t wire_length() const { return kAddressesLength + (tag ? kTagLength : 0) + payload.size(); }
  std::uint16_t ether_type() const { return u16_at(payload, 0); }
  /// The second tag, if the payload starts with one.
  std::optional<VlanTag> inner_tag() const;
};

/// A frame, or why there is none: DropReason::malformed, receive_truncated or congestion_mark.
struct ParseResult {
  Frame frame;
  DropReason drop = DropReason::none;
};
/// Parses what a port received. The frame points into the memory of `raw`.
ParseResult parse(const RawFrame& raw);

/// The tags a frame carries inside the bridge. An outer tag with VID 0 keeps the priority of a frame without
/// VLAN.
struct BridgeTags {
  std::optional<VlanTag> outer;
  std::optional<VlanTag> inner;  ///< the customer's tag, after a dot1q-tunnel port has pushed its own
  std::uint8_t arrived_pcp = 0;  ///< of the outer tag on the wire, for ports with priority-tags

  VlanId vlan() const { return outer ? outer->vid() : VlanId{0}; }
};

/// Tags written in front of a payload, outermost first: at most a port's, a dot1q-tunnel's and an output
/// VLAN's.
struct TagList {
  static constexpr std::size_t kCapacity = 3;
  VlanTag tags[kCapacity];
  std::uint8_t count = 0;

  void push_back(VlanTag tag) { tags[count++] = tag; }
  bool operator==(const TagList& other) const {
    if (count != other.count) return false;
    for (std::uint8_t i = 0; i < count; ++i) {
      if (!(tags[i] == other.tags[i])) return false;
    }
    return true;
  }
};

/// Bytes of addresses and tags.
constexpr std::uint32_t header_length(const TagList& tags) {
  return static_cast<std::uint32_t>(kAddressesLength + tags.count * kTagLength);
}

inline constexpr std::size_t kMaxHeaderLength = kAddressesLength + TagList::kCapacity * kTagLength;

/// Writes addresses and tags as on the wire; the payload follows them. Returns the number of bytes written to
/// `out`.
std::size_t write_header(const MacAddr& dst, const MacAddr& src, const TagList& tags,
                         std::span<std::uint8_t, kMaxHeaderLength> out);

/// A frame for Port::send(): the header is sent first, then the payload. Both must outlive the call.
struct OutgoingFrame {
  std::span<const std::uint8_t> header;
  std::span<const std::uint8_t> payload;
  Offload offload;                        ///< checksum_start counts from the first byte of the header
  DropReason outcome = DropReason::none;  ///< set by send(): none = the device accepted it
  bool cut_to_mtu = false;                ///< it has been truncated to the MTU of the path
  std::uint8_t ttl = 0;                   ///< of the IP header that a tunnel puts in front of it
  std::uint8_t tos = 0;                   ///< the same: DSCP and ECN

  std::size_t length() const { return header.size() + payload.size(); }
};

/// Combines header and payload. Offsets in `offload` count from the payload, those of the result from the
/// header.
OutgoingFrame outgoing(std::span<const std::uint8_t> header, std::span<const std::uint8_t> payload,
                       Offload offload);

}  // namespace vswitch
