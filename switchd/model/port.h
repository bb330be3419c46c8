// SPDX-License-Identifier: Apache-2.0
// The settings of a Port row.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "switchd/model/column.h"

namespace vswitch::model {

struct Port {
  ovsdb::Uuid uuid;
  std::string name;
  std::vector<ovsdb::Uuid> interfaces;
  std::optional<std::string> vlan_mode;  ///< access, trunk, ...; empty: by tag
  std::optional<std::int64_t> tag;
  std::set<std::int64_t> trunks;  ///< empty: all VLANs
  std::set<std::int64_t> cvlans;  ///< empty: all VLANs
  bool is_protected = false;
  // Requested, but not supported.
  std::vector<ovsdb::Uuid> qos;
  std::optional<std::string> lacp, mac;
  std::map<std::string, std::string> other_config;

  /// other_config:priority-tags: never, if-nonzero or always. The older values false and true are accepted
  /// too.
  std::string priority_tags() const;
  /// other_config:qinq-ethtype: 802.1ad or 802.1q.
  std::string qinq_ethtype() const;
  /// other_config:transient: it belongs to something that does not outlive the host, such as a VM.
  bool transient() const;
  void set_transient(bool value);
  void set_priority_tags(const std::string& value);
  void set_qinq_ethtype(const std::string& value);
};

Columns<Port> port_columns();

Port read_port(const ovsdb::Row& row);

}  // namespace vswitch::model
