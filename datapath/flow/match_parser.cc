// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <netinet/icmp6.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "datapath/flow/match.h"
#include "datapath/flow/match_fields.h"
#include "datapath/frame/headers.h"

namespace vswitch {

namespace {

using match_fields::Field;
using match_fields::find_field;
using match_fields::find_shorthand;
using match_fields::Needs;
using match_fields::Notation;
using match_fields::sentence;
using match_fields::Shorthand;
using match_fields::why_not_a_field;
using Bytes = FlowKey::Value;

constexpr std::uint32_t kNoTag = 0xffff;  // as dl_vlan: OFP_VLAN_NONE of OpenFlow 1.0

constexpr std::optional<Bytes> kEveryBit =
    Bytes{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

Bytes in_network_order(std::uint32_t number, std::size_t size) {
  Bytes bytes{};
  for (std::size_t i = size; i-- > 0; number >>= 8) bytes[i] = static_cast<std::uint8_t>(number);
  return bytes;
}

/// Decimal, 0x hexadecimal or 0 octal, as ovs-ofctl reads numbers.
std::optional<std::uint32_t> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text.starts_with('0')) {
    base = 8;
  }
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Six groups of one or two hexadecimal digits.
std::optional<Bytes> parse_mac(std::string_view text) {
  Bytes bytes{};
  for (std::size_t i = 0; i < 6; ++i) {
    const std::size_t end = i < 5 ? text.find(':') : text.size();
    if (end == std::string_view::npos || end < 1 || end > 2) return std::nullopt;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + end, bytes[i], 16);
    if (error != std::errc{} || stop != text.data() + end) return std::nullopt;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return bytes;
}

std::optional<Bytes> parse_address(int family, std::string_view text) {
  Bytes bytes{};
  if (text.find('\0') != std::string_view::npos) return std::nullopt;  // inet_pton would stop there
  if (inet_pton(family, std::string(text).c_str(), bytes.data()) != 1) return std::nullopt;
  return bytes;
}

/// A mask written as its number of leading ones, or as an address.
std::optional<Bytes> parse_address_mask(int family, std::size_t size, std::string_view text) {
  const auto length = parse_number(text);
  if (!length) return parse_address(family, text);
  if (*length > size * 8) return std::nullopt;
  Bytes mask{};
  for (std::size_t bit = 0; bit < *length; ++bit)
    mask[bit / 8] = static_cast<std::uint8_t>(mask[bit / 8] | 0x80 >> bit % 8);
  return mask;
}

struct Flags {
  std::uint32_t value = 0;
  std::uint32_t mask = 0;
};

constexpr std::array<std::string_view, 9> kTcpFlagNames = {"fin", "syn", "rst", "psh", "ack",
                                                           "urg", "ece", "cwr", "ns"};

std::optional<std::uint32_t> parse_flag(std::string_view text) {
  const auto* const found = std::find(kTcpFlagNames.begin(), kTcpFlagNames.end(), text);
  if (found == kTcpFlagNames.end()) return std::nullopt;
  return 1U << (found - kTcpFlagNames.begin());
}

/// "+syn-ack": syn set, ack not set, others ignored.
std::optional<Flags> parse_signed_flags(std::string_view text) {
  Flags flags;
  while (!text.empty()) {
    const bool set = text.front() == '+';
    if (!set && text.front() != '-') return std::nullopt;
    text.remove_prefix(1);
    const std::size_t end = std::min(text.find_first_of("+-"), text.size());
    const auto flag = parse_flag(text.substr(0, end));
    if (!flag || (flags.mask & *flag) != 0) return std::nullopt;
    flags.mask |= *flag;
    if (set) flags.value |= *flag;
    text.remove_prefix(end);
  }
  return flags;
}

/// "syn|ack": exactly these.
std::optional<Flags> parse_exact_flags(std::string_view text, std::uint32_t all) {
  Flags flags{.value = 0, .mask = all};
  for (;;) {
    const std::size_t end = text.find('|');
    const auto flag = parse_flag(text.substr(0, end));
    if (!flag) return std::nullopt;
    flags.value |= *flag;
    if (end == std::string_view::npos) return flags;
    text.remove_prefix(end + 1);
  }
}

std::string quoted(std::string_view text) {
  return "'" + std::string(text) + "'";
}

}  // namespace

/// Fills a Match item by item.
class MatchParser {
 public:
  std::string parse(std::string_view text);
  Match take() { return std::move(filter_); }

 private:
  struct Item {
    std::string_view text;  ///< "tp_dst=80"
    std::string_view name;
    std::optional<std::string_view> value;
  };

  // What is wrong with the item, worded to follow its text; empty if it was added.
  std::string add(const Item& item);
  std::string add_field(const Field& field, const Item& item);
  std::string add_numbers(const Field& field, const Item& item);
  std::string add_number(const Field& field, const Item& item, std::uint32_t number, std::uint32_t mask);
  std::string add_range(const Field& field, const Item& item, std::size_t dash);
  std::string add_mac(const Field& field, const Item& item);
  std::string add_address(const Field& field, const Item& item);
  std::string add_fragment(const Field& field, const Item& item);
  std::string add_tcp_flags(const Field& field, const Item& item);
  std::string add_value(const Field& field, const Item& item, const Bytes& value, const Bytes& mask);
  std::string merge(KeySlot slot, const Bytes& value, const Bytes& mask);

  std::string check_needs() const;
  std::string check_tag() const;
  bool met(Needs needs) const;
  bool is(KeySlot slot, std::uint32_t number) const;
  bool is_ip(std::uint8_t protocol) const;
  bool has_ports(std::uint8_t protocol) const;

  Match filter_;
  struct Need {
    Needs needs;
    std::string_view item;
  };
  std::vector<Need> needs_;
};

std::string MatchParser::parse(std::string_view text) {
  constexpr std::string_view kSeparators = ", \t\r\n";
  filter_.text_ = text;
  bool empty = true;
  for (std::size_t at = text.find_first_not_of(kSeparators); at < text.size();
       at = text.find_first_not_of(kSeparators, at)) {
    const std::size_t end = std::min(text.find_first_of(kSeparators, at), text.size());
    Item item{.text = text.substr(at, end - at), .name = {}, .value = {}};
    const std::size_t equals = item.text.find_first_of("=:");
    item.name = item.text.substr(0, equals);
    if (equals != std::string_view::npos) item.value = item.text.substr(equals + 1);
    if (const std::string trouble = add(item); !trouble.empty()) return quoted(item.text) + ": " + trouble;
    empty = false;
    at = end;
  }
  if (empty) return "the match is empty: give at least one field or protocol, such as tcp,tp_dst=80";
  std::string trouble = check_needs();
  return trouble.empty() ? check_tag() : trouble;
}

std::string MatchParser::add(const Item& item) {
  if (const Shorthand* one = find_shorthand(item.name)) {
    if (item.value) return std::string(item.name) + " takes no value";
    std::string trouble;
    if (one->ether_type != 0)
      trouble = merge(key_slot::kEthType, in_network_order(one->ether_type, 2), *kEveryBit);
    if (trouble.empty() && one->protocol != 0)
      trouble = merge(key_slot::kProtocol, in_network_order(one->protocol, 1), *kEveryBit);
    return trouble;
  }
  if (const Field* field = find_field(item.name)) return add_field(*field, item);
  if (const auto why = why_not_a_field(item.name)) return std::string(item.name) + ' ' + std::string(*why);
  return "unknown field or protocol " + quoted(item.name) + "; ovs-fields(7) lists them";
}

std::string MatchParser::add_field(const Field& field, const Item& item) {
  if (!item.value || item.value->empty()) return std::string(field.name) + " needs a value; * matches any";
  if (*item.value == "*") return "";
  switch (field.notation) {
    case Notation::number:
    case Notation::maskable_number:
    case Notation::port:
      return add_numbers(field, item);
    case Notation::mac:
      return add_mac(field, item);
    case Notation::ipv4:
    case Notation::ipv6:
      return add_address(field, item);
    case Notation::fragment:
      return add_fragment(field, item);
    case Notation::tcp_flags:
      return add_tcp_flags(field, item);
  }
  return "";
}

/// "80", "0x50/0xfff0", "80-90".
std::string MatchParser::add_numbers(const Field& field, const Item& item) {
  const std::string_view text = *item.value;
  const std::size_t dash = text.find('-', 1);
  if (dash != std::string_view::npos && field.notation == Notation::port) return add_range(field, item, dash);
  const std::size_t slash = text.find('/');
  const auto number = parse_number(text.substr(0, slash));
  const auto mask =
      slash == std::string_view::npos ? ~std::uint32_t{0} : parse_number(text.substr(slash + 1));
  if (!number || !mask) {
    return std::string("give a number") + (field.notation == Notation::number ? "" : ", or number/mask") +
           (field.notation == Notation::port ? ", or a range such as 8000-8100" : "");
  }
  const bool whole = (*mask & field.most) == field.most;
  if (field.notation == Notation::number && !whole && *mask != 0)
    return std::string(field.name) + " takes no mask";
  return add_number(field, item, *number, *mask);
}

std::string MatchParser::add_number(const Field& field, const Item& item, std::uint32_t number,
                                    std::uint32_t mask) {
  const auto add = [&](std::uint32_t value, std::uint32_t bits) {
    return add_value(field, item, in_network_order(value, field.slot.size),
                     in_network_order(bits, field.slot.size));
  };
  if (field.name == "dl_vlan" && number == kNoTag) return add(0, 0xffff);
  if (number > field.most) return std::string(field.name) + " must be 0 to " + std::to_string(field.most);
  mask &= field.most & ~field.ignored;
  if (mask == 0) return "";  // any value, like *
  return add(number << field.shift | field.always, mask << field.shift | field.always);
}

std::string MatchParser::add_range(const Field& field, const Item& item, std::size_t dash) {
  const auto low = parse_number(item.value->substr(0, dash));
  const auto high = parse_number(item.value->substr(dash + 1));
  if (!low || !high || *low > *high || *high > field.most)
    return "a range must be two numbers up to 65535, the smaller one first";
  needs_.push_back({field.needs, item.text});
  filter_.ranges_.push_back({field.slot, *low, *high});
  return "";
}

std::string MatchParser::add_mac(const Field& field, const Item& item) {
  const std::size_t slash = item.value->find('/');
  const auto value = parse_mac(item.value->substr(0, slash));
  const auto mask = slash == std::string_view::npos ? kEveryBit : parse_mac(item.value->substr(slash + 1));
  if (!value || !mask) return "give an Ethernet address such as 52:54:00:12:34:56, or address/mask";
  return add_value(field, item, *value, *mask);
}

std::string MatchParser::add_address(const Field& field, const Item& item) {
  const int family = field.notation == Notation::ipv4 ? AF_INET : AF_INET6;
  const std::size_t slash = item.value->find('/');
  const auto value = parse_address(family, item.value->substr(0, slash));
  const auto mask = slash == std::string_view::npos
                        ? kEveryBit
                        : parse_address_mask(family, field.slot.size, item.value->substr(slash + 1));
  if (!value || !mask) {
    return std::string("give an ") + (family == AF_INET ? "IPv4" : "IPv6") +
           " address, or address/length, or address/mask";
  }
  return add_value(field, item, *value, *mask);
}

std::string MatchParser::add_fragment(const Field& field, const Item& item) {
  struct Kind {
    std::string_view name;
    std::uint8_t value, mask;
  };
  constexpr std::uint8_t kBoth = kAnyFragment | kLaterFragment;
  constexpr Kind kKinds[] = {{"no", 0, kBoth},
                             {"yes", kAnyFragment, kAnyFragment},
                             {"first", kAnyFragment, kBoth},
                             {"later", kBoth, kBoth},
                             {"not_later", 0, kLaterFragment}};
  std::string name(*item.value);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto* const kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                        [&name](const Kind& one) { return one.name == name; });
  if (kind == std::end(kKinds)) return "give no, yes, first, later or not_later";
  return add_value(field, item, Bytes{kind->value}, Bytes{kind->mask});
}

std::string MatchParser::add_tcp_flags(const Field& field, const Item& item) {
  const char first = item.value->front();
  if (first >= '0' && first <= '9') return add_numbers(field, item);
  const bool is_signed = first == '+' || first == '-';
  const auto flags = is_signed ? parse_signed_flags(*item.value) : parse_exact_flags(*item.value, field.most);
  if (flags) return add_number(field, item, flags->value, flags->mask);
  return "give +syn-ack (syn set, ack not set), syn|ack (exactly these) or a numeric flags/mask; "
         "the flags are fin, syn, rst, psh, ack, urg, ece, cwr and ns, each at most once";
}

std::string MatchParser::add_value(const Field& field, const Item& item, const Bytes& value,
                                   const Bytes& mask) {
  if (std::all_of(mask.begin(), mask.begin() + field.slot.size, [](auto bits) { return bits == 0; }))
    return "";  // any value, like *
  needs_.push_back({field.needs, item.text});
  return merge(field.slot, value, mask);
}

/// Adds a condition: a frame must meet this one and all those before it.
std::string MatchParser::merge(KeySlot slot, const Bytes& value, const Bytes& mask) {
  Bytes values = filter_.value_.value(slot);
  Bytes masks = filter_.mask_.value(slot);
  for (std::size_t i = 0; i < slot.size; ++i) {
    if (((values[i] ^ value[i]) & masks[i] & mask[i]) != 0) {
      return "contradicts an earlier part of the match; give alternatives as separate matches";
    }
    values[i] = static_cast<std::uint8_t>(values[i] | (value[i] & mask[i]));
    masks[i] |= mask[i];
  }
  filter_.value_.set(slot, std::span(values).first(slot.size));
  filter_.mask_.set(slot, std::span(masks).first(slot.size));
  return "";
}

std::string MatchParser::check_needs() const {
  for (const Need& need : needs_) {
    if (!met(need.needs)) return quoted(need.item) + ": it " + std::string(sentence(need.needs));
  }
  return "";
}

/// Refuses a VLAN without the bit for "there is a tag": no frame has that.
std::string MatchParser::check_tag() const {
  const std::uint32_t value = filter_.value_.number(key_slot::kVlanTci);
  if (value == 0 || (value & kTagPresent) != 0 ||
      (filter_.mask_.number(key_slot::kVlanTci) & kTagPresent) == 0)
    return "";
  return quoted(filter_.text_) +
         ": no frame has this VLAN: in vlan_vid and vlan_tci the bit 0x1000 must be set if there is a tag; "
         "write dl_vlan=10 or vlan_vid=0x100a";
}

/// IP and ICMP types take no mask, so one byte of the mask tells whether they are given.
bool MatchParser::is(KeySlot slot, std::uint32_t number) const {
  return filter_.value_.number(slot) == number && (filter_.mask_.number(slot) & 0xff) == 0xff;
}

bool MatchParser::is_ip(std::uint8_t protocol) const {
  return (is(key_slot::kEthType, kEtherTypeIpv4) || is(key_slot::kEthType, kEtherTypeIpv6)) &&
         is(key_slot::kProtocol, protocol);
}

bool MatchParser::has_ports(std::uint8_t protocol) const {
  return is_ip(protocol) && (filter_.value_.number(key_slot::kFragment) & kLaterFragment) == 0;
}

bool MatchParser::met(Needs needs) const {
  const bool arp = is(key_slot::kEthType, kEtherTypeArp) || is(key_slot::kEthType, kEtherTypeRarp);
  const bool ip = is(key_slot::kEthType, kEtherTypeIpv4) || is(key_slot::kEthType, kEtherTypeIpv6);
  const bool icmp = is(key_slot::kEthType, kEtherTypeIpv4) && is(key_slot::kProtocol, kIpProtoIcmp);
  const bool icmpv6 = is(key_slot::kEthType, kEtherTypeIpv6) && is(key_slot::kProtocol, kIpProtoIcmpv6);
  const bool neighbour = icmpv6 && filter_.value_.number(key_slot::kDstPort) == 0;  // their code is 0
  switch (needs) {
    case Needs::nothing:
      return true;
    case Needs::arp:
      return arp;
    case Needs::ipv4_or_arp:
      return is(key_slot::kEthType, kEtherTypeIpv4) || arp;
    case Needs::ipv6:
      return is(key_slot::kEthType, kEtherTypeIpv6);
    case Needs::ip:
      return ip;
    case Needs::ip_or_arp:
      return ip || arp;
    case Needs::tcp:
      return has_ports(kIpProtoTcp);
    case Needs::udp:
      return has_ports(kIpProtoUdp);
    case Needs::sctp:
      return has_ports(kIpProtoSctp);
    case Needs::icmp:
      return icmp;
    case Needs::icmpv6:
      return icmpv6;
    case Needs::transport:
      return has_ports(kIpProtoTcp) || has_ports(kIpProtoUdp) || has_ports(kIpProtoSctp) || icmp || icmpv6;
    case Needs::neighbour:
      return neighbour &&
             (is(key_slot::kSrcPort, ND_NEIGHBOR_SOLICIT) || is(key_slot::kSrcPort, ND_NEIGHBOR_ADVERT));
    case Needs::solicit:
      return neighbour && is(key_slot::kSrcPort, ND_NEIGHBOR_SOLICIT);
    case Needs::advert:
      return neighbour && is(key_slot::kSrcPort, ND_NEIGHBOR_ADVERT);
  }
  return false;
}

bool Match::knows(std::string_view name) {
  return find_field(name) != nullptr || find_shorthand(name) != nullptr || why_not_a_field(name).has_value();
}

Match::Parsed Match::parse(std::string_view text) {
  MatchParser parser;
  std::string trouble = parser.parse(text);
  if (!trouble.empty()) return {.match = std::nullopt, .trouble = std::move(trouble)};
  return {.match = parser.take(), .trouble = {}};
}

}  // namespace vswitch
