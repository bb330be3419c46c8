// SPDX-License-Identifier: Apache-2.0
// Recognizes copies on their way to an endpoint, and ICMP errors about them, among production traffic. If
// they were mirrored into a tunnel again, each would produce another one, forever.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "datapath/tunnel/tunnel_endpoint.h"

namespace vswitch::tunnel {

class OwnCopies {
 public:
  /// `source`: the source address of its packets, if known.
  void add(const TunnelEndpointSettings& endpoint, const std::optional<IpAddress>& source);
  void add(const OwnCopies& others);
  void finish();  ///< after the last add()

  /// Whether a frame is such a copy or error. `payload` starts with an EtherType, as Frame::payload does.
  bool contains(std::span<const std::uint8_t> payload) const;

 private:
  struct Tunnel {
    IpAddress remote;
    std::uint16_t udp_port = 0;  ///< 0: GRE
    std::optional<IpAddress> source;
    auto operator<=>(const Tunnel&) const = default;
  };
  std::vector<Tunnel> tunnels_;  ///< sorted
};

}  // namespace vswitch::tunnel
