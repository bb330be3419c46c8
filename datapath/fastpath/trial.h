// SPDX-License-Identifier: Apache-2.0
// Two tap devices, the first with the programs of the fast path: to see whether the kernel does what they rely on. They
// are in a network namespace of their own if the process may make one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "datapath/base/types.h"
#include "datapath/base/unique_fd.h"

namespace vswitch::fastpath {

class Trial {
 public:
  /// The programs are those for the packet socket and for tc ingress. Throws std::runtime_error with a sentence.
  Trial(int filter, int ingress);
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  /// Of the first (0) or second (1) device.
  std::uint32_t ifindex(std::size_t device) const { return devices_[device].ifindex; }
  /// A frame arrives at the first device.
  void arrives(const MacAddr& dst, const MacAddr& src);
  /// The source address of the next such frame that leaves by the second device; nothing if there is none for 200 ms.
  std::optional<MacAddr> source_of_next();

 private:
  struct Device {
    UniqueFd tap;
    std::uint32_t ifindex = 0;
  };
  void set_up(int filter, int ingress);

  std::array<Device, 2> devices_;
  UniqueFd socket_;
};

}  // namespace vswitch::fastpath
