// SPDX-License-Identifier: Apache-2.0
// A row of Mirror_Endpoint: a tunnel destination for copies of a session.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "switchd/model/column.h"

namespace vswitch::model {

/// nullopt: not set. The columns are in the order of their members in the session API; endpoints are sorted
/// by them.
struct MirrorEndpoint {
  std::optional<std::int64_t> cos;
  std::optional<bool> dont_fragment;
  std::optional<std::int64_t> dscp;
  std::optional<std::int64_t> dst_port;
  std::optional<std::string> encap;
  std::optional<std::int64_t> hwid;
  std::optional<std::int64_t> index;
  bool inherit_dscp = false;
  bool inherit_ttl = false;
  std::optional<std::string> ip;
  std::optional<std::int64_t> key;
  std::optional<std::string> local_ip;
  std::optional<std::int64_t> session_id;
  bool subheader = false;
  std::optional<std::string> timestamp;
  std::optional<std::int64_t> ttl;

  auto operator<=>(const MirrorEndpoint&) const = default;
};

Columns<MirrorEndpoint> mirror_endpoint_columns();

MirrorEndpoint read_mirror_endpoint(const ovsdb::Row& row);

}  // namespace vswitch::model
