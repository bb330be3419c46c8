// SPDX-License-Identifier: Apache-2.0
// A frame that a match describes, as flow_compose() of Open vSwitch's lib/flow.c makes one: for
// ofproto/trace, and for tests that need a frame for each match.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datapath/flow/match.h"

namespace vswitch {

struct ComposedFrame {
  std::vector<std::uint8_t> bytes;  ///< from the destination address on, without FCS
  std::string trouble;              ///< why there is none, as a sentence; empty if there is one
};

/// A frame whose FlowKey the match matches. The tag is the one on the wire.
///
/// What the match leaves open is zero, unless a well-formed packet needs more: TTL 64, an ARP request, "no
/// next header" in IPv6. A range stands for its low end. Lengths and checksums are right, and the frame is
/// padded to 60 bytes and its tag.
///
/// No frame is made if none has all that the match says: an EtherType that is a length, the type of ICMP in
/// a later fragment, a protocol of IPv6 that is an extension header.
ComposedFrame compose(const Match& match);

}  // namespace vswitch
