// SPDX-License-Identifier: Apache-2.0
// Writes and reads the headers between the IP header and the copied Ethernet frame: GRE, ERSPAN, VXLAN and Geneve.
// Pure functions.
//
//     gre       GRE 4 octets, and 4 each for checksum, key, sequence number; protocol 0x6558   RFC 2784, 2890
//     erspan1   GRE 4, protocol 0x88be; no header of its own                draft-foschiano-erspan-03, type I
//     erspan2   GRE 8 with sequence number, 0x88be; ERSPAN 8                                        type II
//     erspan3   GRE 8 with sequence number, 0x22eb; ERSPAN 12, or 20 with the platform subheader    type III
//     vxlan     UDP 8, VXLAN 8                                                                     RFC 7348
//     geneve    UDP 8, Geneve 8 without options; protocol 0x6558                                   RFC 8926
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "datapath/frame/frame.h"

namespace vswitch::tunnel {

enum class Encap : std::uint8_t { gre, erspan1, erspan2, erspan3, vxlan, geneve };
std::string_view name(Encap encap);
std::optional<Encap> encap_named(std::string_view name);
constexpr bool is_udp(Encap encap) {
  return encap == Encap::vxlan || encap == Encap::geneve;
}
constexpr bool is_erspan(Encap encap) {
  return encap != Encap::gre && !is_udp(encap);
}

/// Unit of the time stamp of ERSPAN type III (field Gra).
enum class Timestamp : std::uint8_t { us100, ns100, ieee1588 };

inline constexpr std::uint16_t kVxlanPort = 4789;
inline constexpr std::uint16_t kGenevePort = 6081;
constexpr std::uint16_t default_port(Encap encap) {
  return encap == Encap::geneve ? kGenevePort : kVxlanPort;
}
inline constexpr std::uint32_t kMaxSessionId = 1023;

struct Encapsulation {
  Encap encap = Encap::gre;
  std::optional<std::uint32_t> key = {};  ///< GRE key; VNI of VXLAN and Geneve
  bool checksum = false;                  ///< GRE: with a checksum
  bool sequence = false;                  ///< GRE: with sequence numbers
  std::uint16_t dst_port = kVxlanPort;    ///< of VXLAN and Geneve: default_port() unless another is set
  std::uint16_t session_id = 0;           ///< ERSPAN, 10 bits
  std::uint32_t index = 0;                ///< ERSPAN type II, 20 bits
  std::optional<std::uint8_t> cos = {};   ///< ERSPAN; nullopt: that of the copied frame
  std::uint8_t hwid = 0;                  ///< ERSPAN type III, 6 bits
  std::optional<bool> delivered = {};     ///< ERSPAN type III, field D; nullopt: from each copy's facts
  Timestamp timestamp = Timestamp::us100;
  bool subheader = false;  ///< ERSPAN type III: full time, with platform ID 3, or 5 for ieee1588

  bool operator==(const Encapsulation&) const = default;
};

/// Facts about one copy that header fields report.
struct CopyFacts {
  std::optional<VlanTag> tag;  ///< of the VLAN the frame was in
  bool tag_removed = false;    ///< the frame had it, and the copy does not
  bool delivered = false;      ///< the frame was on its way to the source port; otherwise from it
  bool truncated = false;
  std::size_t length = 0;         ///< of the copied frame before truncation, octets without FCS
  std::int64_t unix_time_ns = 0;  ///< when the frame was received
  std::uint32_t sequence = 0;
};

inline constexpr std::size_t kMaxEncapsulation = 28;  ///< GRE with a sequence number, ERSPAN III, subheader

/// Octets of headers between the IP header and the copied frame.
std::size_t encapsulation_length(const Encapsulation& how);

/// Writes these headers to `out`. `frame` is the frame that will follow, in consecutive parts. The UDP
/// checksum is left zero.
void write_encapsulation(const Encapsulation& how, const CopyFacts& facts,
                         std::span<const std::span<const std::uint8_t>> frame, std::span<std::uint8_t> out);

/// The frame inside a packet that came through a tunnel configured like this. Nullopt if the key or the
/// session differs, or if the packet is incomplete or does not come from such a tunnel. `packet` is what
/// follows the IP header, UDP header included. Each ERSPAN type accepts all of them. Of Geneve, control packets and
/// those with critical options are none (RFC 8926, section 3.5: whoever does not know such an option drops the packet);
/// other options are skipped.
std::optional<std::span<const std::uint8_t>> decapsulate(const Encapsulation& how,
                                                         std::span<const std::uint8_t> packet);

}  // namespace vswitch::tunnel
