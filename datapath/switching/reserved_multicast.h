// SPDX-License-Identifier: Apache-2.0
// Destination addresses that a bridge does not forward unless other_config:forward-bpdu is set.
#pragma once

#include "datapath/base/types.h"

namespace vswitch {

/// 01:80:c2:00:00:00..0f (IEEE 802.1D table 7-10, slow protocols, LLDP, 802.1X), Extreme's
/// 00:e0:2b:00:00:{00,04,06}, and Cisco's CDP/VTP, PVST+, ISL and FlexLink addresses: the list as measured on
/// Open vSwitch 3.1.
constexpr bool is_reserved_multicast(const MacAddr& mac) {
  const std::uint64_t address = mac.to_u64();
  const std::uint64_t prefix = address & ~std::uint64_t{0xf};
  if (prefix == 0x0180c2000000) return true;
  if ((address >> 8 == 0x01000ccccc) &&
      ((address & 0xff) == 0xcc || ((address & 0xff) >= 0xc0 && (address & 0xff) <= 0xc7))) {
    return true;
  }
  return address == 0x00e02b000000 || address == 0x00e02b000004 || address == 0x00e02b000006 ||
         address == 0x01000ccccccd || address == 0x01000ccdcdcd || address == 0x01000c000000;
}

}  // namespace vswitch
