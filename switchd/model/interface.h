// SPDX-License-Identifier: Apache-2.0
// The settings of an Interface row.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "switchd/model/column.h"

namespace vswitch::model {

struct Interface {
  ovsdb::Uuid uuid;
  std::string name;
  std::string type;  ///< "" means system
  std::map<std::string, std::string> options;
  std::optional<std::string> mac;  ///< of a device that the switch creates
  std::optional<std::int64_t> mtu_request;
  std::optional<std::int64_t> ofport_request;
  // Requested, but not supported.
  std::int64_t ingress_policing_rate = 0;        ///< kbit/s; 0 = no limit
  std::int64_t ingress_policing_kpkts_rate = 0;  ///< thousands of packets/s; 0 = no limit
  std::map<std::string, std::string> bfd, lldp, other_config;
  std::optional<std::int64_t> cfm_mpid;
  std::optional<std::int64_t> ofport;  ///< written by the switch: the last number of the port
};

Columns<Interface> interface_columns();

Interface read_interface(const ovsdb::Row& row);

}  // namespace vswitch::model
