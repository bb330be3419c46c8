// SPDX-License-Identifier: Apache-2.0
#include "switchd/unixctl/flow_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "datapath/base/ip_address.h"
#include "datapath/base/types.h"
#include "datapath/frame/headers.h"

namespace vswitch::unixctl {
namespace {

struct ProtocolName {
  std::uint16_t ether_type;
  std::uint8_t protocol;  ///< 0: any
  std::string_view name;
};
constexpr ProtocolName kProtocolNames[] = {
    {kEtherTypeIpv4, kIpProtoIcmp, "icmp"},
    {kEtherTypeIpv4, kIpProtoTcp, "tcp"},
    {kEtherTypeIpv4, kIpProtoUdp, "udp"},
    {kEtherTypeIpv4, kIpProtoSctp, "sctp"},
    {kEtherTypeIpv4, 0, "ip"},
    {kEtherTypeIpv6, kIpProtoIcmpv6, "icmp6"},
    {kEtherTypeIpv6, kIpProtoTcp, "tcp6"},
    {kEtherTypeIpv6, kIpProtoUdp, "udp6"},
    {kEtherTypeIpv6, kIpProtoSctp, "sctp6"},
    {kEtherTypeIpv6, 0, "ipv6"},
    {kEtherTypeArp, 0, "arp"},
    {kEtherTypeRarp, 0, "rarp"},
};

// From the lowest bit on.
constexpr std::array<std::string_view, 9> kTcpFlagNames = {"fin", "syn", "rst", "psh", "ack",
                                                           "urg", "ece", "cwr", "ns"};

/// Appends the fields one by one.
class FlowText {
 public:
  explicit FlowText(const FlowKey& key) : key_(key), type_(key.number(key_slot::kEthType)) {}

  std::string all(const std::string& ofport) {
    const auto* const protocol =
        std::find_if(std::begin(kProtocolNames), std::end(kProtocolNames), [&](const ProtocolName& one) {
          return one.ether_type == type_ && (one.protocol == 0 || one.protocol == protocol_number());
        });
    const bool named = protocol != std::end(kProtocolNames);
    if (named) text_ = protocol->name;
    add("in_port={}", ofport);
    vlan();
    add("dl_src={}", mac(key_slot::kEthSrc));
    add("dl_dst={}", mac(key_slot::kEthDst));
    if (!named) add("dl_type={:#06x}", type_);
    if (type_ == kEtherTypeIpv4 || type_ == kEtherTypeIpv6) {
      ip(protocol->protocol == 0);
      transport();
    } else if (named) {
      arp();
    }
    return std::move(text_);
  }

 private:
  template <typename... Values>
  void add(fmt::format_string<Values...> format, Values&&... values) {
    if (!text_.empty()) text_ += ',';
    text_ += fmt::format(format, std::forward<Values>(values)...);
  }

  std::uint32_t number(KeySlot slot) const { return key_.number(slot); }
  std::uint32_t protocol_number() const { return number(key_slot::kProtocol); }

  std::string mac(KeySlot slot) const {
    MacAddr address;
    const FlowKey::Value value = key_.value(slot);
    std::copy_n(value.begin(), address.octets.size(), address.octets.begin());
    return address.to_string();
  }
  std::string address(KeySlot slot) const {
    const FlowKey::Value value = key_.value(slot);
    return IpAddress::from_bytes(std::span(value).first(slot.size)).to_string();
  }

  void vlan() {
    const std::uint32_t tci = number(key_slot::kVlanTci);
    if ((tci & kTagPresent) == 0) return add("vlan_tci={:#06x}", 0);
    add("dl_vlan={},dl_vlan_pcp={},vlan_tci1={:#06x}", tci & 0xfff, tci >> 13, 0);
  }

  void ip(bool protocol_is_unnamed) {
    if (type_ == kEtherTypeIpv4) {
      add("nw_src={},nw_dst={}", address(key_slot::kIpv4Src), address(key_slot::kIpv4Dst));
    } else {
      add("ipv6_src={},ipv6_dst={},ipv6_label={:#07x}", address(key_slot::kIpv6Src),
          address(key_slot::kIpv6Dst), number(key_slot::kIpv6Label));
    }
    if (protocol_is_unnamed) add("nw_proto={}", protocol_number());
    const std::uint32_t tos = number(key_slot::kTos);
    const std::uint32_t fragment = number(key_slot::kFragment);
    add("nw_tos={},nw_ecn={},nw_ttl={},nw_frag={}", tos & 0xfc, tos & 3, number(key_slot::kTtl),
        (fragment & kLaterFragment) != 0 ? "later"
        : fragment != 0                  ? "first"
                                         : "no");
  }

  void transport() {
    if ((number(key_slot::kFragment) & kLaterFragment) != 0) return;  // it has no such header
    const std::uint32_t protocol = protocol_number();
    const bool v6 = type_ == kEtherTypeIpv6;
    const std::uint32_t from = number(key_slot::kSrcPort), to = number(key_slot::kDstPort);
    if (protocol == (v6 ? kIpProtoIcmpv6 : kIpProtoIcmp)) {
      add("icmp_type={},icmp_code={}", from, to);
      constexpr std::uint32_t kSolicitation = 135, kAdvertisement = 136;
      if (v6 && (from == kSolicitation || from == kAdvertisement)) {
        add("nd_target={}", address(key_slot::kNdTarget));
        add("nd_sll={},nd_tll={}", mac(key_slot::kArpSha), mac(key_slot::kArpTha));
      }
    } else if (protocol == kIpProtoTcp || protocol == kIpProtoUdp || protocol == kIpProtoSctp) {
      add("tp_src={},tp_dst={}", from, to);
      if (protocol == kIpProtoTcp) add("tcp_flags={}", tcp_flags());
    }
  }

  std::string tcp_flags() const {
    const std::uint32_t flags = number(key_slot::kTcpFlags);
    std::string text;
    for (std::size_t bit = 0; bit < 12; ++bit) {
      if ((flags >> bit & 1) == 0) continue;
      text += text.empty() ? "" : "|";
      text += bit < kTcpFlagNames.size() ? std::string(kTcpFlagNames[bit]) : fmt::format("[{}]", 1U << bit);
    }
    return text.empty() ? "0" : text;
  }

  void arp() {
    add("arp_spa={},arp_tpa={},arp_op={},arp_sha={},arp_tha={}", address(key_slot::kIpv4Src),
        address(key_slot::kIpv4Dst), protocol_number(), mac(key_slot::kArpSha), mac(key_slot::kArpTha));
  }

  const FlowKey& key_;
  const std::uint32_t type_;
  std::string text_;
};

}  // namespace

std::string flow_text(const std::string& ofport, const FlowKey& key) {
  return FlowText(key).all(ofport);
}

}  // namespace vswitch::unixctl
