// SPDX-License-Identifier: Apache-2.0
// The fields and protocols that a match can name: where each is in the FlowKey, how its value is written and
// what it needs beside it. A new field is a line of the table in match_fields.cc, and what frames carry it is
// said in flow_key.cc and compose.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "datapath/flow/flow_key.h"

namespace vswitch::match_fields {

/// How a value is written (ovs-fields(7), "Format").
enum class Notation : std::uint8_t { number, maskable_number, port, mac, ipv4, ipv6, fragment, tcp_flags };

/// What else the match has to say (ovs-fields(7), "Prerequisites").
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

/// A number n is `n << shift | always` in its slot, and its mask likewise, without the ignored bits.
struct Field {
  std::string_view name;
  KeySlot slot;
  Notation notation;
  Needs needs = Needs::nothing;
  std::uint32_t most = 0;  ///< of numbers
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
/// Null if there is none of that name.
const Field* find_field(std::string_view name);
const Shorthand* find_shorthand(std::string_view name);
std::span<const Field> all_fields();

/// Why a field that Open vSwitch has is none of a match, in words that go on after its name.
std::optional<std::string_view> why_not_a_field(std::string_view name);
/// What is missing, in words that go on after "it".
std::string_view sentence(Needs needs);

}  // namespace vswitch::match_fields
