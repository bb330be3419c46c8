// SPDX-License-Identifier: Apache-2.0
#include "switchd/netlink/device_users.h"

#include <linux/filter.h>
#include <linux/packet_diag.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

namespace vswitch::netlink {
namespace {

constexpr std::uint32_t kIngressFilters = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);

struct LinkMaster {
  std::string name;
  std::string kind;  ///< "bridge", "bond", ...
  int master = 0;
};

LinkMaster read_master(const nlmsghdr& header) {
  LinkMaster link;
  auto* message = const_cast<nlmsghdr*>(&header);
  nlattr* attributes[IFLA_MAX + 1];
  if (nlmsg_parse(message, sizeof(ifinfomsg), attributes, IFLA_MAX, nullptr) < 0) return link;
  if (attributes[IFLA_IFNAME] != nullptr) link.name = nla_get_string(attributes[IFLA_IFNAME]);
  if (attributes[IFLA_MASTER] != nullptr)
    link.master = static_cast<int>(nla_get_u32(attributes[IFLA_MASTER]));
  if (attributes[IFLA_LINKINFO] != nullptr) {
    nlattr* kind = nla_find(static_cast<nlattr*>(nla_data(attributes[IFLA_LINKINFO])),
                            nla_len(attributes[IFLA_LINKINFO]), IFLA_INFO_KIND);
    if (kind != nullptr) link.kind = nla_get_string(kind);
  }
  return link;
}

/// "vswitch pid=71 start=8125 pidns=4026531836 clsact=made rundir=/run/vswitch"
std::string switch_named(const char* filter) {
  long pid = 0;
  unsigned long start = 0, pidns = 0;
  char clsact[8] = "";
  int rundir_at = 0;
  if (std::sscanf(filter, "vswitch pid=%ld start=%lu pidns=%lu clsact=%5s rundir=%n", &pid, &start, &pidns,
                  clsact, &rundir_at) != 4 ||
      rundir_at == 0 || pid == ::getpid())
    return "";
  return "vswitchd pid " + std::to_string(pid) + " (run directory " + (filter + rundir_at) + ")";
}

// What an ovs-vswitchd attaches to the packet socket of a port (netdev_linux_rxq_construct() of Open vSwitch, seen with
// 3.1): ldh [type]; jeq PACKET_OUTGOING; ret 0; ret -1 or the length of a frame. The last one is not compared.
constexpr std::array<sock_filter, 3> kFilterOfOpenVswitch = {
    {{0x28, 0, 0, 0xfffff004}, {0x15, 0, 1, 0x00000004}, {0x06, 0, 0, 0x00000000}}};

struct PacketSocket {
  int ifindex = 0;
  unsigned long inode = 0;
  bool of_open_vswitch = false;
};

/// sock_diag(7) for AF_PACKET. The filter is there if we have CAP_NET_ADMIN.
PacketSocket read_packet_socket(const nlmsghdr& header) {
  PacketSocket socket;
  auto* message = const_cast<nlmsghdr*>(&header);
  nlattr* attributes[PACKET_DIAG_MAX + 1];
  if (nlmsg_parse(message, sizeof(packet_diag_msg), attributes, PACKET_DIAG_MAX, nullptr) < 0) return socket;
  socket.inode = static_cast<const packet_diag_msg*>(nlmsg_data(message))->pdiag_ino;
  if (const nlattr* info = attributes[PACKET_DIAG_INFO]; info != nullptr)
    socket.ifindex = static_cast<int>(static_cast<const packet_diag_info*>(nla_data(info))->pdi_index);
  if (const nlattr* filter = attributes[PACKET_DIAG_FILTER]; filter != nullptr) {
    socket.of_open_vswitch =
        nla_len(filter) == sizeof kFilterOfOpenVswitch + sizeof(sock_filter) &&
        std::memcmp(nla_data(filter), &kFilterOfOpenVswitch, sizeof kFilterOfOpenVswitch) == 0;
  }
  return socket;
}

/// The inodes of the packet sockets in the network namespace of a process. Anybody may read them, unlike its descriptors.
std::set<unsigned long> packet_sockets_beside(const std::filesystem::path& process) {
  std::set<unsigned long> inodes;
  std::ifstream file(process / "net/packet");
  std::string line;
  std::getline(file, line);  // the names of the columns
  while (std::getline(file, line)) {
    const std::size_t last = line.find_last_of(' ');
    if (last != std::string::npos) inodes.insert(std::strtoul(line.c_str() + last, nullptr, 10));
  }
  return inodes;
}

/// The ovs-vswitchd in our network namespace: " pid 71"; empty if there are several, or it is hidden from us.
std::string pid_of_open_vswitch(unsigned long inode) {
  std::string found;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator("/proc", error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string pid = entry->path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string name;
    std::getline(std::ifstream(entry->path() / "comm"), name);
    if (name != "ovs-vswitchd" || !packet_sockets_beside(entry->path()).contains(inode)) continue;
    if (!found.empty()) return "";
    found = " pid " + pid;
  }
  return found;
}

}  // namespace

void DeviceUsers::begin(const std::vector<int>& ifindexes) {
  const std::set<int> ours(ifindexes.begin(), ifindexes.end());
  std::map<int, unsigned long> theirs;  // inode by ifindex
  packet_diag_req request{};
  request.sdiag_family = AF_PACKET;
  request.pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_FILTER;
  sockets_.dump(NetlinkMessage(SOCK_DIAG_BY_FAMILY, 0, request), [&](const nlmsghdr& header) {
    const PacketSocket socket = read_packet_socket(header);
    if (socket.of_open_vswitch && ours.contains(socket.ifindex)) theirs[socket.ifindex] = socket.inode;
  });
  std::map<int, std::string> now;
  for (const auto& [ifindex, inode] : theirs) {
    const auto known = open_vswitches_.find(ifindex);
    const bool same = known != open_vswitches_.end() && known_inodes_[ifindex] == inode;
    // Looking at all processes takes some milliseconds.
    now[ifindex] = same ? known->second : "Open vSwitch (ovs-vswitchd" + pid_of_open_vswitch(inode) + ")";
  }
  open_vswitches_ = std::move(now);
  known_inodes_ = std::move(theirs);
}

std::string DeviceUsers::look(int ifindex) {
  std::string users = master_of(ifindex);
  const auto append = [&users](const std::string& user) { users += (users.empty() ? "" : ", ") + user; };
  for (const std::string& user : switches_on(ifindex)) append(user);
  if (const auto found = open_vswitches_.find(ifindex); found != open_vswitches_.end()) append(found->second);
  return users.empty() ? "" : "it is also a port of " + users + ": both forward its frames";
}

std::string DeviceUsers::master_of(int ifindex) {
  const auto ask = [this](int index) {
    LinkMaster link;
    ifinfomsg info{};
    info.ifi_index = index;
    netlink_.get(NetlinkMessage(RTM_GETLINK, 0, info),
                 [&link](const nlmsghdr& header) { link = read_master(header); });
    return link;
  };
  const int master = ask(ifindex).master;
  if (master == 0) return "";
  const LinkMaster link = ask(master);
  if (link.kind == "vrf") return "";  // it routes
  if (link.kind == "openvswitch") return "Open vSwitch (" + link.name + ")";
  const std::string kind = link.kind.empty() ? "device" : link.kind;
  return "the Linux " + kind + ' ' + link.name;
}

std::vector<std::string> DeviceUsers::switches_on(int ifindex) {
  std::vector<std::string> users;
  tcmsg info{};
  info.tcm_family = AF_UNSPEC;
  info.tcm_ifindex = ifindex;
  info.tcm_parent = kIngressFilters;
  netlink_.dump(NetlinkMessage(RTM_GETTFILTER, 0, info), [&users](const nlmsghdr& header) {
    auto* message = const_cast<nlmsghdr*>(&header);
    nlattr* kind = nlmsg_find_attr(message, sizeof(tcmsg), TCA_KIND);
    nlattr* options = nlmsg_find_attr(message, sizeof(tcmsg), TCA_OPTIONS);
    if (kind == nullptr || options == nullptr || std::strcmp(nla_get_string(kind), "bpf") != 0) return;
    nlattr* name = nla_find(static_cast<nlattr*>(nla_data(options)), nla_len(options), TCA_BPF_NAME);
    if (name == nullptr) return;
    if (std::string user = switch_named(nla_get_string(name)); !user.empty())
      users.push_back(std::move(user));
  });
  return users;
}

}  // namespace vswitch::netlink
