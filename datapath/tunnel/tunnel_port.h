// SPDX-License-Identifier: Apache-2.0
// A tunnel port: frames sent to it go to the endpoint, and frames from the endpoint are received.
#pragma once

#include <memory>
#include <span>

#include "datapath/port/port.h"
#include "datapath/tunnel/tunnel_endpoint.h"

namespace vswitch {

/// Opens a tunnel port for SenderId 0 .. senders-1. `not_to`: local addresses of tunnels that are otherwise
/// the same; packets to these addresses belong to those tunnels. Throws std::system_error if a raw socket
/// cannot be opened or configured.
std::unique_ptr<Port> open_tunnel_port(std::shared_ptr<tunnel::TunnelEndpoint> endpoint, std::size_t senders,
                                       std::span<const IpAddress> not_to = {});

}  // namespace vswitch
