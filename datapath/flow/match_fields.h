// SPDX-License-Identifier: Apache-2.0
// The fields and protocols that a match can name: the position of each in the FlowKey, how its value is
// written and what it requires. To add a field, add a line to the table in match_fields.cc, and read and
// write the field in flow_key.cc and compose.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "datapath/flow/flow_key.h"

namespace vswitch::match_fields {

/// How a value is written (ovs-fields(7), "Format").
enum class Notation : std::uint8_t { number, maskable_number, port, mac, ipv4, ipv6, fragment, tcp_flags };

/// What else the match must contain (ovs-fields(7), "Prerequisites").
enum class Needs : std::uint8_t {
  nothing,
  arp,
  ipv4_or_arp,
  ipv6,
  ip,
  ip_or_arp,
  tcp,
  udp,
  sctp,
  icmp,
  icmpv6,
  transport,
  neighbour,
  solicit,
  advert
};

/// A number n is stored in its slot as `n << shift | always`, and its mask likewise, without the ignored
/// bits.
struct Field {
  std::string_view name;
  KeySlot slot;
  Notation notation;
  Needs needs = Needs::nothing;
  std::uint32_t most = 0;  ///< largest number
  std::uint8_t shift = 0;
  std::uint32_t always = 0;
  std::uint32_t ignored = 0;
};

/// Names that stand for an EtherType and perhaps a protocol (ovs-ofctl(8)).
struct Shorthand {
  std::string_view name;
  std::uint16_t ether_type;  ///< 0: any
  std::uint8_t protocol = 0;
};
/// The entry with that name; null if there is none.
const Field* find_field(std::string_view name);
const Shorthand* find_shorthand(std::string_view name);
std::span<const Field> all_fields();

/// Why a field of Open vSwitch cannot be used in a match, worded to follow the field's name; nullopt if no
/// such field is known.
std::optional<std::string_view> why_not_a_field(std::string_view name);
/// What the match lacks, worded to follow "it".
std::string_view sentence(Needs needs);

}  // namespace vswitch::match_fields
