// SPDX-License-Identifier: Apache-2.0
#include "switchd/netlink/device_users.h"

#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
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

/// The sockets of a process, by inode.
std::set<unsigned long> sockets_of(const std::filesystem::path& process) {
  std::set<unsigned long> inodes;
  std::error_code error;
  for (auto fd = std::filesystem::directory_iterator(process / "fd", error);
       !error && fd != std::filesystem::directory_iterator(); fd.increment(error)) {
    std::error_code unreadable;
    const std::string target = std::filesystem::read_symlink(fd->path(), unreadable).string();
    unsigned long inode = 0;
    if (std::sscanf(target.c_str(), "socket:[%lu]", &inode) == 1) inodes.insert(inode);
  }
  return inodes;
}

/// Processes called ovs-vswitchd, with their sockets.
std::map<std::string, std::set<unsigned long>> sockets_of_open_vswitch() {
  std::map<std::string, std::set<unsigned long>> found;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator("/proc", error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string pid = entry->path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string name;
    std::getline(std::ifstream(entry->path() / "comm"), name);
    if (name == "ovs-vswitchd") found[pid] = sockets_of(entry->path());
  }
  return found;
}

}  // namespace

void DeviceUsers::begin(const std::vector<int>& ifindexes) {
  const std::set<int> ours(ifindexes.begin(), ifindexes.end());
  std::map<unsigned long, int> sockets;  // ifindex by inode
  std::ifstream file("/proc/self/net/packet");
  std::string line;
  std::getline(file, line);  // the names of the columns
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string address, references, type, protocol, running, memory, user;
    int ifindex = 0;
    unsigned long inode = 0;
    words >> address >> references >> type >> protocol >> ifindex >> running >> memory >> user >> inode;
    if (ours.contains(ifindex)) sockets[inode] = ifindex;
  }
  bool has_new = false;
  std::set<unsigned long> inodes;
  for (const auto& [inode, ifindex] : sockets) {
    has_new |= !known_sockets_.contains(inode);
    inodes.insert(inode);
  }
  const bool has_lost = !open_vswitches_.empty() && inodes.size() < known_sockets_.size();
  known_sockets_ = std::move(inodes);
  if (!has_new && !has_lost) return;  // looking at all processes takes some milliseconds
  open_vswitches_.clear();
  for (const auto& [pid, of_process] : sockets_of_open_vswitch()) {
    for (const unsigned long inode : of_process) {
      if (const auto found = sockets.find(inode); found != sockets.end())
        open_vswitches_[found->second] = "Open vSwitch (ovs-vswitchd pid " + pid + ")";
    }
  }
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
