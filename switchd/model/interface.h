// SPDX-License-Identifier: Apache-2.0
// A row of Interface: what it asks for.
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
  std::string type;  ///< "" is system
  std::map<std::string, std::string> options;
  std::optional<std::string> mac;  ///< of a device that the switch makes
  std::optional<std::int64_t> mtu_request;
  std::optional<std::int64_t> ofport_request;
  std::optional<std::int64_t> ofport;  ///< the switch's own: the number that the port had last
};

Columns<Interface> interface_columns();

Interface read_interface(const ovsdb::Row& row);

}  // namespace vswitch::model
