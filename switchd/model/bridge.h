// SPDX-License-Identifier: Apache-2.0
// The settings of a Bridge row and of the single Open_vSwitch row.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "switchd/model/column.h"

namespace vswitch::model {

struct Bridge {
  ovsdb::Uuid uuid;
  std::string name;
  std::vector<ovsdb::Uuid> ports;
  std::vector<ovsdb::Uuid> mirrors;
  std::optional<std::string> fail_mode;  ///< standalone, secure
  std::set<std::int64_t> flood_vlans;
  // Requested, but not supported.
  bool stp_enable = false;
  bool rstp_enable = false;
  bool mcast_snooping_enable = false;
  // Rows that are stored, and named in Bridge.status because nothing reads them yet.
  std::vector<ovsdb::Uuid> controller, netflow, sflow, ipfix, auto_attach, flow_tables;
  std::set<std::string> protocols;  ///< versions of OpenFlow
  std::map<std::string, std::string> other_config;

  /// Keys of other_config, with the defaults and limits of Open vSwitch (ovs-vswitchd.conf.db(5)): a value
  /// that is not a number is ignored, and a number out of range becomes the nearest allowed one.
  std::int64_t mac_aging_seconds() const;
  std::int64_t mac_table_size() const;
  bool forward_bpdu() const;
};

/// The row of Open_vSwitch.
struct Root {
  ovsdb::Uuid uuid;
  std::vector<ovsdb::Uuid> bridges;
  std::int64_t next_cfg = 0;
  std::map<std::string, std::string> other_config;  ///< read by datapath_settings.h, among others
};

Columns<Bridge> bridge_columns();
Columns<Root> root_columns();

Bridge read_bridge(const ovsdb::Row& row);
Root read_root(const ovsdb::Row& row);

}  // namespace vswitch::model
