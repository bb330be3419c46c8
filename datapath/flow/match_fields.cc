// SPDX-License-Identifier: Apache-2.0
#include "datapath/flow/match_fields.h"

#include <algorithm>
#include <iterator>

#include "datapath/frame/headers.h"

namespace vswitch::match_fields {

namespace {

using enum Notation;
constexpr Field kFields[] = {
    {"eth_src", key_slot::kEthSrc, mac},
    {"dl_src", key_slot::kEthSrc, mac},
    {"eth_dst", key_slot::kEthDst, mac},
    {"dl_dst", key_slot::kEthDst, mac},
    {"eth_type", key_slot::kEthType, number, Needs::nothing, 0xffff},
    {"dl_type", key_slot::kEthType, number, Needs::nothing, 0xffff},
    {"dl_vlan", key_slot::kVlanTci, number, Needs::nothing, 0xfff, 0, kTagPresent},
    {"vlan_vid", key_slot::kVlanTci, maskable_number, Needs::nothing, 0x1fff},
    {"dl_vlan_pcp", key_slot::kVlanTci, number, Needs::nothing, 7, 13, kTagPresent},
    {"vlan_pcp", key_slot::kVlanTci, number, Needs::nothing, 7, 13, kTagPresent},
    {"vlan_tci", key_slot::kVlanTci, maskable_number, Needs::nothing, 0xffff},
    {"nw_src", key_slot::kIpv4Src, ipv4, Needs::ipv4_or_arp},
    {"ip_src", key_slot::kIpv4Src, ipv4, Needs::ipv4_or_arp},
    {"nw_dst", key_slot::kIpv4Dst, ipv4, Needs::ipv4_or_arp},
    {"ip_dst", key_slot::kIpv4Dst, ipv4, Needs::ipv4_or_arp},
    {"ipv6_src", key_slot::kIpv6Src, ipv6, Needs::ipv6},
    {"ipv6_dst", key_slot::kIpv6Dst, ipv6, Needs::ipv6},
    {"ipv6_label", key_slot::kIpv6Label, maskable_number, Needs::ipv6, 0xfffff},
    {"nw_proto", key_slot::kProtocol, number, Needs::ip_or_arp, 0xff},
    {"ip_proto", key_slot::kProtocol, number, Needs::ip_or_arp, 0xff},
    {"nw_tos", key_slot::kTos, number, Needs::ip, 0xff, 0, 0, 3},  // DSCP only: ECN is nw_ecn
    {"ip_dscp", key_slot::kTos, number, Needs::ip, 0x3f, 2},
    {"nw_ecn", key_slot::kTos, number, Needs::ip, 3},
    {"ip_ecn", key_slot::kTos, number, Needs::ip, 3},
    {"nw_ttl", key_slot::kTtl, number, Needs::ip, 0xff},
    {"ip_frag", key_slot::kFragment, fragment, Needs::ip},
    {"nw_frag", key_slot::kFragment, fragment, Needs::ip},
    {"tp_src", key_slot::kSrcPort, port, Needs::transport, 0xffff},
    {"tp_dst", key_slot::kDstPort, port, Needs::transport, 0xffff},
    {"tcp_src", key_slot::kSrcPort, port, Needs::tcp, 0xffff},
    {"tcp_dst", key_slot::kDstPort, port, Needs::tcp, 0xffff},
    {"tcp_flags", key_slot::kTcpFlags, tcp_flags, Needs::tcp, 0xfff},
    {"udp_src", key_slot::kSrcPort, port, Needs::udp, 0xffff},
    {"udp_dst", key_slot::kDstPort, port, Needs::udp, 0xffff},
    {"sctp_src", key_slot::kSrcPort, port, Needs::sctp, 0xffff},
    {"sctp_dst", key_slot::kDstPort, port, Needs::sctp, 0xffff},
    {"icmp_type", key_slot::kSrcPort, number, Needs::icmp, 0xff},
    {"icmp_code", key_slot::kDstPort, number, Needs::icmp, 0xff},
    {"icmpv6_type", key_slot::kSrcPort, number, Needs::icmpv6, 0xff},
    {"icmpv6_code", key_slot::kDstPort, number, Needs::icmpv6, 0xff},
    {"arp_op", key_slot::kProtocol, number, Needs::arp, 0xff},
    {"arp_spa", key_slot::kIpv4Src, ipv4, Needs::arp},
    {"arp_tpa", key_slot::kIpv4Dst, ipv4, Needs::arp},
    {"arp_sha", key_slot::kArpSha, mac, Needs::arp},
    {"arp_tha", key_slot::kArpTha, mac, Needs::arp},
    {"nd_target", key_slot::kNdTarget, ipv6, Needs::neighbour},
    {"nd_sll", key_slot::kArpSha, mac, Needs::solicit},
    {"nd_tll", key_slot::kArpTha, mac, Needs::advert},
};

constexpr Shorthand kShorthands[] = {
    {"eth", 0},
    {"ip", kEtherTypeIpv4},
    {"ip4", kEtherTypeIpv4},
    {"ipv4", kEtherTypeIpv4},
    {"icmp", kEtherTypeIpv4, kIpProtoIcmp},
    {"tcp", kEtherTypeIpv4, kIpProtoTcp},
    {"udp", kEtherTypeIpv4, kIpProtoUdp},
    {"sctp", kEtherTypeIpv4, kIpProtoSctp},
    {"ipv6", kEtherTypeIpv6},
    {"ip6", kEtherTypeIpv6},
    {"icmp6", kEtherTypeIpv6, kIpProtoIcmpv6},
    {"tcp6", kEtherTypeIpv6, kIpProtoTcp},
    {"udp6", kEtherTypeIpv6, kIpProtoUdp},
    {"sctp6", kEtherTypeIpv6, kIpProtoSctp},
    {"arp", kEtherTypeArp},
    {"rarp", kEtherTypeRarp},
    {"mpls", kEtherTypeMpls},
    {"mplsm", kEtherTypeMplsMulticast},
};

/// Fields of Open vSwitch that a filter does not have, by prefix of the name.
struct Missing {
  std::string_view beginning;
  std::string_view sentence;
};
constexpr std::string_view kOfTheSwitch =
    "belongs to Open vSwitch's pipeline, not to the frame; a filter matches only the headers of a frame";
constexpr std::string_view kOfAFlow = "is part of a flow; a filter is only a match";
constexpr std::string_view kNotYet = "is not supported in a filter";
constexpr Missing kMissing[] = {
    {"in_port", "selects a port, which a filter cannot do: add the port to the sources of the session"},
    {"ct_", "needs connection tracking; a filter matches only the headers of a frame"},
    {"tun_", kOfTheSwitch},
    {"tunnel_id", kOfTheSwitch},
    {"metadata", kOfTheSwitch},
    {"reg", kOfTheSwitch},
    {"xreg", kOfTheSwitch},
    {"xxreg", kOfTheSwitch},
    {"pkt_mark", kOfTheSwitch},
    {"skb_priority", kOfTheSwitch},
    {"conj_id", kOfTheSwitch},
    {"recirc_id", kOfTheSwitch},
    {"dp_hash", kOfTheSwitch},
    {"packet_type", kOfTheSwitch},
    {"actset_output", kOfTheSwitch},
    {"mpls_", kNotYet},
    {"nsh_", kNotYet},
    {"nd_reserved", kNotYet},
    {"nd_options_type", kNotYet},
    {"action", kOfAFlow},
    {"priority", kOfAFlow},
    {"table", kOfAFlow},
    {"cookie", kOfAFlow},
    {"idle_timeout", kOfAFlow},
    {"hard_timeout", kOfAFlow},
};

template <typename Table>
const auto* find_name(const Table& table, std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(table), std::end(table), [name](const auto& one) { return one.name == name; });
  return found == std::end(table) ? nullptr : found;
}

}  // namespace

const Field* find_field(std::string_view name) {
  return find_name(kFields, name);
}

const Shorthand* find_shorthand(std::string_view name) {
  return find_name(kShorthands, name);
}

std::span<const Field> all_fields() {
  return kFields;
}

std::optional<std::string_view> why_not_a_field(std::string_view name) {
  for (const Missing& missing : kMissing) {
    if (name.starts_with(missing.beginning)) return missing.sentence;
  }
  return std::nullopt;
}

std::string_view sentence(Needs needs) {
  switch (needs) {
    case Needs::nothing:
      break;
    case Needs::arp:
      return "is a field of ARP: add arp or rarp";
    case Needs::ipv4_or_arp:
      return "is a field of IPv4: add ip, or tcp, udp, ...; for IPv6 there are ipv6_src and ipv6_dst";
    case Needs::ipv6:
      return "is a field of IPv6: add ipv6, or tcp6, udp6, ...";
    case Needs::ip:
    case Needs::ip_or_arp:
      return "is a field of IP: add ip or ipv6";
    case Needs::tcp:
      return "is a field of TCP: add tcp or tcp6 (later fragments have none)";
    case Needs::udp:
      return "is a field of UDP: add udp or udp6 (later fragments have none)";
    case Needs::sctp:
      return "is a field of SCTP: add sctp or sctp6 (later fragments have none)";
    case Needs::icmp:
      return "is a field of ICMP: add icmp";
    case Needs::icmpv6:
      return "is a field of ICMPv6: add icmp6";
    case Needs::transport:
      return "needs a protocol with ports: add tcp, udp, sctp, tcp6, udp6 or sctp6 (later fragments have "
             "none)";
    case Needs::neighbour:
      return "is a field of neighbour discovery: add icmp6 and icmpv6_type=135 or icmpv6_type=136";
    case Needs::solicit:
      return "is a field of neighbour solicitations: add icmp6 and icmpv6_type=135";
    case Needs::advert:
      return "is a field of neighbour advertisements: add icmp6 and icmpv6_type=136";
  }
  return "";
}

}  // namespace vswitch::match_fields
