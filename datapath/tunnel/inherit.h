// SPDX-License-Identifier: Apache-2.0
// What the IP header of a tunnel's packet takes from the packet in the frame inside: TTL, DSCP and ECN, and
// what that packet gets back at the other end. Pure functions, with the rules of Open vSwitch
// (tnl_port_send() and tnl_process_ecn() in its ofproto/tunnel.c), which for ECN are those of RFC 6040.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/tunnel/tunnel_endpoint.h"

namespace vswitch::tunnel {

/// Fields of the IP header around a frame.
struct OuterFields {
  std::uint8_t ttl = 0;
  std::uint8_t tos = 0;  ///< DSCP and ECN; the traffic class of IPv6

  bool operator==(const OuterFields&) const = default;
};

/// The fields for a frame, given in two consecutive parts. It may have one VLAN tag; a frame that is not IP
/// gets those of the settings. A congestion mark (CE) becomes ECT(0): the marks of the way start anew.
OuterFields outer_fields(const TunnelEndpointSettings& settings, std::span<const std::uint8_t> first,
                         std::span<const std::uint8_t> second);

/// Marks the packet in a received frame with the congestion that its way through the tunnel met. False if the
/// packet's sender does not know such marks, so that the frame has to be dropped.
bool take_congestion_mark(std::uint8_t outer_tos, std::span<std::uint8_t> frame);

}  // namespace vswitch::tunnel
