// SPDX-License-Identifier: Apache-2.0
// The settings of a port, from its rows in Port and Interface, and how they are checked and written.
#pragma once

#include <map>
#include <string>

#include "schemas/json.h"
#include "switchd/api/rows.h"
#include "switchd/model/interface.h"
#include "switchd/model/port.h"

namespace vswitch::api {

struct PortSettings {
  model::Port port;
  model::Interface interface;
  std::map<std::string, std::string> external_ids;  ///< of the interface
};

PortSettings read_port_settings(const Row& port, const Row& interface);
/// From checked params of port.put, or the PortSettings of the contract; what is not given has its default.
PortSettings port_settings_from(const std::string& name, const Json& params);

/// Throws if the settings contradict each other.
void check_settings(const PortSettings& settings);
/// The parts of it: `port` has tag, trunks, vlan_mode and cvlans; options by the type.
void check_vlans(const Json& port);
void check_options(const model::Interface& interface);
/// Throws if there is another tunnel between the same ends.
void check_ends(const Database& database, const model::Interface& interface);

/// Inserts both rows; the caller adds the Port to a bridge, and then writes the settings.
struct PortRows {
  ovsdb::Uuid port, interface;
};
PortRows insert_port(ovsdb::Transaction& transaction, const std::string& name);
/// Writes every setting. What the session API does not have stays.
void write_settings(ovsdb::Transaction& transaction, const PortRows& rows, const PortSettings& settings);

}  // namespace vswitch::api
