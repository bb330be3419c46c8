// SPDX-License-Identifier: Apache-2.0
// The network devices of the daemon's namespace, kept up to date by rtnetlink(7) notifications.
//
// The table is complete when the constructor returns. Afterwards, all notifications that are waiting are
// applied as one batch and reported by one call of the callback, on the io_context. A lost notification
// (ENOBUFS) causes a new dump. All on one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/base/types.h"

namespace boost::asio {
class io_context;
}

namespace vswitch::netlink {

/// A network device as the kernel describes it.
struct Link {
  int ifindex = 0;
  std::string name;
  bool up = false;       ///< administratively (IFF_UP)
  bool carrier = false;  ///< up and the other end is there (IFF_LOWER_UP)
  std::uint32_t mtu = 0;
  MacAddr mac;                         ///< zero for devices that are not Ethernet
  bool ethernet = false;               ///< ARPHRD_ETHER: only such a device can be a port
  std::string kind;                    ///< "veth", "tun", "bridge", ...; empty for physical devices and lo
  std::optional<std::uint64_t> speed;  ///< bits per second, if the driver reports it
  std::optional<bool> full_duplex;     ///< if the driver reports it
  std::uint64_t link_resets = 0;       ///< carrier changes since the device was first seen
  /// Differs from that of every other device that ever had this name (or index): code that has opened a
  /// device compares it.
  std::uint64_t generation = 0;

  bool operator==(const Link&) const = default;
};

class LinkMonitor {
 public:
  /// Names of devices that appeared, changed or vanished, sorted; a rename reports both names.
  using Changed = std::function<void(const std::vector<std::string>& names)>;

  /// Throws std::system_error if the kernel refuses the netlink sockets or the dump.
  LinkMonitor(boost::asio::io_context& io, Changed changed);
  ~LinkMonitor();

  /// nullptr if there is none. Valid until the next notification is applied.
  const Link* find(std::string_view name) const;
  const Link* find(int ifindex) const;
  const std::map<std::string, Link, std::less<>>& links() const;

  /// Applies waiting notifications now, and reports them as usual. Call it after creating a device, to see it
  /// at once.
  void sync();

  // Setters. They return an error sentence, or nothing. The table follows by notification.
  [[nodiscard]] std::optional<std::string> set_up(const std::string& name, bool up);
  [[nodiscard]] std::optional<std::string> set_mtu(const std::string& name, std::uint32_t mtu);
  [[nodiscard]] std::optional<std::string> set_mac(const std::string& name, const MacAddr& mac);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vswitch::netlink
