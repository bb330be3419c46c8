// SPDX-License-Identifier: Apache-2.0
// Requests to the kernel over netlink(7), with the kernel's own error text if it refuses. A thin layer over
// libnl-3.
#pragma once

#include <linux/netlink.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

struct nl_msg;
struct nl_sock;

namespace vswitch::netlink {

/// A netlink message being built with libnl's nla_put() family.
class NetlinkMessage {
 public:
  /// `header` is the family header that follows nlmsghdr (ifinfomsg, tcmsg).
  template <typename Header>
  NetlinkMessage(int type, int flags, const Header& header)
      : NetlinkMessage(type, flags, &header, sizeof header) {}

  nl_msg* get() const { return message_.get(); }

 private:
  NetlinkMessage(int type, int flags, const void* header, std::size_t length);

  struct Free {
    void operator()(nl_msg* message) const;
  };
  std::unique_ptr<nl_msg, Free> message_;
};

/// The kernel's answer to a request it refused.
struct NetlinkRefusal {
  int error = 0;     ///< errno
  std::string text;  ///< extended acknowledgement (Linux 4.12) if there is one, else strerror()
};

/// A netlink socket in the network namespace of the thread that creates it. One thread at a time.
class NetlinkSocket {
 public:
  using Handler = std::function<void(const nlmsghdr&)>;

  /// `protocol` as for netlink(7). Throws std::system_error.
  explicit NetlinkSocket(int protocol = NETLINK_ROUTE);

  /// Sends and waits for the acknowledgement.
  std::optional<NetlinkRefusal> request(const NetlinkMessage& message);
  /// Sends a request for one object and passes the answer to the handler.
  std::optional<NetlinkRefusal> get(const NetlinkMessage& message, const Handler& handler);
  /// Sends a request made with NLM_F_DUMP and passes each message of the answer to the handler. Refusal
  /// EAGAIN: things changed while the kernel listed them; try again.
  std::optional<NetlinkRefusal> dump(const NetlinkMessage& message, const Handler& handler);

 private:
  struct Free {
    void operator()(nl_sock* socket) const;
  };
  std::unique_ptr<nl_sock, Free> socket_;
};

}  // namespace vswitch::netlink
