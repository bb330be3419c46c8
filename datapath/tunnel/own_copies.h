// SPDX-License-Identifier: Apache-2.0
// Recognizes copies that are on their way to an endpoint, and errors of ICMP about them, when they come by as
// production traffic. Mirrored into a tunnel again, each would make another, for ever.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "datapath/tunnel/endpoint.h"

namespace vswitch {

class OwnCopies {
 public:
  void add(const EndpointSettings& endpoint);
  void finish();  ///< after the last add()

  /// `payload` starts with an EtherType, as Frame::payload does.
  bool contains(std::span<const std::uint8_t> payload) const;

 private:
  struct Tunnel {
    IpAddress remote;
    std::uint16_t udp_port = 0;  ///< 0: GRE
    auto operator<=>(const Tunnel&) const = default;
  };
  std::vector<Tunnel> tunnels_;  ///< sorted
};

}  // namespace vswitch
