// SPDX-License-Identifier: Apache-2.0
// Devices in other network namespaces: internal ports that were moved into containers.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "switchd/netlink/link.h"

namespace boost::asio {
class io_context;
}

namespace vswitch::netlink {

class LinksElsewhere {
 public:
  /// `changed` is called on the io_context when a device has changed in a namespace that find() was called for.
  /// Not every change is reported: a namespace ends without a word, and listening needs CAP_NET_BROADCAST. Look
  /// again about once a second. Throws std::system_error if a netlink socket cannot be opened.
  LinksElsewhere(boost::asio::io_context& io, std::function<void()> changed);
  ~LinksElsewhere();

  /// The device as it is now; nullopt if there is none, or if the kernel does not let us look. `netns` is a file
  /// of the namespace (/proc/PID/ns/net).
  std::optional<Link> find(int netns, const std::string& name);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vswitch::netlink
