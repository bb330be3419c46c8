// SPDX-License-Identifier: Apache-2.0
// What stands between the IP header and the copied Ethernet frame: GRE, ERSPAN and VXLAN headers, to and from
// bytes. Pure.
//
//     gre       GRE 4 octets, and 4 each for checksum, key, sequence number; protocol 0x6558   RFC 2784, 2890
//     erspan1   GRE 4, protocol 0x88be; no header of its own                draft-foschiano-erspan-03, type I
//     erspan2   GRE 8 with sequence number, 0x88be; ERSPAN 8                                        type II
//     erspan3   GRE 8 with sequence number, 0x22eb; ERSPAN 12, or 20 with the platform subheader    type III
//     vxlan     UDP 8, VXLAN 8                                                                     RFC 7348
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "datapath/frame/frame.h"

namespace vswitch::tunnel {

enum class Encap : std::uint8_t { gre, erspan1, erspan2, erspan3, vxlan };
std::string_view name(Encap encap);
std::optional<Encap> encap_named(std::string_view name);

/// Unit of the time stamp of ERSPAN type III (field Gra).
enum class Timestamp : std::uint8_t { us100, ns100, ieee1588 };

inline constexpr std::uint16_t kVxlanPort = 4789;
inline constexpr std::uint32_t kMaxSessionId = 1023;

struct Encapsulation {
  Encap encap = Encap::gre;
  std::optional<std::uint32_t> key = {};  ///< GRE key; VNI of VXLAN
  bool checksum = false;                  ///< GRE: with a checksum
  bool sequence = false;                  ///< GRE: with sequence numbers
  std::uint16_t dst_port = kVxlanPort;
  std::uint16_t session_id = 0;          ///< ERSPAN, 10 bits
  std::uint32_t index = 0;               ///< ERSPAN type II, 20 bits
  std::optional<std::uint8_t> cos = {};  ///< ERSPAN; nullopt: that of the copied frame
  std::uint8_t hwid = 0;                 ///< ERSPAN type III, 6 bits
  std::optional<bool> delivered = {};    ///< ERSPAN type III, field D; nullopt: as each copy's facts say
  Timestamp timestamp = Timestamp::us100;
  bool subheader = false;  ///< ERSPAN type III: time whole, by platform ID 3, or 5 with ieee1588

  bool operator==(const Encapsulation&) const = default;
};

/// What is true of one copy, for the fields that tell of it.
struct CopyFacts {
  std::optional<VlanTag> tag;  ///< of the VLAN the frame was in
  bool tag_removed = false;    ///< the frame had it, and the copy has it no more
  bool delivered = false;      ///< the frame was on its way to the source port; otherwise from it
  bool truncated = false;
  std::size_t length = 0;         ///< of the copied frame before it was cut, octets without FCS
  std::int64_t unix_time_ns = 0;  ///< when the frame was received
  std::uint32_t sequence = 0;
};

inline constexpr std::size_t kMaxEncapsulation = 28;  ///< GRE with a sequence number, ERSPAN III, subheader

/// Octets of headers in front of the copied frame; behind the IP header.
std::size_t encapsulation_length(const Encapsulation& how);

/// Writes these octets; `frame` is what will follow, one part behind the other. The UDP checksum of VXLAN is
/// left zero.
void write_encapsulation(const Encapsulation& how, const CopyFacts& facts,
                         std::span<const std::span<const std::uint8_t>> frame, std::span<std::uint8_t> out);

/// The frame inside a packet (what follows the IP header, UDP header included) that came through a tunnel
/// made like this, or nullopt: another key, another session, not whole, or not a tunnel at all. ERSPAN takes
/// every type.
std::optional<std::span<const std::uint8_t>> decapsulate(const Encapsulation& how,
                                                         std::span<const std::uint8_t> packet);

}  // namespace vswitch::tunnel
