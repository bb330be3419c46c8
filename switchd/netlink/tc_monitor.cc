// SPDX-License-Identifier: Apache-2.0
#include "switchd/netlink/tc_monitor.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <system_error>
#include <utility>

#include "datapath/base/unique_fd.h"

namespace vswitch::netlink {
namespace {

constexpr std::size_t kLongestNotifications = 32 * 1024;  // in one datagram

UniqueFd listen_to_tc() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_TC;
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::system_error(errno, std::generic_category(),
                            "cannot listen for changes of queueing disciplines");
  return fd;
}

}  // namespace

class TcMonitor::Impl {
 public:
  Impl(boost::asio::io_context& io, std::function<void(const std::set<int>&)> removed)
      : removed_(std::move(removed)), events_(io, ::dup(listen_to_tc().get())) {
    wait();
  }

 private:
  void wait() {
    events_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [this](boost::system::error_code error) {
                         if (error) return;
                         std::set<int> ifindexes;
                         const bool are_all = read_events(ifindexes);
                         wait();
                         if (!are_all) ifindexes.clear();
                         if (!are_all || !ifindexes.empty()) removed_(ifindexes);
                       });
  }

  /// False if some were lost.
  bool read_events(std::set<int>& ifindexes) {
    bool are_all = true;
    for (;;) {
      const ssize_t received = ::recv(events_.native_handle(), buffer_, sizeof buffer_, 0);
      if (received >= 0) {
        read_datagram(static_cast<std::size_t>(received), ifindexes);
      } else if (errno == ENOBUFS) {
        are_all = false;
      } else if (errno != EINTR) {
        return are_all;
      }
    }
  }

  void read_datagram(std::size_t length, std::set<int>& ifindexes) {
    auto left = static_cast<int>(length);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer_); nlmsg_ok(header, left) != 0;
         header = nlmsg_next(header, &left)) {
      const bool is_removal = header->nlmsg_type == RTM_DELQDISC || header->nlmsg_type == RTM_DELTFILTER;
      if (is_removal && nlmsg_datalen(header) >= static_cast<int>(sizeof(tcmsg)))
        ifindexes.insert(static_cast<const tcmsg*>(nlmsg_data(header))->tcm_ifindex);
    }
  }

  const std::function<void(const std::set<int>&)> removed_;
  boost::asio::posix::stream_descriptor events_;
  alignas(nlmsghdr) char buffer_[kLongestNotifications];
};

TcMonitor::TcMonitor(boost::asio::io_context& io, std::function<void(const std::set<int>&)> removed)
    : impl_(std::make_unique<Impl>(io, std::move(removed))) {}
TcMonitor::~TcMonitor() = default;

}  // namespace vswitch::netlink
