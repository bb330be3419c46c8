// SPDX-License-Identifier: Apache-2.0
#include "switchd/netlink/egress_survey.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/packet_diag.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace vswitch::netlink {
namespace {

constexpr std::uint32_t kEgressFilters = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);
constexpr int kDevicePrefix = 2;  // NFTA_DEVICE_PREFIX, Linux 6.16
constexpr int kSurveyTries = 3;   // things may change while the kernel lists them

std::optional<NetlinkSocket> open_if_supported(int protocol) {
  try {
    return std::optional<NetlinkSocket>(std::in_place, protocol);
  } catch (const std::system_error& error) {
    if (error.code().value() == EPROTONOSUPPORT) return std::nullopt;
    throw;
  }
}

tcmsg header_for(int ifindex, std::uint32_t parent) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = ifindex;
  header.tcm_parent = parent;
  return header;
}

const tcmsg& tc_of(nlmsghdr* message) {
  return *static_cast<const tcmsg*>(nlmsg_data(message));
}

std::string text_of(nlattr* attribute) {
  return attribute == nullptr ? "" : nla_get_string(attribute);
}

/// A filter of a vswitchd's host isolation, ours or another's: it lets pass what the switch sends.
bool isolates(nlmsghdr* message) {
  nlattr* options = nlmsg_find_attr(message, sizeof(tcmsg), TCA_OPTIONS);
  if (options == nullptr) return false;
  nlattr* name = nla_find(static_cast<nlattr*>(nla_data(options)), nla_len(options), TCA_BPF_NAME);
  return text_of(name).starts_with("vswitch pid=");
}

void add_devices(nlattr* hook, EgressChains& chains) {
  nlattr* fields[NFTA_HOOK_MAX + 1];
  if (nla_parse_nested(fields, NFTA_HOOK_MAX, hook, nullptr) < 0 || fields[NFTA_HOOK_HOOKNUM] == nullptr ||
      ntohl(nla_get_u32(fields[NFTA_HOOK_HOOKNUM])) != NF_NETDEV_EGRESS)
    return;
  if (fields[NFTA_HOOK_DEV] != nullptr) chains.devices.insert(text_of(fields[NFTA_HOOK_DEV]));
  if (fields[NFTA_HOOK_DEVS] == nullptr) return;
  nlattr* device = nullptr;
  int left = 0;
  nla_for_each_nested(device, fields[NFTA_HOOK_DEVS], left) {
    const std::string name(static_cast<const char*>(nla_data(device)),
                           ::strnlen(static_cast<const char*>(nla_data(device)), nla_len(device)));
    if (nla_type(device) == kDevicePrefix)
      chains.prefixes.push_back(name);
    else
      chains.devices.insert(name);
  }
}

}  // namespace

bool EgressChains::contain(const std::string& device) const {
  return devices.contains(device) ||
         std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return device.starts_with(prefix); });
}

/// Follows the program as long as it only asks for the packet's type.
bool accepts_outgoing(std::span<const sock_filter> program) {
  std::optional<std::uint32_t> loaded;
  for (std::size_t at = 0; at < program.size();) {
    const sock_filter& step = program[at++];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
      case BPF_LD | BPF_H | BPF_ABS:
      case BPF_LD | BPF_B | BPF_ABS:
        if (step.k != static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE)) return true;
        loaded = PACKET_OUTGOING;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        if (!loaded) return true;
        at += *loaded == step.k ? step.jt : step.jf;
        break;
      case BPF_RET | BPF_K:
        return step.k != 0;
      default:
        return true;
    }
  }
  return true;
}

EgressSurvey::EgressSurvey()
    : route_(std::in_place),
      netfilter_(open_if_supported(NETLINK_NETFILTER)),
      diagnostics_(open_if_supported(NETLINK_SOCK_DIAG)) {}

/// False if the kernel refused.
bool EgressSurvey::dump(std::optional<NetlinkSocket>& socket, const NetlinkMessage& message,
                        const NetlinkSocket::Handler& handler) {
  if (!socket) return false;
  std::optional<NetlinkRefusal> refusal;
  for (int tries = 0; tries < kSurveyTries; ++tries) {
    refusal = socket->dump(message, handler);
    if (!refusal || refusal->error != EAGAIN) break;
  }
  return !refusal;
}

/// Those of the kernel have no handle ("qdisc mq 0:").
std::optional<Qdiscs> EgressSurvey::qdiscs() {
  Qdiscs found;
  const bool answered = dump(route_, NetlinkMessage(RTM_GETQDISC, 0, tcmsg{}), [&](const nlmsghdr& header) {
    auto* message = const_cast<nlmsghdr*>(&header);
    const tcmsg& tc = tc_of(message);
    if (tc.tcm_parent == TC_H_CLSACT) {
      found.clsact.insert(tc.tcm_ifindex);
      return;
    }
    const std::string kind = text_of(nlmsg_find_attr(message, sizeof tc, TCA_KIND));
    if (TC_H_MAJ(tc.tcm_handle) == 0 || kind == "noqueue") return;
    found.kinds.try_emplace(tc.tcm_ifindex, kind);  // the root is the first
  });
  return answered ? std::optional(found) : std::nullopt;
}

std::optional<std::string> EgressSurvey::filter(int ifindex) {
  std::string found;
  const NetlinkMessage question(RTM_GETTFILTER, 0, header_for(ifindex, kEgressFilters));
  const bool answered = dump(route_, question, [&](const nlmsghdr& header) {
    auto* message = const_cast<nlmsghdr*>(&header);
    const tcmsg& tc = tc_of(message);
    const std::string kind = text_of(nlmsg_find_attr(message, sizeof tc, TCA_KIND));
    // For each precedence there is a message without a handle, and then one for each filter.
    if (kind.empty() || (kind == "bpf" && (tc.tcm_handle == 0 || isolates(message)))) return;
    found = kind;
  });
  return answered ? std::optional(found) : std::nullopt;
}

std::optional<EgressChains> EgressSurvey::chains() {
  EgressChains found;
  nfgenmsg family{};
  family.nfgen_family = NFPROTO_NETDEV;
  const NetlinkMessage question(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, 0, family);
  const bool answered = dump(netfilter_, question, [&](const nlmsghdr& header) {
    auto* message = const_cast<nlmsghdr*>(&header);
    if (nlattr* hook = nlmsg_find_attr(message, sizeof family, NFTA_CHAIN_HOOK)) add_devices(hook, found);
  });
  return answered ? std::optional(found) : std::nullopt;
}

/// Only sockets for all protocols see what leaves.
std::optional<Captures> EgressSurvey::captures() {
  Captures found;
  packet_diag_req request{};
  request.sdiag_family = AF_PACKET;
  request.pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_FILTER | PACKET_SHOW_FANOUT;
  const NetlinkMessage question(SOCK_DIAG_BY_FAMILY, 0, request);
  const bool answered = dump(diagnostics_, question, [&](const nlmsghdr& header) {
    auto* message = const_cast<nlmsghdr*>(&header);
    const auto& socket = *static_cast<const packet_diag_msg*>(nlmsg_data(message));
    if (socket.pdiag_num != ETH_P_ALL) return;
    nlattr* info = nlmsg_find_attr(message, sizeof socket, PACKET_DIAG_INFO);
    nlattr* fanout = nlmsg_find_attr(message, sizeof socket, PACKET_DIAG_FANOUT);
    // A vswitchd's: its filter is not shown if it is that of the fast path.
    if (fanout != nullptr && nla_get_u32(fanout) >> 16 == PACKET_FANOUT_CBPF) return;
    nlattr* filter = nlmsg_find_attr(message, sizeof socket, PACKET_DIAG_FILTER);
    if (info == nullptr) return;
    if (filter != nullptr &&
        !accepts_outgoing({static_cast<const sock_filter*>(nla_data(filter)),
                           static_cast<std::size_t>(nla_len(filter)) / sizeof(sock_filter)}))
      return;
    const auto ifindex = static_cast<int>(static_cast<const packet_diag_info*>(nla_data(info))->pdi_index);
    if (ifindex == 0)
      found.on_all_devices = true;
    else
      found.devices.insert(ifindex);
  });
  return answered ? std::optional(found) : std::nullopt;
}

}  // namespace vswitch::netlink
