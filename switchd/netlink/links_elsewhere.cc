// SPDX-License-Identifier: Apache-2.0
// A namespace gets a number in ours (RTM_NEWNSID). Requests name it (IFLA_TARGET_NETNSID), and notifications that
// come from it carry it (NETLINK_LISTEN_ALL_NSID): no thread has to enter the namespace, and nothing of ours keeps
// it alive.
#include "switchd/netlink/links_elsewhere.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <set>
#include <utility>

#include "datapath/base/unique_fd.h"
#include "switchd/netlink/link_message.h"
#include "switchd/netlink/netlink_socket.h"

namespace vswitch::netlink {
namespace {

constexpr int kTargetNetnsid = 46;  // IFLA_TARGET_NETNSID
constexpr std::int32_t kAnyNumber = -1;

/// Of all namespaces that have a number in ours. None if that is not permitted.
UniqueFd listen_everywhere() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  const int on = 1;
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (!fd || ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof on) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return {};
  return fd;
}

}  // namespace

class LinksElsewhere::Impl {
 public:
  Impl(boost::asio::io_context& io, std::function<void()> changed)
      : changed_(std::move(changed)), events_(io) {}

  std::optional<Link> find(int netns, const std::string& name) {
    if (!events_.is_open()) listen();
    const std::optional<std::int32_t> number = number_of(netns);
    if (!number) return std::nullopt;
    numbers_.insert(*number);
    const NetlinkMessage message(RTM_GETLINK, 0, ifinfomsg{});
    nla_put_string(message.get(), IFLA_IFNAME, name.c_str());
    nla_put_s32(message.get(), kTargetNetnsid, *number);
    std::optional<Link> link;
    const auto refusal = requests_.get(message, [&link](const nlmsghdr& header) {
      if (auto answer = read_link(header)) link = std::move(answer->link);
    });
    return refusal ? std::nullopt : link;
  }

 private:
  std::optional<std::int32_t> number_of(int netns) {
    if (const auto number = number_given(netns)) return number;
    const NetlinkMessage message(RTM_NEWNSID, 0, rtgenmsg{});
    nla_put_u32(message.get(), NETNSA_FD, static_cast<std::uint32_t>(netns));
    nla_put_s32(message.get(), NETNSA_NSID, kAnyNumber);
    requests_.request(message);
    return number_given(netns);
  }

  std::optional<std::int32_t> number_given(int netns) {
    const NetlinkMessage message(RTM_GETNSID, 0, rtgenmsg{});
    nla_put_u32(message.get(), NETNSA_FD, static_cast<std::uint32_t>(netns));
    std::optional<std::int32_t> number;
    requests_.get(message, [&number](const nlmsghdr& header) {
      nlattr* value = nlmsg_find_attr(const_cast<nlmsghdr*>(&header), sizeof(rtgenmsg), NETNSA_NSID);
      if (value != nullptr && nla_get_s32(value) >= 0) number = nla_get_s32(value);
    });
    return number;
  }

  void listen() {
    const UniqueFd fd = listen_everywhere();
    if (!fd) return;
    events_.assign(::dup(fd.get()));
    wait();
  }

  void wait() {
    events_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [this](boost::system::error_code error) {
                         if (error) return;
                         const bool concerns_us = read_events();
                         wait();
                         if (concerns_us) changed_();
                       });
  }

  /// Reads all that wait; true if one is from a namespace that somebody has asked about, or some were lost.
  bool read_events() {
    bool concerns_us = false;
    for (;;) {
      char beginning[1];  // what has changed is asked for later
      iovec data{beginning, sizeof beginning};
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::int32_t))];
      msghdr message{};
      message.msg_iov = &data;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t length = ::recvmsg(events_.native_handle(), &message, 0);
      if (length < 0 && errno == EINTR) continue;
      if (length < 0 && errno != ENOBUFS) return concerns_us;
      concerns_us = concerns_us || length < 0 || is_from_ours(message);
    }
  }

  /// Messages from our own namespace carry no number.
  bool is_from_ours(msghdr& message) const {
    const cmsghdr* control = CMSG_FIRSTHDR(&message);
    if (control == nullptr || control->cmsg_level != SOL_NETLINK ||
        control->cmsg_type != NETLINK_LISTEN_ALL_NSID)
      return false;
    std::int32_t number = 0;
    std::memcpy(&number, CMSG_DATA(control), sizeof number);
    return numbers_.contains(number);
  }

  const std::function<void()> changed_;
  NetlinkSocket requests_;
  boost::asio::posix::stream_descriptor events_;  // opened by the first find()
  std::set<std::int32_t> numbers_;                // of namespaces that find() was called for
};

LinksElsewhere::LinksElsewhere(boost::asio::io_context& io, std::function<void()> changed)
    : impl_(std::make_unique<Impl>(io, std::move(changed))) {}
LinksElsewhere::~LinksElsewhere() = default;

std::optional<Link> LinksElsewhere::find(int netns, const std::string& name) {
  return impl_->find(netns, name);
}

}  // namespace vswitch::netlink
