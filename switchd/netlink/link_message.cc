// SPDX-License-Identifier: Apache-2.0
#include "switchd/netlink/link_message.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cstring>
#include <string>

// After <net/if.h>: linux/if.h would define the same names.
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

namespace vswitch::netlink {
namespace {

constexpr unsigned kLowerUp = 1U << 16;  // IFF_LOWER_UP, which <net/if.h> lacks

std::string kind_of(nlattr* link_info) {
  const nlattr* kind =
      nla_find(static_cast<nlattr*>(nla_data(link_info)), nla_len(link_info), IFLA_INFO_KIND);
  return kind == nullptr ? "" : nla_get_string(const_cast<nlattr*>(kind));
}

bool has_xdp(nlattr* xdp) {
  nlattr* attached = nla_find(static_cast<nlattr*>(nla_data(xdp)), nla_len(xdp), IFLA_XDP_ATTACHED);
  return attached != nullptr && nla_get_u8(attached) != XDP_ATTACHED_NONE;
}

}  // namespace

std::optional<LinkMessage> read_link(const nlmsghdr& header) {
  auto* message = const_cast<nlmsghdr*>(&header);
  if (nlmsg_datalen(message) < static_cast<int>(sizeof(ifinfomsg))) return std::nullopt;
  const auto& info = *static_cast<const ifinfomsg*>(nlmsg_data(message));
  if (info.ifi_family != AF_UNSPEC)
    return std::nullopt;  // AF_BRIDGE: about a bridge's port, not about a device
  nlattr* attributes[IFLA_MAX + 1];
  if (nlmsg_parse(message, sizeof info, attributes, IFLA_MAX, nullptr) < 0 ||
      attributes[IFLA_IFNAME] == nullptr) {
    return std::nullopt;
  }
  LinkMessage result;
  Link& link = result.link;
  link.ifindex = info.ifi_index;
  link.name = nla_get_string(attributes[IFLA_IFNAME]);
  if (nlattr* alias = attributes[IFLA_IFALIAS]) link.alias = nla_get_string(alias);
  link.up = (info.ifi_flags & IFF_UP) != 0;
  link.carrier = (info.ifi_flags & kLowerUp) != 0;
  link.ethernet = info.ifi_type == ARPHRD_ETHER;
  if (nlattr* mtu = attributes[IFLA_MTU]) link.mtu = nla_get_u32(mtu);
  if (nlattr* mac = attributes[IFLA_ADDRESS]; mac != nullptr && nla_len(mac) == 6) {
    std::memcpy(link.mac.octets.data(), nla_data(mac), 6);
  }
  if (nlattr* link_info = attributes[IFLA_LINKINFO]) link.kind = kind_of(link_info);
  if (nlattr* xdp = attributes[IFLA_XDP]) link.xdp = has_xdp(xdp);
  if (nlattr* changes = attributes[IFLA_CARRIER_CHANGES]) result.carrier_changes = nla_get_u32(changes);
  return result;
}

}  // namespace vswitch::netlink
