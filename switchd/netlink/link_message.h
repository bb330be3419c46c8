// SPDX-License-Identifier: Apache-2.0
// What the kernel's messages about network devices say.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <optional>

#include "switchd/netlink/link.h"

namespace vswitch::netlink {

/// An RTM_NEWLINK or RTM_DELLINK message, parsed.
struct LinkMessage {
  Link link;                                     ///< without speed, duplex, resets and generation
  std::optional<std::uint32_t> carrier_changes;  ///< since the device was created
};

/// nullopt: it is not about a device.
std::optional<LinkMessage> read_link(const nlmsghdr& header);

}  // namespace vswitch::netlink
