// SPDX-License-Identifier: Apache-2.0
// The ends of tunnels as rows describe them: Mirror_Endpoint, and Interface of type gre, erspan, vxlan or geneve.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "datapath/mirror/copy_shape.h"
#include "datapath/tunnel/tunnel_endpoint.h"
#include "switchd/model/interface.h"
#include "switchd/model/mirror_endpoint.h"

namespace vswitch::model {

struct DesiredEndpoint {
  ovsdb::Uuid row;    ///< Mirror_Endpoint or Interface
  std::string label;  ///< for display: "10.0.0.1 (erspan2)"
  tunnel::TunnelEndpointSettings settings;
  std::string refusal;  ///< not empty: why there is no such endpoint, as a sentence

  bool operator==(const DesiredEndpoint&) const = default;
};

/// `policy` is that of the session: it says whether packets may be fragmented if the endpoint does not. `row`
/// is the row of the endpoint.
DesiredEndpoint tunnel_of(const ovsdb::Uuid& row, const MirrorEndpoint& endpoint, MtuPolicy policy);

/// Gives the members that have no field in this encapsulation their defaults.
void drop_fields_foreign_to(std::string_view encap, MirrorEndpoint& endpoint);

/// "gre", "erspan", "vxlan", "geneve", and for IPv6 "ip6gre", "ip6erspan", which are the same here.
bool is_tunnel_type(std::string_view type);
/// What distinguishes the packets of one tunnel from those of another. ERSPAN packets of every type are
/// received.
struct TunnelEnds {
  tunnel::Encap kind = tunnel::Encap::gre;
  IpAddress remote;
  std::optional<IpAddress> local;  ///< nullopt: any
  std::uint32_t key = 0;           ///< 0 without a key
  std::uint16_t dst_port = 0;

  auto operator<=>(const TunnelEnds&) const = default;
};
TunnelEnds ends_of(const tunnel::TunnelEndpointSettings& settings);

/// Options as in ovs-vswitchd.conf.db(5), table Interface, "Tunnel Options". Options that need OpenFlow
/// ("flow") and unknown options are refused.
DesiredEndpoint tunnel_of(const Interface& interface);

}  // namespace vswitch::model
