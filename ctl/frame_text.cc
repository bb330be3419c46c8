// SPDX-License-Identifier: Apache-2.0
#include "ctl/frame_text.h"

#include <arpa/inet.h>
#include <boost/algorithm/hex.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>

namespace vswitch::ctl {
namespace {

constexpr std::uint16_t kArp = 0x0806, kIpv4 = 0x0800, kIpv6 = 0x86dd, kLldp = 0x88cc;
constexpr std::uint16_t kCustomerTag = 0x8100, kServiceTag = 0x88a8;
constexpr std::uint16_t kLeastEtherType = 0x0600;  // below it is the length of an IEEE 802.3 frame
constexpr int kMaxTags = 4, kMaxExtensions = 8;
constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kGre = 47;

/// Reads from the front; what is behind the end is 0, and is_whole() says so.
class HeaderReader {
 public:
  explicit HeaderReader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  std::span<const std::uint8_t> bytes(std::size_t count) {
    is_whole_ = is_whole_ && count <= rest_.size();
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  bool is_whole() const { return is_whole_; }
  bool is_at_end() const { return rest_.empty(); }

 private:
  unsigned number(std::size_t count) {
    unsigned value = 0;
    const auto taken = bytes(count);
    for (const std::uint8_t byte : taken) value = value << 8 | byte;
    return taken.size() == count ? value : 0;
  }

  std::span<const std::uint8_t> rest_;
  bool is_whole_ = true;
};

std::string mac_text(std::span<const std::uint8_t> address) {
  std::string text;
  for (const std::uint8_t byte : address) {
    std::array<char, 4> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", byte);
    text += (text.empty() ? "" : ":") + std::string(digits.data());
  }
  return text;
}

/// Of 4 or 16 bytes.
std::string ip_text(std::span<const std::uint8_t> address) {
  const int family = address.size() == sizeof(in_addr) ? AF_INET : AF_INET6;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.size() != sizeof(in_addr) && address.size() != sizeof(in6_addr)) return "?";
  ::inet_ntop(family, address.data(), text.data(), text.size());
  return text.data();
}

std::string hexadecimal(std::uint16_t number) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "0x%04x", number);
  return text.data();
}

std::string tcp_flags(std::uint8_t flags) {
  constexpr std::array<const char*, 6> kNames = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"};
  std::string text;
  for (std::size_t bit = 0; bit < kNames.size(); ++bit) {
    if ((flags >> bit & 1) != 0) text += ' ' + std::string(kNames[bit]);
  }
  return text;
}

std::string ports_text(HeaderReader& reader) {
  const std::uint16_t from = reader.u16(), to = reader.u16();
  return reader.is_whole() ? ' ' + std::to_string(from) + " > " + std::to_string(to) : std::string();
}

std::string icmp_text(HeaderReader& reader, bool is_v6) {
  const std::uint8_t type = reader.u8(), code = reader.u8();
  std::string name = is_v6 ? " ICMPv6" : " ICMP";
  if (!reader.is_whole()) return name;
  struct Known {
    std::uint8_t v4, v6;
    const char* name;
  };
  constexpr Known kKnown[] = {{8, 128, " echo request"},
                              {0, 129, " echo reply"},
                              {3, 1, " destination unreachable"},
                              {11, 3, " time exceeded"},
                              {255, 2, " packet too big"},
                              {255, 133, " router solicitation"},
                              {255, 134, " router advertisement"},
                              {255, 135, " neighbour solicitation"},
                              {255, 136, " neighbour advertisement"}};
  for (const Known& one : kKnown) {
    if (type == (is_v6 ? one.v6 : one.v4)) return name + one.name;
  }
  return name + " type " + std::to_string(type) + ", code " + std::to_string(code);
}

std::string transport_text(std::uint8_t protocol, HeaderReader& reader) {
  switch (protocol) {
    case kTcp: {
      std::string text = " TCP" + ports_text(reader);
      reader.bytes(9);  // numbers of the sequence, length of the header
      const std::uint8_t flags = reader.u8();
      return reader.is_whole() ? text + tcp_flags(flags) : text;
    }
    case kUdp:
      return " UDP" + ports_text(reader);
    case kIcmp:
      return icmp_text(reader, false);
    case kIcmp6:
      return icmp_text(reader, true);
    case kGre:
      return " GRE";
    default:
      return " protocol " + std::to_string(protocol);
  }
}

std::string ipv4_text(HeaderReader& reader) {
  constexpr std::size_t kLeastHeader = 20;
  constexpr std::uint16_t kOffset = 0x1fff, kMoreFragments = 0x2000;
  const std::size_t header = (reader.u8() & 0xf) * std::size_t{4};
  reader.bytes(5);  // service, length, identification
  const std::uint16_t fragment = reader.u16();
  reader.bytes(1);  // TTL
  const std::uint8_t protocol = reader.u8();
  reader.bytes(2);  // checksum
  const std::string from = ip_text(reader.bytes(4)), to = ip_text(reader.bytes(4));
  if (!reader.is_whole() || header < kLeastHeader) return "IPv4";
  reader.bytes(header - kLeastHeader);
  std::string text = "IPv4 " + from + " > " + to;
  if ((fragment & kOffset) != 0)
    return text + " fragment at byte " + std::to_string((fragment & kOffset) * 8) + " of protocol " +
           std::to_string(protocol);
  text += transport_text(protocol, reader);
  return (fragment & kMoreFragments) != 0 ? text + ", first fragment" : text;
}

std::string ipv6_text(HeaderReader& reader) {
  constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;
  constexpr std::size_t kAddress = 16;
  constexpr std::uint16_t kOffset = 0xfff8;
  reader.bytes(6);  // class, label, length
  std::uint8_t next = reader.u8();
  reader.bytes(1);  // hop limit
  const std::string from = ip_text(reader.bytes(kAddress)), to = ip_text(reader.bytes(kAddress));
  if (!reader.is_whole()) return "IPv6";
  std::string text = "IPv6 " + from + " > " + to;
  for (int i = 0; i < kMaxExtensions; ++i) {
    if (next != kHopByHop && next != kRouting && next != kDestination && next != kFragment) break;
    const bool is_fragment = next == kFragment;
    next = reader.u8();
    const std::uint8_t length = reader.u8();
    const std::uint16_t offset = reader.u16();
    if (!reader.is_whole()) return text;
    if (is_fragment && (offset & kOffset) != 0)
      return text + " fragment at byte " + std::to_string(offset & kOffset) + " of protocol " +
             std::to_string(next);
    reader.bytes(is_fragment ? 4 : length * std::size_t{8} + 4);
  }
  return text + transport_text(next, reader);
}

std::string arp_text(HeaderReader& reader) {
  constexpr std::uint16_t kRequest = 1, kReply = 2, kEthernet = 1;
  const std::uint16_t hardware = reader.u16(), protocol = reader.u16();
  const std::uint8_t hardware_length = reader.u8(), protocol_length = reader.u8();
  const std::uint16_t operation = reader.u16();
  if (!reader.is_whole() || hardware != kEthernet || protocol != kIpv4 || hardware_length != 6 ||
      protocol_length != 4)
    return "ARP";
  const auto sender = reader.bytes(6);
  const std::string sender_ip = ip_text(reader.bytes(4));
  reader.bytes(6);
  const std::string target_ip = ip_text(reader.bytes(4));
  if (!reader.is_whole()) return "ARP";
  if (operation == kRequest) return "ARP who has " + target_ip + ", tell " + sender_ip;
  if (operation == kReply) return "ARP " + sender_ip + " is at " + mac_text(sender);
  return "ARP operation " + std::to_string(operation);
}

}  // namespace

std::string frame_text(std::span<const std::uint8_t> frame) {
  HeaderReader reader(frame);
  const std::string to = mac_text(reader.bytes(6)), from = mac_text(reader.bytes(6));
  std::uint16_t type = reader.u16();
  if (!reader.is_whole()) return "the beginning of an Ethernet header";
  std::string text;
  for (int i = 0; i < kMaxTags && (type == kCustomerTag || type == kServiceTag); ++i) {
    const std::uint16_t tag = reader.u16();
    const std::uint16_t inside = reader.u16();
    if (!reader.is_whole()) break;
    text += (type == kServiceTag ? "802.1ad VLAN " : "VLAN ") + std::to_string(tag & 0xfff);
    if (tag >> 13 != 0) text += " priority " + std::to_string(tag >> 13);
    text += ", ";
    type = inside;
  }
  if (!reader.is_at_end()) {
    if (type == kIpv4) return text + ipv4_text(reader);
    if (type == kIpv6) return text + ipv6_text(reader);
    if (type == kArp) return text + arp_text(reader);
  }
  text += from + " > " + to;
  if (type == kLldp) return text + " LLDP";
  return text + (type < kLeastEtherType ? " IEEE 802.3" : " EtherType " + hexadecimal(type));
}

std::vector<std::uint8_t> bytes_of_hex(std::string_view digits) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(digits.size() / 2);
  try {
    boost::algorithm::unhex(digits.begin(), digits.end(), std::back_inserter(bytes));
  } catch (const boost::algorithm::hex_decode_error&) {
    bytes.clear();
  }
  return bytes;
}

}  // namespace vswitch::ctl
