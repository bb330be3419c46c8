// SPDX-License-Identifier: Apache-2.0
// Protocol headers: EtherTypes, IP protocols, field offsets, and reads and writes of numbers in network
// order. All code that walks over headers uses this file. Each walk decides for itself how to treat an
// inconsistent header, because a filter, a segmenter and a tunnel have different rules.
//
// Bounds: a view (Ipv4View, ...) exists only if its fixed header is complete, and a HeaderCursor does not go
// past the end. Plain reads and writes at an offset require the bytes to be there; debug and sanitized builds
// check this.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

namespace vswitch {

// ---- Ethernet -----------------------------------------------------------------------------------------

inline constexpr std::uint16_t kMinEtherType = 0x600;  ///< smaller values are lengths (IEEE 802.3)
inline constexpr std::uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr std::uint16_t kEtherTypeArp = 0x0806;
inline constexpr std::uint16_t kEtherTypeErspan3 = 0x22eb;   ///< in GRE
inline constexpr std::uint16_t kEtherTypeEthernet = 0x6558;  ///< in GRE: transparent Ethernet bridging
inline constexpr std::uint16_t kEtherTypeRarp = 0x8035;
inline constexpr std::uint16_t kTpid8021Q = 0x8100;  ///< IEEE 802.1Q customer tag
inline constexpr std::uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr std::uint16_t kEtherTypeMpls = 0x8847;
inline constexpr std::uint16_t kEtherTypeMplsMulticast = 0x8848;
inline constexpr std::uint16_t kTpid8021ad = 0x88a8;        ///< IEEE 802.1ad service tag
inline constexpr std::uint16_t kEtherTypeErspan2 = 0x88be;  ///< in GRE, also of type I

inline constexpr std::size_t kAddressesLength = 12;  ///< destination and source address
inline constexpr std::size_t kTagLength = 4;
inline constexpr std::size_t kEtherTypeLength = 2;

constexpr bool is_vlan_tpid(std::uint16_t ether_type) {
  return ether_type == kTpid8021Q || ether_type == kTpid8021ad;
}

// ---- IP protocols (also IPv6 extension headers) -------------------------------------------------------

inline constexpr std::uint8_t kIpProtoHopByHop = 0;
inline constexpr std::uint8_t kIpProtoIcmp = 1;
inline constexpr std::uint8_t kIpProtoTcp = 6;
inline constexpr std::uint8_t kIpProtoUdp = 17;
inline constexpr std::uint8_t kIpProtoRouting = 43;
inline constexpr std::uint8_t kIpProtoFragment = 44;
inline constexpr std::uint8_t kIpProtoGre = 47;
inline constexpr std::uint8_t kIpProtoAh = 51;
inline constexpr std::uint8_t kIpProtoIcmpv6 = 58;
inline constexpr std::uint8_t kIpProtoNone = 59;  ///< nothing follows
inline constexpr std::uint8_t kIpProtoDestination = 60;
inline constexpr std::uint8_t kIpProtoSctp = 132;

// ---- Numbers in network order -------------------------------------------------------------------------

/// Reads the number at offset `at`, which must lie inside `bytes`.
constexpr std::uint16_t u16_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  assert(at + 2 <= bytes.size());
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
constexpr std::uint32_t u32_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint32_t>(u16_at(bytes, at)) << 16 | u16_at(bytes, at + 2);
}

/// Writes the low bits of `value` at offset `at`, which must lie inside `bytes`.
constexpr void put_u16(std::span<std::uint8_t> bytes, std::size_t at, std::size_t value) {
  assert(at + 2 <= bytes.size());
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}
constexpr void put_u32(std::span<std::uint8_t> bytes, std::size_t at, std::size_t value) {
  put_u16(bytes, at, value >> 16);
  put_u16(bytes, at + 2, value);
}

/// Consumes headers from the front of a packet. A step past the end fails and changes nothing.
class HeaderCursor {
 public:
  explicit constexpr HeaderCursor(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  constexpr std::span<const std::uint8_t> rest() const { return rest_; }
  constexpr bool has(std::size_t count) const { return rest_.size() >= count; }
  constexpr bool skip(std::size_t count) {
    if (!has(count)) return false;
    rest_ = rest_.subspan(count);
    return true;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

/// Writes consecutive numbers into memory that is large enough.
class HeaderWriter {
 public:
  explicit constexpr HeaderWriter(std::span<std::uint8_t> out) : out_(out) {}
  constexpr void u16(std::size_t value) {
    put_u16(out_, at_, value);
    at_ += 2;
  }
  constexpr void u32(std::size_t value) {
    put_u32(out_, at_, value);
    at_ += 4;
  }

 private:
  std::span<std::uint8_t> out_;
  std::size_t at_ = 0;
};

/// Returns the offset of the EtherType behind the VLAN tags. Starts at the EtherType at `at` and skips at
/// most `most` tags. Stops at a tag that is not followed by an EtherType.
constexpr std::size_t skip_vlan_tags(std::span<const std::uint8_t> bytes, std::size_t at,
                                     std::size_t most = std::numeric_limits<std::size_t>::max()) {
  while (most-- > 0 && bytes.size() >= at + kTagLength + kEtherTypeLength && is_vlan_tpid(u16_at(bytes, at)))
    at += kTagLength;
  return at;
}

// ---- IP -----------------------------------------------------------------------------------------------

/// The fixed 20 bytes of an IPv4 header (RFC 791). Lengths are as the header states them, unchecked.
class Ipv4View {
 public:
  static constexpr std::size_t kLength = 20;

  /// Nullopt if there are fewer bytes.
  static constexpr std::optional<Ipv4View> of(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < kLength) return std::nullopt;
    return Ipv4View(bytes.first<kLength>());
  }

  constexpr std::uint8_t version() const { return bytes_[0] >> 4; }
  constexpr std::size_t header_length() const { return std::size_t{4} * (bytes_[0] & 0x0f); }  ///< bytes
  constexpr std::uint8_t tos() const { return bytes_[1]; }
  constexpr std::size_t total_length() const { return u16_at(bytes_, 2); }
  /// Part of a larger packet: it has an offset, or more fragments follow.
  constexpr bool is_fragment() const { return (u16_at(bytes_, 6) & 0x3fff) != 0; }
  /// Not the first fragment: no transport header follows.
  constexpr bool is_later_fragment() const { return (u16_at(bytes_, 6) & 0x1fff) != 0; }
  constexpr std::uint8_t ttl() const { return bytes_[8]; }
  constexpr std::uint8_t protocol() const { return bytes_[9]; }
  constexpr std::span<const std::uint8_t, 4> source() const { return bytes_.subspan<12, 4>(); }
  constexpr std::span<const std::uint8_t, 4> destination() const { return bytes_.subspan<16, 4>(); }
  constexpr std::span<const std::uint8_t, 8> addresses() const { return bytes_.subspan<12, 8>(); }

 private:
  explicit constexpr Ipv4View(std::span<const std::uint8_t, kLength> bytes) : bytes_(bytes) {}
  std::span<const std::uint8_t, kLength> bytes_;
};

/// The fixed header of IPv6 (RFC 8200).
class Ipv6View {
 public:
  static constexpr std::size_t kLength = 40;

  /// Nullopt if there are fewer bytes.
  static constexpr std::optional<Ipv6View> of(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < kLength) return std::nullopt;
    return Ipv6View(bytes.first<kLength>());
  }

  constexpr std::uint8_t version() const { return bytes_[0] >> 4; }
  constexpr std::uint8_t traffic_class() const { return static_cast<std::uint8_t>(u16_at(bytes_, 0) >> 4); }
  constexpr std::uint32_t flow_label() const { return u32_at(bytes_, 0) & 0xfffff; }
  constexpr std::size_t payload_length() const { return u16_at(bytes_, 4); }
  constexpr std::uint8_t next_header() const { return bytes_[6]; }
  constexpr std::uint8_t hop_limit() const { return bytes_[7]; }
  constexpr std::span<const std::uint8_t, 16> source() const { return bytes_.subspan<8, 16>(); }
  constexpr std::span<const std::uint8_t, 16> destination() const { return bytes_.subspan<24, 16>(); }
  constexpr std::span<const std::uint8_t, 32> addresses() const { return bytes_.subspan<8, 32>(); }

 private:
  explicit constexpr Ipv6View(std::span<const std::uint8_t, kLength> bytes) : bytes_(bytes) {}
  std::span<const std::uint8_t, kLength> bytes_;
};

/// Extension headers whose second byte is their length, and which every fragment or segment may repeat.
constexpr bool is_ipv6_option_header(std::uint8_t protocol) {
  return protocol == kIpProtoHopByHop || protocol == kIpProtoRouting || protocol == kIpProtoDestination;
}
/// Length of such a header in bytes; `header` has at least two bytes.
constexpr std::size_t ipv6_option_header_length(std::span<const std::uint8_t> header) {
  return std::size_t{8} * (header[1] + 1U);
}

/// The fragment header of IPv6 (RFC 8200, section 4.5).
class Ipv6FragmentView {
 public:
  static constexpr std::size_t kLength = 8;

  /// Nullopt if there are fewer bytes.
  static constexpr std::optional<Ipv6FragmentView> of(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < kLength) return std::nullopt;
    return Ipv6FragmentView(bytes.first<kLength>());
  }

  constexpr std::uint8_t next_header() const { return bytes_[0]; }
  /// The reserved bits count too, as in Open vSwitch.
  constexpr bool is_fragment() const { return u16_at(bytes_, 2) != 0; }
  constexpr bool is_later_fragment() const { return (u16_at(bytes_, 2) & 0xfff8) != 0; }

 private:
  explicit constexpr Ipv6FragmentView(std::span<const std::uint8_t, kLength> bytes) : bytes_(bytes) {}
  std::span<const std::uint8_t, kLength> bytes_;
};

// ---- Transport: lengths of the fixed headers, and offsets in them --------------------------------------

inline constexpr std::size_t kTcpHeader = 20;
inline constexpr std::size_t kTcpFlagsAt = 13;
inline constexpr std::size_t kTcpChecksumAt = 16;
inline constexpr std::uint8_t kTcpFin = 0x01;
inline constexpr std::uint8_t kTcpPsh = 0x08;
inline constexpr std::uint8_t kTcpCwr = 0x80;
/// Length of a TCP header with options in bytes, as it states it; `tcp` holds at least the fixed header.
constexpr std::size_t tcp_header_length(std::span<const std::uint8_t> tcp) {
  return std::size_t{4} * (tcp[12] >> 4);
}

inline constexpr std::size_t kUdpHeader = 8;
inline constexpr std::size_t kUdpLengthAt = 4;
inline constexpr std::size_t kUdpChecksumAt = 6;

inline constexpr std::size_t kSctpHeader = 12;
inline constexpr std::size_t kSctpChecksumAt = 8;

inline constexpr std::size_t kIcmpHeader = 8;
inline constexpr std::size_t kIcmpChecksumAt = 2;

inline constexpr std::size_t kArpEthernetIpv4 = 28;  ///< an ARP packet for Ethernet and IPv4 (RFC 826)

}  // namespace vswitch
