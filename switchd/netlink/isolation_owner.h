// SPDX-License-Identifier: Apache-2.0
// Which daemon keeps the host's stack away from a device, and whether that daemon lives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "datapath/base/unique_fd.h"

namespace vswitch::netlink {

/// A process, and what people know it by.
struct IsolationOwner {
  long pid = 0;
  std::uint64_t start = 0;  ///< clock ticks since boot
  std::uint64_t pidns = 0;  ///< inode of its pid namespace
  bool made_clsact = false;
  std::string rundir;  ///< as much of it as there is room for

  static IsolationOwner of_this_process(std::string rundir);
  /// "vswitch pid=71 start=8125 pidns=4026531836 clsact=made rundir=/run/vswitch"
  std::string to_string() const;
  static std::optional<IsolationOwner> parse(const std::string& text);

  /// Same process.
  bool is(const IsolationOwner& other) const {
    return pid == other.pid && start == other.start && pidns == other.pidns;
  }
};

/// An abstract socket (unix(7)) with the name of a process, which holds it as long as it lives, however it ends. Every
/// process in the network namespace sees it, and that is where the devices are too: a pid means nothing in another
/// pid namespace, and neither does the path of a run directory in a container.
class SignOfLife {
 public:
  /// Gives this process its sign. Throws std::system_error.
  explicit SignOfLife(const IsolationOwner& self);
  bool lives(const IsolationOwner& owner) const;

 private:
  UniqueFd held_;
  UniqueFd probe_;
};

}  // namespace vswitch::netlink
