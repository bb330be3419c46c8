// SPDX-License-Identifier: Apache-2.0
// A port at the end of a tunnel: what is sent to it goes to the endpoint, what comes from there is received.
#pragma once

#include <memory>
#include <span>

#include "datapath/port/port.h"
#include "datapath/tunnel/tunnel_endpoint.h"

namespace vswitch {

/// Throws std::system_error: no raw socket to be had.
/// `not_to`: addresses of this host at which a tunnel that is otherwise the same has its end; what comes
/// there is for that one.
std::unique_ptr<Port> open_tunnel_port(std::shared_ptr<tunnel::TunnelEndpoint> endpoint, std::size_t senders,
                                       std::span<const IpAddress> not_to = {});

}  // namespace vswitch
