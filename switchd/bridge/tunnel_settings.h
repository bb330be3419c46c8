// SPDX-License-Identifier: Apache-2.0
// The ends of tunnels as rows ask for them: Mirror_Endpoint, and Interface of type gre, erspan or vxlan.
#pragma once

#include <string>
#include <string_view>

#include "datapath/snapshot/copy_shape.h"
#include "datapath/tunnel/endpoint.h"
#include "switchd/db/row.h"

namespace vswitch {

struct DesiredEndpoint {
  ovsdb::Uuid row;    ///< Mirror_Endpoint or Interface
  std::string label;  ///< for people: "10.0.0.1 (erspan2)"
  EndpointSettings settings;
  std::string refusal;  ///< not empty: there is no such endpoint, as a sentence
};

/// `policy`, the session's, says whether packets may be fragmented where the row does not.
DesiredEndpoint read_endpoint(const ovsdb::Row& row, MtuPolicy policy);

/// "gre", "erspan", "vxlan", and for IPv6 "ip6gre", "ip6erspan", which are the same here.
bool is_tunnel_type(std::string_view type);
/// Two tunnels that would both take every packet from the other end. Of ERSPAN every type is received.
bool same_ends(const EndpointSettings& a, const EndpointSettings& b);

/// Options as in ovs-vswitchd.conf.db(5), table Interface, "Tunnel Options". Those that need OpenFlow
/// ("flow") are refused, and so is what is not known.
DesiredEndpoint read_tunnel(const ovsdb::Row& interface);

}  // namespace vswitch
