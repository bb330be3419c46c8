// SPDX-License-Identifier: Apache-2.0
// The table of links and the two netlink sockets behind it: one that listens, one that asks.
#include "switchd/netlink/link_monitor.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <system_error>
#include <unordered_map>

#include "datapath/base/socket_buffer.h"
#include "datapath/base/unique_fd.h"
#include "switchd/base/log.h"
#include "switchd/netlink/link_message.h"
#include "switchd/netlink/netlink_socket.h"

// After <net/if.h>: linux/if.h would define the same names.
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

namespace vswitch::netlink {
namespace {

const log::Module kLog{"netlink"};
constexpr int kDumpTries = 10;

constexpr std::size_t kLinkEventBuffer = 4 << 20;  // about 1500 notifications; more at once cause a new dump
constexpr std::uint32_t kSpeedUnknown = 0xffffffff;  // SPEED_UNKNOWN
constexpr std::size_t kEventMessage = 64 * 1024;

}  // namespace

class LinkMonitor::Impl {
 public:
  Impl(boost::asio::io_context& io, Changed changed)
      : changed_(std::move(changed)),
        events_(nl_socket_alloc(), nl_socket_free),
        ioctl_socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
        readable_(io) {
    open_events();
    readable_.assign(nl_socket_get_fd(events_.get()));
    dump();
    names_changed_.clear();  // nobody has seen an earlier state
    wait();
  }

  ~Impl() { readable_.release(); }  // libnl closes it

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const Link* find(std::string_view name) const {
    const auto found = links_.find(name);
    return found == links_.end() ? nullptr : &found->second;
  }

  const Link* find(int ifindex) const {
    const auto found = devices_.find(ifindex);
    const Link* link = found == devices_.end() ? nullptr : find(found->second.name);
    return link != nullptr && link->ifindex == ifindex ? link
                                                       : nullptr;  // another device may have the name by now
  }

  const std::map<std::string, Link, std::less<>>& links() const { return links_; }

  /// Applies waiting notifications, and reports them.
  void sync() {
    int result = 0;
    bool overrun = false;
    do {
      result = nl_recvmsgs_default(events_.get());
      if (result == -NLE_NOMEM) overrun = true;  // ENOBUFS
    } while (result >= 0 || result == -NLE_NOMEM || result == -NLE_INTR);
    if (overrun || dump_needed_) dump_again();
    if (names_changed_.empty()) return;
    const std::vector<std::string> names(names_changed_.begin(), names_changed_.end());
    names_changed_.clear();
    if (changed_) changed_(names);
  }

  /// RTM_NEWLINK for the device of this name, with `fill` adding what is to change.
  template <typename Fill>
  std::optional<std::string> change(const std::string& name, const std::string& what, unsigned flags,
                                    unsigned change_mask, Fill fill) {
    ifinfomsg info{};
    info.ifi_flags = flags;
    info.ifi_change = change_mask;
    const NetlinkMessage message(RTM_NEWLINK, 0, info);
    nla_put_string(message.get(), IFLA_IFNAME, name.c_str());
    fill(message.get());
    const std::optional<NetlinkRefusal> refusal = requests_.request(message);
    if (!refusal) return std::nullopt;
    return "cannot " + what + ": " + refusal->text;
  }

 private:
  /// What is known of a device besides its Link.
  struct Device {
    std::string name;
    std::uint32_t carrier_changes_at_first = 0;
  };

  void open_events() {
    nl_sock* socket = events_.get();
    if (socket == nullptr) throw std::bad_alloc();
    nl_socket_disable_seq_check(socket);
    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, on_event, this);
    if (nl_connect(socket, NETLINK_ROUTE) < 0 || nl_socket_add_membership(socket, RTNLGRP_LINK) < 0 ||
        nl_socket_set_nonblocking(socket) < 0) {
      throw std::system_error(errno, std::generic_category(), "cannot listen for changes of network devices");
    }
    nl_socket_set_msg_buf_size(socket, kEventMessage);
    set_receive_buffer(nl_socket_get_fd(socket), kLinkEventBuffer);
  }

  static int on_event(nl_msg* message, void* self) {
    static_cast<Impl*>(self)->apply(*nlmsg_hdr(message));
    return NL_OK;
  }

  void wait() {
    readable_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [this](boost::system::error_code error) {
                           if (error == boost::asio::error::operation_aborted) return;  // the monitor is gone
                           try {
                             sync();
                           } catch (const std::exception& failure) {  // the next event comes in any case
                             log::err(kLog, "a change was not followed: {}", failure.what());
                           }
                           wait();
                         });
  }

  void apply(const nlmsghdr& header) {
    const std::optional<LinkMessage> message = read_link(header);
    if (!message) return;
    if (header.nlmsg_type == RTM_NEWLINK) update(*message);
    if (header.nlmsg_type == RTM_DELLINK) forget(message->link.ifindex);
  }

  void forget(int ifindex) {
    const auto device = devices_.find(ifindex);
    if (device == devices_.end()) return;
    forget_name(device->second.name, ifindex);
    devices_.erase(device);
  }

  /// Forgets a name, if it is still that of this device: messages may have been lost in between.
  void forget_name(const std::string& name, int ifindex) {
    const auto link = links_.find(name);
    if (link != links_.end() && link->second.ifindex == ifindex) links_.erase(link);
    names_changed_.insert(name);
  }

  void update(const LinkMessage& message) {
    Link link = message.link;
    const Link* before = find(link.ifindex);
    Device& device = devices_[link.ifindex];
    if (before == nullptr) {
      link.generation = ++last_generation_;
      device.carrier_changes_at_first = message.carrier_changes.value_or(0);
    } else {
      link.generation = before->generation;
      link.speed = before->speed;
      link.full_duplex = before->full_duplex;
      const bool carrier_changed = link.carrier != before->carrier;
      link.link_resets = message.carrier_changes ? *message.carrier_changes - device.carrier_changes_at_first
                                                 : before->link_resets + (carrier_changed ? 1 : 0);
      if (link == *before) return;
    }
    if (link.ethernet) ask_speed(link);
    if (!device.name.empty() && device.name != link.name) forget_name(std::string(device.name), link.ifindex);
    // The name may be that of a device whose removal we missed; its entry goes with the next dump.
    device.name = link.name;
    names_changed_.insert(link.name);
    links_.insert_or_assign(link.name, std::move(link));
  }

  /// ETHTOOL_GSET is older than ETHTOOL_GLINKSETTINGS, and the kernel answers it for every driver, in one
  /// call.
  void ask_speed(Link& link) const {
    ethtool_cmd settings{};
    settings.cmd = ETHTOOL_GSET;
    ifreq request{};
    link.name.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&settings);
    link.speed.reset();
    link.full_duplex.reset();
    if (::ioctl(ioctl_socket_.get(), SIOCETHTOOL, &request) != 0) return;
    const std::uint32_t megabits = ethtool_cmd_speed(&settings);
    if (megabits != kSpeedUnknown && megabits != 0) link.speed = std::uint64_t{megabits} * 1'000'000;
    if (settings.duplex == DUPLEX_FULL || settings.duplex == DUPLEX_HALF) {
      link.full_duplex = settings.duplex == DUPLEX_FULL;
    }
  }

  /// If this dump fails, the next sync() tries again: the known state stays in use until then.
  void dump_again() {
    dump_needed_ = false;
    try {
      dump();
    } catch (const std::system_error& error) {
      dump_needed_ = true;
      log::warn(kLog, "{}; some changes of devices may have been missed", error.what());
    }
  }

  /// Brings the whole table up to date.
  void dump() {
    std::set<int> seen;
    const NetlinkMessage message(RTM_GETLINK, 0, ifinfomsg{});
    const auto add = [&](const nlmsghdr& header) {
      const std::optional<LinkMessage> one = read_link(header);
      if (!one) return;
      seen.insert(one->link.ifindex);
      update(*one);
    };
    std::optional<NetlinkRefusal> refusal = requests_.dump(message, add);
    // EAGAIN: devices changed while the kernel listed them, so the list is not a consistent state.
    for (int tries = 1; refusal && refusal->error == EAGAIN && tries < kDumpTries; ++tries) {
      seen.clear();
      refusal = requests_.dump(message, add);
    }
    if (refusal) {
      throw std::system_error(refusal->error, std::generic_category(), "cannot list the network devices");
    }
    std::vector<int> gone;
    for (const auto& [ifindex, device] : devices_) {
      if (!seen.contains(ifindex)) gone.push_back(ifindex);
    }
    for (const int ifindex : gone) forget(ifindex);
  }

  const Changed changed_;
  NetlinkSocket requests_;
  std::unique_ptr<nl_sock, void (*)(nl_sock*)> events_;
  UniqueFd ioctl_socket_;
  boost::asio::posix::stream_descriptor readable_;  // the file of events_

  std::map<std::string, Link, std::less<>> links_;
  std::unordered_map<int, Device> devices_;  // by ifindex
  std::set<std::string> names_changed_;      // since the last report
  std::uint64_t last_generation_ = 0;
  bool dump_needed_ = false;
};

LinkMonitor::LinkMonitor(boost::asio::io_context& io, Changed changed)
    : impl_(std::make_unique<Impl>(io, std::move(changed))) {}
LinkMonitor::~LinkMonitor() = default;

const Link* LinkMonitor::find(std::string_view name) const {
  return impl_->find(name);
}
const Link* LinkMonitor::find(int ifindex) const {
  return impl_->find(ifindex);
}
const std::map<std::string, Link, std::less<>>& LinkMonitor::links() const {
  return impl_->links();
}
void LinkMonitor::sync() {
  impl_->sync();
}

std::optional<std::string> LinkMonitor::set_up(const std::string& name, bool up) {
  return impl_->change(name, std::string("bring ") + (up ? "up " : "down ") + name, up ? IFF_UP : 0, IFF_UP,
                       [](nl_msg*) {});
}

std::optional<std::string> LinkMonitor::set_mtu(const std::string& name, std::uint32_t mtu) {
  return impl_->change(name, "set the MTU of " + name + " to " + std::to_string(mtu), 0, 0,
                       [&](nl_msg* message) { nla_put_u32(message, IFLA_MTU, mtu); });
}

std::optional<std::string> LinkMonitor::set_mac(const std::string& name, const MacAddr& mac) {
  return impl_->change(
      name, "set the address of " + name + " to " + mac.to_string(), 0, 0, [&](nl_msg* message) {
        nla_put(message, IFLA_ADDRESS, static_cast<int>(mac.octets.size()), mac.octets.data());
      });
}

std::optional<std::string> LinkMonitor::set_alias(const std::string& name, const std::string& alias) {
  return impl_->change(name, "set the alias of " + name, 0, 0,
                       [&](nl_msg* message) { nla_put_string(message, IFLA_IFALIAS, alias.c_str()); });
}

std::optional<std::string> remove_link(const Link& link) {
  ifinfomsg info{};
  info.ifi_index = link.ifindex;
  const std::optional<NetlinkRefusal> refusal = NetlinkSocket().request(NetlinkMessage(RTM_DELLINK, 0, info));
  if (!refusal || refusal->error == ENODEV) return std::nullopt;
  return "cannot remove " + link.name + ": " + refusal->text;
}

}  // namespace vswitch::netlink
