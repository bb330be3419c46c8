// SPDX-License-Identifier: Apache-2.0
// Composes a frame that a match describes, like flow_compose() in Open vSwitch's lib/flow.c: for
// ofproto/trace, and for tests that need a frame for each match.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datapath/flow/match.h"

namespace vswitch {

struct ComposedFrame {
  std::vector<std::uint8_t> bytes;  ///< from the destination address on, without FCS
  std::string trouble;              ///< why there is no frame, as a sentence; empty on success
};

/// Returns a frame that the match matches. Its VLAN tag is the one on the wire.
///
/// Fields that the match leaves open are zero, unless a well-formed packet needs another value: TTL 64, an
/// ARP request, "no next header" in IPv6. From a range the lowest possible port is taken. Lengths and
/// checksums are correct, and the frame is padded to 60 bytes, not counting the tag.
///
/// Fails if no such frame can exist: an EtherType that is a length, an ICMP type in a later fragment, an IPv6
/// protocol that is an extension header.
ComposedFrame compose(const Match& match);

}  // namespace vswitch
