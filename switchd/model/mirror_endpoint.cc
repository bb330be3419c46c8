// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/mirror_endpoint.h"

#include <array>

namespace vswitch::model {
namespace {

using E = MirrorEndpoint;

constexpr std::array kEndpointColumns = {
    plain<&E::ip>("remote_ip", "ip", Effect::settings),
    plain<&E::encap>("encap", "encap", Effect::settings),
    plain<&E::local_ip>("local_ip", "local_ip", Effect::settings),
    plain<&E::key>("key", "key", Effect::settings),
    plain<&E::dst_port>("dst_port", "dst_port", Effect::settings),
    plain<&E::session_id>("session_id", "session_id", Effect::settings),
    plain<&E::index>("index", "index", Effect::settings),
    plain<&E::cos>("cos", "cos", Effect::settings),
    plain<&E::hwid>("hwid", "hwid", Effect::settings),
    plain<&E::timestamp>("timestamp", "timestamp", Effect::settings),
    plain<&E::subheader>("subheader", "subheader", Effect::settings),
    plain<&E::ttl>("ttl", "ttl", Effect::settings),
    plain<&E::inherit_ttl>("inherit_ttl", "inherit_ttl", Effect::settings),
    plain<&E::dscp>("dscp", "dscp", Effect::settings),
    plain<&E::inherit_dscp>("inherit_dscp", "inherit_dscp", Effect::settings),
    plain<&E::dont_fragment>("dont_fragment", "dont_fragment", Effect::settings),
};

}  // namespace

Columns<MirrorEndpoint> mirror_endpoint_columns() {
  return kEndpointColumns;
}

MirrorEndpoint read_mirror_endpoint(const ovsdb::Row& row) {
  MirrorEndpoint endpoint;
  read_columns(mirror_endpoint_columns(), row, endpoint);
  return endpoint;
}

}  // namespace vswitch::model
