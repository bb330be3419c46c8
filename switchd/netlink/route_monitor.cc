// SPDX-License-Identifier: Apache-2.0
#include "switchd/netlink/route_monitor.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <cerrno>
#include <set>
#include <system_error>
#include <utility>

#include "datapath/base/socket_buffer.h"
#include "switchd/base/log.h"
#include "switchd/netlink/netlink_socket.h"

namespace vswitch::netlink {
namespace {

const log::Module kRouteLog{"netlink"};

constexpr std::uint16_t kValid =
    NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
constexpr std::size_t kRouteEventBuffer = 2 << 20;

IpAddress address_in(const nlattr* attribute) {
  return IpAddress::from_bytes(
      {static_cast<const std::uint8_t*>(nla_data(attribute)), static_cast<std::size_t>(nla_len(attribute))});
}

/// RTA_VIA: an IPv6 next hop of an IPv4 route.
IpAddress via_in(const nlattr* attribute) {
  const auto* via = static_cast<const rtvia*>(nla_data(attribute));
  return IpAddress::from_bytes({via->rtvia_addr, via->rtvia_family == AF_INET6 ? 16U : 4U});
}

/// The contents of an RTM_NEWROUTE message.
struct FoundRoute {
  bool local = false;       ///< to this host itself
  bool prohibited = false;  ///< unreachable, blackhole, prohibit
  bool broadcast = false;
  int ifindex = 0;
  std::optional<IpAddress> gateway;
  std::optional<IpAddress> source;
  std::uint32_t mtu = 0;
};

FoundRoute read_route(const nlmsghdr& header) {
  auto* message = const_cast<nlmsghdr*>(&header);
  FoundRoute route;
  nlattr* attributes[RTA_MAX + 1];
  if (nlmsg_parse(message, sizeof(rtmsg), attributes, RTA_MAX, nullptr) < 0) return route;
  const auto& info = *static_cast<const rtmsg*>(nlmsg_data(message));
  route.local = info.rtm_type == RTN_LOCAL;
  route.prohibited =
      info.rtm_type == RTN_UNREACHABLE || info.rtm_type == RTN_BLACKHOLE || info.rtm_type == RTN_PROHIBIT;
  route.broadcast = info.rtm_type == RTN_BROADCAST;
  if (attributes[RTA_OIF] != nullptr) route.ifindex = static_cast<int>(nla_get_u32(attributes[RTA_OIF]));
  if (attributes[RTA_GATEWAY] != nullptr) route.gateway = address_in(attributes[RTA_GATEWAY]);
  if (attributes[RTA_VIA] != nullptr) route.gateway = via_in(attributes[RTA_VIA]);
  if (attributes[RTA_PREFSRC] != nullptr) route.source = address_in(attributes[RTA_PREFSRC]);
  nlattr* metrics[RTAX_MAX + 1];
  if (attributes[RTA_METRICS] != nullptr &&
      nla_parse_nested(metrics, RTAX_MAX, attributes[RTA_METRICS], nullptr) == 0 &&
      metrics[RTAX_MTU] != nullptr)
    route.mtu = nla_get_u32(metrics[RTAX_MTU]);
  return route;
}

void put_address(const NetlinkMessage& message, int type, const IpAddress& address) {
  const auto bytes = address.bytes();
  nla_put(message.get(), type, static_cast<int>(bytes.size()), bytes.data());
}

}  // namespace

class RouteMonitor::Impl {
 public:
  Impl(boost::asio::io_context& io, const LinkMonitor& links, std::function<void()> changed)
      : links_(links), changed_(std::move(changed)), events_(nullptr, nl_socket_free), readable_(io) {}

  ~Impl() {
    if (events_ != nullptr) readable_.release();  // libnl closes it
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Route route_to(const IpAddress& remote, const std::optional<IpAddress>& local) {
    if (events_ == nullptr) listen();
    FoundRoute found;
    const auto refusal = ask_route(remote, local, found);
    if (refusal || found.prohibited || found.ifindex == 0) {
      const std::string why = refusal ? refusal->text : "a route forbids it";
      const std::string from = local ? " from " + local->to_string() : "";
      return {.trouble = DropReason::no_route,
              .reason = "no route to " + remote.to_string() + from + " (" + why + ")",
              .device = {},
              .source = {}};
    }
    const Link* link = links_.find(found.ifindex);
    Route route{.trouble = DropReason::none,
                .reason = {},
                .device = link != nullptr ? link->name : "",
                .source = local ? local : found.source,
                .mtu = found.mtu != 0 || link == nullptr ? found.mtu : link->mtu};
    if (found.local || link == nullptr) return route;
    if (found.broadcast) {
      route.trouble = DropReason::no_route;
      route.reason = remote.to_string() + " is the broadcast address of " + link->name;
    } else if (!link->up || !link->carrier) {
      route.trouble = DropReason::link_down;
      route.reason = "device " + link->name + " on the path to " + remote.to_string() + " is down";
    } else if (link->ethernet && !remote.is_multicast()) {
      const IpAddress neighbour = found.gateway.value_or(remote);
      const Answer answer = ask_neighbour(neighbour, found.ifindex);
      if (answer == Answer::known) return route;
      route.trouble = DropReason::no_neighbour;
      route.reason = answer == Answer::asking ? "resolving " + neighbour.to_string() + " on " + link->name
                                              : neighbour.to_string() + " does not answer on " + link->name;
      if (found.gateway) route.reason += ", the next hop to " + remote.to_string();
    }
    return route;
  }

 private:
  void listen() {
    events_.reset(nl_socket_alloc());
    nl_sock* socket = events_.get();
    if (socket == nullptr) throw std::bad_alloc();
    nl_socket_disable_seq_check(socket);
    const auto ignore = [](nl_msg*, void*) { return static_cast<int>(NL_OK); };
    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, ignore, nullptr);
    if (nl_connect(socket, NETLINK_ROUTE) < 0 ||
        nl_socket_add_memberships(socket, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR,
                                  RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0) < 0 ||
        nl_socket_set_nonblocking(socket) < 0) {
      events_.reset();
      throw std::system_error(errno, std::generic_category(), "cannot listen for changes of routes");
    }
    set_receive_buffer(nl_socket_get_fd(socket), kRouteEventBuffer);
    readable_.assign(nl_socket_get_fd(socket));
    wait();
  }

  void wait() {
    readable_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [this](boost::system::error_code error) {
                           if (error == boost::asio::error::operation_aborted) return;  // the monitor is gone
                           try {
                             drain();
                             changed_();
                           } catch (const std::exception& failure) {  // the next event comes in any case
                             log::err(kRouteLog, "a change was not followed: {}", failure.what());
                           }
                           wait();
                         });
  }

  /// It does not matter what has changed or was lost: everything is queried again.
  void drain() {
    int result = 0;
    do {
      result = nl_recvmsgs_default(events_.get());
    } while (result >= 0 || result == -NLE_NOMEM || result == -NLE_INTR);
  }

  std::optional<NetlinkRefusal> ask_route(const IpAddress& remote, const std::optional<IpAddress>& local,
                                          FoundRoute& found) {
    rtmsg info{};
    info.rtm_family = static_cast<unsigned char>(remote.family());
    info.rtm_dst_len = static_cast<unsigned char>(8 * remote.bytes().size());
    if (local) info.rtm_src_len = info.rtm_dst_len;
    const NetlinkMessage message(RTM_GETROUTE, 0, info);
    put_address(message, RTA_DST, remote);
    if (local) put_address(message, RTA_SRC, *local);
    if (remote.scope != 0) nla_put_u32(message.get(), RTA_OIF, remote.scope);
    return requests_.get(message, [&found](const nlmsghdr& header) {
      if (header.nlmsg_type == RTM_NEWROUTE) found = read_route(header);
    });
  }

  enum class Answer : std::uint8_t { known, asking, silent };

  /// Whether the neighbour's hardware address is known. If not, starts to resolve it, unless the kernel is
  /// doing so already: once a second from then on, as the kernel gives up.
  Answer ask_neighbour(const IpAddress& neighbour, int ifindex) {
    ndmsg info{};
    info.ndm_family = static_cast<unsigned char>(neighbour.family());
    info.ndm_ifindex = ifindex;
    const NetlinkMessage question(RTM_GETNEIGH, 0, info);
    put_address(question, NDA_DST, neighbour);
    std::uint16_t state = NUD_NONE;
    requests_.get(question, [&state](const nlmsghdr& header) {
      if (header.nlmsg_type != RTM_NEWNEIGH) return;
      state = static_cast<const ndmsg*>(nlmsg_data(const_cast<nlmsghdr*>(&header)))->ndm_state;
    });
    const std::pair key(neighbour, ifindex);
    if ((state & kValid) != 0) {
      silent_.erase(key);
      return Answer::known;
    }
    if ((state & NUD_FAILED) != 0) silent_.insert(key);
    const Answer answer = silent_.contains(key) ? Answer::silent : Answer::asking;
    if ((state & NUD_INCOMPLETE) != 0) return answer;
    info.ndm_flags = NTF_USE;  // as if a packet were to be sent there
    const NetlinkMessage use(RTM_NEWNEIGH, NLM_F_CREATE, info);
    put_address(use, NDA_DST, neighbour);
    requests_.request(use);
    return answer;
  }

  std::set<std::pair<IpAddress, int>> silent_;  ///< neighbours that have not answered yet, and their device
  const LinkMonitor& links_;
  const std::function<void()> changed_;
  NetlinkSocket requests_;
  std::unique_ptr<nl_sock, void (*)(nl_sock*)> events_;
  boost::asio::posix::stream_descriptor readable_;  // the file of events_
};

RouteMonitor::RouteMonitor(boost::asio::io_context& io, const LinkMonitor& links,
                           std::function<void()> changed)
    : impl_(std::make_unique<Impl>(io, links, std::move(changed))) {}
RouteMonitor::~RouteMonitor() = default;

Route RouteMonitor::route_to(const IpAddress& remote, const std::optional<IpAddress>& local) {
  return impl_->route_to(remote, local);
}

}  // namespace vswitch::netlink
