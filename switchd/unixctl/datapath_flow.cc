// SPDX-License-Identifier: Apache-2.0
#include "switchd/unixctl/datapath_flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <vector>

namespace vswitch::unixctl {
namespace {

struct FieldName {
  std::string_view part, field;  ///< as in tcp(dst=80)
  std::string_view openflow;
};
constexpr FieldName kFieldNames[] = {
    {"eth", "src", "dl_src"},          {"eth", "dst", "dl_dst"},      {"vlan", "vid", "dl_vlan"},
    {"vlan", "pcp", "dl_vlan_pcp"},    {"ipv4", "src", "nw_src"},     {"ipv4", "dst", "nw_dst"},
    {"ipv4", "proto", "nw_proto"},     {"ipv4", "ttl", "nw_ttl"},     {"ipv4", "frag", "nw_frag"},
    {"ipv6", "src", "ipv6_src"},       {"ipv6", "dst", "ipv6_dst"},   {"ipv6", "label", "ipv6_label"},
    {"ipv6", "proto", "nw_proto"},     {"ipv6", "hlimit", "nw_ttl"},  {"ipv6", "frag", "nw_frag"},
    {"tcp", "src", "tp_src"},          {"tcp", "dst", "tp_dst"},      {"udp", "src", "tp_src"},
    {"udp", "dst", "tp_dst"},          {"sctp", "src", "tp_src"},     {"sctp", "dst", "tp_dst"},
    {"icmp", "type", "icmp_type"},     {"icmp", "code", "icmp_code"}, {"icmpv6", "type", "icmpv6_type"},
    {"icmpv6", "code", "icmpv6_code"}, {"nd", "target", "nd_target"}, {"nd", "sll", "nd_sll"},
    {"nd", "tll", "nd_tll"},           {"arp", "sip", "arp_spa"},     {"arp", "tip", "arp_tpa"},
    {"arp", "op", "arp_op"},           {"arp", "sha", "arp_sha"},     {"arp", "tha", "arp_tha"},
};

/// Of the datapath, besides the frame.
constexpr std::string_view kBesideTheKey[] = {"recirc_id",   "dp_hash",  "skb_priority", "skb_mark",
                                              "packet_type", "ct_state", "ct_zone",      "ct_mark",
                                              "ct_label",    "tunnel",   "ct_tuple4",    "ct_tuple6"};

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(kBlanks);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kBlanks) - from + 1);
}

/// Splits at commas that are not inside parentheses.
std::vector<std::string_view> parts_of(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t from = 0;
  int depth = 0;
  for (std::size_t at = 0; at <= text.size(); ++at) {
    if (at < text.size() && text[at] == '(') ++depth;
    if (at < text.size() && text[at] == ')') --depth;
    if (at < text.size() && (text[at] != ',' || depth > 0)) continue;
    if (const auto part = trimmed(text.substr(from, at - from)); !part.empty()) parts.push_back(part);
    from = at + 1;
  }
  return parts;
}

std::string_view without_mask(std::string_view value) {
  return trimmed(value.substr(0, value.find('/')));
}

std::optional<std::uint32_t> number_in(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
    base = 16;
  }
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

/// Writes the match, part by part.
class Translation {
 public:
  DatapathFlow all(std::string_view text) {
    for (const std::string_view part : parts_of(text)) {
      const std::size_t open = part.find('(');
      // "packets:5" and what follows is about the flow.
      if (open == std::string_view::npos || part.find(':') < open) {
        if (part.starts_with("ufid:")) continue;
        if (part.find(':') == std::string_view::npos) fail(part, "expected name(value)");
        break;
      }
      if (part.back() != ')') fail(part, "the parenthesis is not closed");
      if (!flow_.trouble.empty()) break;
      take(part.substr(0, open), part.substr(open + 1, part.size() - open - 2));
    }
    if (!flow_.trouble.empty()) flow_.match.clear();
    return std::move(flow_);
  }

 private:
  void take(std::string_view name, std::string_view inside) {
    constexpr auto& beside = kBesideTheKey;
    if (std::find(std::begin(beside), std::end(beside), name) != std::end(beside)) return;
    if (name == "in_port") {
      flow_.in_port = without_mask(inside);
    } else if (name == "eth_type") {
      take_type(without_mask(inside));
    } else if (name == "vlan") {
      if (has_tag_) return fail(name, "give a frame with two tags as a packet in hexadecimal");
      has_tag_ = true;
      take_fields(name, inside);
    } else if (name == "encap") {
      for (const std::string_view part : parts_of(inside)) {
        const std::size_t open = part.find('(');
        if (open == std::string_view::npos || part.back() != ')') return fail(part, "expected name(value)");
        take(part.substr(0, open), part.substr(open + 1, part.size() - open - 2));
      }
    } else if (name == "tcp_flags") {
      add("tcp_flags", without_mask(inside));
    } else {
      take_fields(name, inside);
    }
  }

  void take_type(std::string_view type) {
    constexpr std::uint32_t kCustomerTag = 0x8100, kServiceTag = 0x88a8;
    const auto number = number_in(type);
    if (number == kServiceTag)
      fail("eth_type(0x88a8)", "give a frame with an 802.1ad tag as a packet in hexadecimal");
    if (number != kCustomerTag) add("dl_type", type);  // vlan() follows that one
  }

  void take_fields(std::string_view name, std::string_view inside) {
    const bool is_known = std::any_of(std::begin(kFieldNames), std::end(kFieldNames),
                                      [&](const FieldName& one) { return one.part == name; });
    if (!is_known) return fail(name, "no frame has such a field here");
    for (const std::string_view item : parts_of(inside)) {
      const std::size_t equals = item.find('=');
      const std::string_view field = item.substr(0, equals);
      if (equals == std::string_view::npos) return fail(item, "expected field=value");
      const std::string_view value = without_mask(item.substr(equals + 1));
      if (field == "tos" || field == "tclass") {
        take_tos(value);
      } else if (name == "nd" && value == "00:00:00:00:00:00") {
        continue;  // the option that this kind of message does not have
      } else if (name != "vlan" || field != "cfi") {
        const auto* const found =
            std::find_if(std::begin(kFieldNames), std::end(kFieldNames),
                         [&](const FieldName& one) { return one.part == name && one.field == field; });
        if (found == std::end(kFieldNames)) return fail(item, fmt::format("{} has no such field", name));
        add(found->openflow, value);
      }
    }
  }

  /// OpenFlow has the two parts of the octet as fields of their own.
  void take_tos(std::string_view value) {
    const auto tos = number_in(value);
    if (!tos) return fail(value, "expected a number");
    add("nw_tos", std::to_string(*tos & 0xfc));
    add("nw_ecn", std::to_string(*tos & 3));
  }

  void add(std::string_view field, std::string_view value) {
    flow_.match += fmt::format("{}{}={}", flow_.match.empty() ? "" : ",", field, value);
  }
  void fail(std::string_view what, std::string_view why) {
    if (flow_.trouble.empty()) flow_.trouble = fmt::format("{}: {}", what, why);
  }

  DatapathFlow flow_;
  bool has_tag_ = false;
};

}  // namespace

bool is_datapath_flow(std::string_view text) {
  return text.find('(') != std::string_view::npos;
}

DatapathFlow parse_datapath_flow(std::string_view text) {
  return Translation().all(text);
}

}  // namespace vswitch::unixctl
