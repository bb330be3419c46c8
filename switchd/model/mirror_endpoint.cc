// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/mirror_endpoint.h"

#include <array>

namespace vswitch::model {
namespace {

using M = MirrorEndpoint;

constexpr std::array kColumns = {
    plain<&M::ip>("remote_ip", "ip", Effect::settings),
    plain<&M::encap>("encap", "encap", Effect::settings),
    plain<&M::local_ip>("local_ip", "local_ip", Effect::settings),
    plain<&M::key>("key", "key", Effect::settings),
    plain<&M::dst_port>("dst_port", "dst_port", Effect::settings),
    plain<&M::session_id>("session_id", "session_id", Effect::settings),
    plain<&M::index>("index", "index", Effect::settings),
    plain<&M::cos>("cos", "cos", Effect::settings),
    plain<&M::hwid>("hwid", "hwid", Effect::settings),
    plain<&M::timestamp>("timestamp", "timestamp", Effect::settings),
    plain<&M::subheader>("subheader", "subheader", Effect::settings),
    plain<&M::ttl>("ttl", "ttl", Effect::settings),
    plain<&M::dscp>("dscp", "dscp", Effect::settings),
    plain<&M::dont_fragment>("dont_fragment", "dont_fragment", Effect::settings),
};

}  // namespace

Columns<MirrorEndpoint> mirror_endpoint_columns() {
  return kColumns;
}

MirrorEndpoint read_mirror_endpoint(const ovsdb::Row& row) {
  MirrorEndpoint endpoint;
  read_columns(mirror_endpoint_columns(), row, endpoint);
  return endpoint;
}

}  // namespace vswitch::model
