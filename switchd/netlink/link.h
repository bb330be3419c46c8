// SPDX-License-Identifier: Apache-2.0
// A network device as the kernel describes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "datapath/base/types.h"

namespace vswitch::netlink {

struct Link {
  int ifindex = 0;
  std::string name;
  std::string alias;     ///< a text that anybody may give to it (ip link set dev X alias TEXT)
  bool up = false;       ///< administratively (IFF_UP)
  bool carrier = false;  ///< up and the other end is there (IFF_LOWER_UP)
  std::uint32_t mtu = 0;
  MacAddr mac;                         ///< zero for devices that are not Ethernet
  bool ethernet = false;               ///< ARPHRD_ETHER: only such a device can be a port
  bool xdp = false;                    ///< an XDP program is attached, which decides first about what arrives
  std::string kind;                    ///< "veth", "tun", "bridge", ...; empty for physical devices and lo
  std::optional<std::uint64_t> speed;  ///< bits per second, if the driver reports it
  std::optional<bool> full_duplex;     ///< if the driver reports it
  std::uint64_t link_resets = 0;       ///< carrier changes since the device was first seen
  /// Differs from that of every other device that ever had this name (or index): code that has opened a
  /// device compares it. 0 for a device in another namespace.
  std::uint64_t generation = 0;

  bool operator==(const Link&) const = default;
};

}  // namespace vswitch::netlink
