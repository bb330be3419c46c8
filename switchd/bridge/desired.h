// SPDX-License-Identifier: Apache-2.0
// The configuration in the rows of the database, as plain values. Pure: reads committed rows, touches nothing
// else.
//
// The spec is complete except for devices and endpoints, which the switch fills in. If a row asks for
// something that the switch does not support, the reason is kept here, so that it can be written back to
// where the user looks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "datapath/snapshot/spec.h"
#include "schemas/ovsdb/uuid.h"
#include "switchd/bridge/session_state.h"
#include "switchd/model/tunnel_settings.h"

namespace vswitch::ovsdb {
struct Changes;
class Database;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

using model::DesiredEndpoint;

enum class InterfaceType : std::uint8_t { system, internal, patch, tunnel };
/// A network device has the name of the interface.
constexpr bool has_device(InterfaceType type) {
  return type == InterfaceType::system || type == InterfaceType::internal;
}

/// Columns that ask for something that the switch does not support, and what it does instead, as a sentence.
using Unsupported = std::map<std::string, std::string>;

/// One Interface row. Its name is also the name of the device and of the port in the datapath.
struct DesiredInterface {
  ovsdb::Uuid row;
  ovsdb::Uuid port_row;
  std::string name;
  InterfaceType type = InterfaceType::system;
  std::optional<MacAddr> mac;  ///< requested, for an internal port
  MacAddr default_mac = {};    ///< of a device that the switch makes
  /// It has the smallest MTU of the ports of the bridge that do not follow, unless `mtu_request` is set.
  bool follows_mtu = false;
  std::optional<std::uint32_t> mtu_request;
  std::optional<std::int64_t> ofport_request;
  std::string refusal;                    ///< not empty: why it cannot be a port, as a sentence
  std::string peer;                       ///< of a patch port: the interface at its other end
  std::optional<DesiredEndpoint> tunnel;  ///< of a tunnel port
  std::vector<IpAddress> not_to =
      {};                        ///< of a tunnel without local_ip: the local_ip of others to the same end
  bool is_port = false;          ///< it has a port number
  std::string trouble;           ///< not empty: it is a port, but carries nothing; why, as a sentence
  Unsupported unsupported = {};  ///< columns of the interface
  Unsupported unsupported_of_port = {};  ///< columns of its Port row

  bool operator==(const DesiredInterface&) const = default;
};

struct DesiredBridge {
  ovsdb::Uuid row;
  std::vector<DesiredInterface> interfaces;             ///< interfaces[i] belongs to spec.ports[i]
  std::vector<std::vector<DesiredEndpoint>> endpoints;  ///< endpoints[i] belongs to sessions[i]
  std::vector<DesiredSession> sessions;
  Unsupported unsupported;
  BridgeSpec spec;  ///< without sessions: session_state.h decides later which of them it gets

  bool operator==(const DesiredBridge&) const = default;
};

struct Desired {
  std::optional<ovsdb::Uuid> root;  ///< the Open_vSwitch row
  std::int64_t next_cfg = 0;
  std::vector<DesiredBridge> bridges;    ///< by name
  std::int64_t now_ms = 0;               ///< the time it was read for, ms since 1970
  std::optional<std::int64_t> next_end;  ///< when the next session ends, ms since 1970
  bool reads_interface_ids = false;      ///< sources are identified by Interface.external_ids

  bool operator==(const Desired&) const = default;
};

/// `now_ms`: the wall clock, ms since 1970; sessions that end by then are expired.
Desired read_desired(const ovsdb::Database& database, std::int64_t now_ms);

/// What a commit means to the switch.
enum class Concern : std::uint8_t {
  nothing,   ///< read_desired() returns the same as before
  next_cfg,  ///< only next_cfg has changed: a client is waiting for cur_cfg
  settings,
};
/// `reads_interface_ids`: from the last read_desired(). Many clients write external_ids, but few sessions use
/// them.
Concern concern_of(const ovsdb::Changes& changes, bool reads_interface_ids);

}  // namespace vswitch::bridge
