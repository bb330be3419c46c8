// SPDX-License-Identifier: Apache-2.0
// Asks the kernel what the host has put on the way out of its devices: queueing disciplines, filters,
// nftables rules, captures. What the kernel or a vswitchd puts there by itself is not reported.
#pragma once

#include <linux/filter.h>

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "switchd/netlink/netlink_socket.h"

namespace vswitch::netlink {

/// Queueing disciplines, without those that the kernel attaches by itself.
struct Qdiscs {
  std::map<int, std::string> kinds;  ///< "htb", by ifindex
  std::set<int> clsact;              ///< devices that can have egress filters, by ifindex
};

/// Devices of nftables chains at the egress hook.
struct EgressChains {
  std::set<std::string> devices;
  std::vector<std::string> prefixes;  ///< of device names ("veth*", Linux 6.16)

  bool contain(const std::string& device) const;
  bool operator==(const EgressChains&) const = default;
};

/// Packet sockets that see what leaves.
struct Captures {
  bool on_all_devices = false;
  std::set<int> devices;  ///< by ifindex

  bool contain(int ifindex) const { return on_all_devices || devices.contains(ifindex); }
  bool operator==(const Captures&) const = default;
};

/// False if a packet socket with this filter gets no frame that leaves by a device, whatever is in it: the
/// sockets of a switch, ours or another's. True if in doubt.
bool accepts_outgoing(std::span<const sock_filter> program);

/// In the network namespace of the thread that creates it. One thread at a time. A question that the kernel
/// does not answer gets nullopt.
class EgressSurvey {
 public:
  /// Throws std::system_error if netlink sockets cannot be opened.
  EgressSurvey();

  std::optional<Qdiscs> qdiscs();
  /// The kind ("u32") of an egress filter of this device that is not part of a vswitchd's host isolation;
  /// empty if there is none.
  std::optional<std::string> filter(int ifindex);
  std::optional<EgressChains> chains();
  std::optional<Captures> captures();

 private:
  bool dump(std::optional<NetlinkSocket>& socket, const NetlinkMessage& message,
            const NetlinkSocket::Handler& handler);

  std::optional<NetlinkSocket> route_;
  std::optional<NetlinkSocket> netfilter_;    // unless the kernel lacks it
  std::optional<NetlinkSocket> diagnostics_;  // likewise
};

}  // namespace vswitch::netlink
