// SPDX-License-Identifier: Apache-2.0
#include "switchd/netlink/egress_monitor.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <initializer_list>
#include <map>
#include <new>
#include <set>
#include <system_error>
#include <utility>

#include "datapath/base/socket_buffer.h"
#include "switchd/base/log.h"
#include "switchd/netlink/egress_survey.h"
#include "switchd/netlink/tcx.h"

namespace vswitch::netlink {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

const log::Module kEgressLog{"netlink"};

constexpr std::size_t kEgressEventBuffer = 1 << 20;
constexpr milliseconds kSoon{10};  // for several changes together
constexpr milliseconds kOften{100};
constexpr milliseconds kSeldom{1000};
constexpr int kTimesOften = 10;
constexpr int kPartOfTime = 20;  // a twentieth of the time at most

/// Notifications of the kernel.
class Listener {
 public:
  using Event = std::function<void(const nlmsghdr&)>;

  /// `event` is called for each notification, `lost` if there were more than fit, `done` after each batch of
  /// them. Without support in the kernel there are none.
  Listener(boost::asio::io_context& io, int protocol, std::initializer_list<int> groups, Event event,
           std::function<void()> lost, std::function<void()> done)
      : event_(std::move(event)),
        lost_(std::move(lost)),
        done_(std::move(done)),
        socket_(nl_socket_alloc(), nl_socket_free),
        readable_(io) {
    nl_sock* socket = socket_.get();
    if (socket == nullptr) throw std::bad_alloc();
    nl_socket_disable_seq_check(socket);
    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, on_event, this);
    if (nl_connect(socket, protocol) < 0) {
      if (errno == EPROTONOSUPPORT) return;
      throw std::system_error(errno, std::generic_category(), "cannot open a netlink socket");
    }
    for (const int group : groups) {
      // A group that the kernel lacks has no news.
      (void)nl_socket_add_membership(socket, group);
    }
    nl_socket_set_nonblocking(socket);
    nl_socket_set_msg_buf_size(socket, 64 * 1024);
    set_receive_buffer(nl_socket_get_fd(socket), kEgressEventBuffer);
    readable_.assign(nl_socket_get_fd(socket));
    wait();
  }
  ~Listener() {
    if (readable_.is_open()) readable_.release();  // libnl closes it
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  static int on_event(nl_msg* message, void* self) {
    static_cast<Listener*>(self)->event_(*nlmsg_hdr(message));
    return NL_OK;
  }

  void wait() {
    readable_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [this](boost::system::error_code error) {
                           if (error == boost::asio::error::operation_aborted) return;  // it is gone
                           int result = 0;
                           do {
                             result = nl_recvmsgs_default(socket_.get());
                             if (result == -NLE_NOMEM) lost_();  // ENOBUFS
                           } while (result >= 0 || result == -NLE_NOMEM || result == -NLE_INTR);
                           done_();
                           wait();
                         });
  }

  const Event event_;
  const std::function<void()> lost_;
  const std::function<void()> done_;
  std::unique_ptr<nl_sock, void (*)(nl_sock*)> socket_;
  boost::asio::posix::stream_descriptor readable_;  // the file of socket_
};

}  // namespace

class EgressMonitor::Impl {
 public:
  Impl(boost::asio::io_context& io, std::function<void()> changed)
      : changed_(std::move(changed)),
        timer_(io),
        devices_(
            io, NETLINK_ROUTE, {RTNLGRP_TC, RTNLGRP_LINK}, [this](const nlmsghdr& header) { note(header); },
            [this] { all_is_outdated(); }, [this] { plan(); }),
        rules_(
            io, NETLINK_NETFILTER, {NFNLGRP_NFTABLES}, [this](const nlmsghdr&) { chains_outdated_ = true; },
            [this] { chains_outdated_ = true; }, [this] { plan(); }) {
    look();
    plan();
  }

  std::string on(const Link& link) const {
    std::string text;
    const auto add = [&text](const std::string& what) { text += (text.empty() ? "" : ", ") + what; };
    if (const auto found = qdiscs_.kinds.find(link.ifindex); found != qdiscs_.kinds.end())
      add("qdisc " + found->second);
    if (const auto found = filters_.find(link.ifindex); found != filters_.end())
      add("filter " + found->second);
    if (tcx_.contains(link.ifindex)) add("tcx program");
    if (chains_.contain(link.name)) add("nftables chain");
    if (captures_.contain(link.ifindex)) add("capture");
    return text;
  }

 private:
  void all_is_outdated() {
    devices_outdated_ = qdiscs_outdated_ = all_filters_outdated_ = true;
    often_left_ = kTimesOften;
  }

  static const ifinfomsg& link_of(const nlmsghdr& header) {
    return *static_cast<const ifinfomsg*>(nlmsg_data(const_cast<nlmsghdr*>(&header)));
  }

  void note(const nlmsghdr& header) {
    switch (header.nlmsg_type) {
      case RTM_NEWQDISC:
      case RTM_DELQDISC:
      case RTM_NEWTFILTER:
      case RTM_DELTFILTER: {
        const auto& tc = *static_cast<const tcmsg*>(nlmsg_data(const_cast<nlmsghdr*>(&header)));
        qdiscs_outdated_ = true;
        filters_outdated_.insert(tc.tcm_ifindex);
        break;
      }
      case RTM_DELLINK:
        // A device that leaves a bridge (AF_BRIDGE) stays a device.
        if (link_of(header).ifi_family == AF_UNSPEC) known_devices_.erase(link_of(header).ifi_index);
        filters_outdated_.insert(link_of(header).ifi_index);
        qdiscs_outdated_ = true;
        break;
      case RTM_NEWLINK:
        known_devices_.insert(link_of(header).ifi_index);
        often_left_ = kTimesOften;
        break;
      default:
        break;
    }
  }

  bool is_outdated() const { return qdiscs_outdated_ || all_filters_outdated_ || chains_outdated_; }

  /// Sets the timer, unless it expires earlier anyway.
  void plan() {
    const milliseconds pause = is_outdated() ? kSoon : often_left_ > 0 ? kOften : kSeldom;
    const auto next = Clock::now() + std::max<Clock::duration>(pause, kPartOfTime * cost_);
    if (is_planned_ && timer_.expiry() <= next) return;
    is_planned_ = true;
    timer_.expires_at(next);
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      is_planned_ = false;
      if (often_left_ > 0) --often_left_;
      try {
        if (look()) changed_();
      } catch (const std::exception& failure) {  // there is a next time
        log::err(kEgressLog, "what the host has on its devices could not be read: {}", failure.what());
      }
      plan();
    });
  }

  /// Asks for what may have changed. True if something has.
  bool look() {
    const auto start = Clock::now();
    bool differs = look_at_captures();
    if (std::exchange(chains_outdated_, false)) {
      auto chains = survey_.chains().value_or(EgressChains{});
      differs |= chains != chains_;
      chains_ = std::move(chains);
    }
    if (std::exchange(qdiscs_outdated_, false)) {
      auto qdiscs = survey_.qdiscs().value_or(Qdiscs{});
      differs |= qdiscs.kinds != qdiscs_.kinds;
      qdiscs_ = std::move(qdiscs);
    }
    differs |= look_at_filters();
    differs |= look_at_tcx();
    cost_ = Clock::now() - start;
    return differs;
  }

  bool look_at_captures() {
    auto captures = survey_.captures();
    if (!captures && !std::exchange(captures_unknown_, true))
      log::warn(kEgressLog,
                "the kernel does not list packet sockets (CONFIG_PACKET_DIAG): a capture on a port's "
                "device does not show what the switch sends there");
    if (!captures || *captures == captures_) return false;
    captures_ = std::move(*captures);
    return true;
  }

  bool look_at_filters() {
    const auto before = filters_;
    std::set<int> outdated = std::exchange(filters_outdated_, {});
    if (std::exchange(all_filters_outdated_, false)) {
      filters_.clear();
      outdated = qdiscs_.clsact;
    }
    for (const int ifindex : outdated) {
      const std::string kind =
          qdiscs_.clsact.contains(ifindex) ? survey_.filter(ifindex).value_or("") : std::string();
      if (kind.empty())
        filters_.erase(ifindex);
      else
        filters_[ifindex] = kind;
    }
    return filters_ != before;
  }

  bool look_at_tcx() {
    if (std::exchange(devices_outdated_, false)) known_devices_ = devices();
    std::set<int> found;
    for (const int ifindex : known_devices_) {
      if (has_tcx_program(ifindex, TcxHook::egress)) found.insert(ifindex);
    }
    return std::exchange(tcx_, found) != found;
  }

  /// Of the network namespace, by ifindex.
  static std::set<int> devices() {
    std::set<int> found;
    const std::unique_ptr<struct if_nameindex, void (*)(struct if_nameindex*)> all(::if_nameindex(),
                                                                                   ::if_freenameindex);
    for (const auto* one = all.get(); one != nullptr && one->if_index != 0; ++one)
      found.insert(static_cast<int>(one->if_index));
    return found;
  }

  const std::function<void()> changed_;
  EgressSurvey survey_;
  boost::asio::steady_timer timer_;
  bool is_planned_ = false;
  int often_left_ = kTimesOften;
  Clock::duration cost_{};  // of the last look()

  Qdiscs qdiscs_;
  std::map<int, std::string> filters_;
  std::set<int> known_devices_, tcx_;  // by ifindex
  EgressChains chains_;
  Captures captures_;
  bool devices_outdated_ = true;
  bool qdiscs_outdated_ = true;
  bool all_filters_outdated_ = true;
  std::set<int> filters_outdated_;
  bool chains_outdated_ = true;
  bool captures_unknown_ = false;  // and said so

  Listener devices_;  // before the first look(), so that nothing is missed
  Listener rules_;
};

EgressMonitor::EgressMonitor(boost::asio::io_context& io, std::function<void()> changed)
    : impl_(std::make_unique<Impl>(io, std::move(changed))) {}
EgressMonitor::~EgressMonitor() = default;

std::string EgressMonitor::on(const Link& link) const {
  return impl_->on(link);
}

}  // namespace vswitch::netlink
