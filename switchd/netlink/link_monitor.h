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

#include "switchd/netlink/link.h"

namespace boost::asio {
class io_context;
}

namespace vswitch::netlink {

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
  [[nodiscard]] std::optional<std::string> set_alias(const std::string& name, const std::string& alias);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The device is gone when it returns, whoever uses it. A device that is gone already is not an error. Any thread:
/// it takes 20 ms, but several devices can go at the same time.
[[nodiscard]] std::optional<std::string> remove_link(const Link& link);

}  // namespace vswitch::netlink
