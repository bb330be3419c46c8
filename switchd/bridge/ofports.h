// SPDX-License-Identifier: Apache-2.0
// OpenFlow port numbers: which number each interface gets. Decided before the settings are compiled, as Open
// vSwitch's iface_pick_ofport() runs before ofproto_port_add(), so that whatever refers to ports by number
// can rely on it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "schemas/ovsdb/uuid.h"
#include "switchd/bridge/attachments.h"
#include "switchd/bridge/desired.h"

namespace vswitch::ovsdb {
class Database;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

constexpr std::int64_t kNoOfport = -1;        ///< ovs-vsctl prints the column `error` of such an interface
constexpr std::int64_t kLocalOfport = 65534;  ///< OFPP_LOCAL in OpenFlow 1.0
constexpr std::int64_t kMaxOfport = 65279;    ///< the last one before those that OpenFlow 1.0 reserves

/// What a number is picked from.
struct OfportRequest {
  std::optional<std::int64_t> present;    ///< the number the interface has
  std::optional<std::int64_t> requested;  ///< Interface.ofport_request, 1 to kMaxOfport
  bool is_local = false;                  ///< it is the bridge's local port
  bool is_port = true;                    ///< false: it gets no number, but its old one stays reserved
};

/// Picks the numbers of one bridge's interfaces, in their order. Ports whose number satisfies their request
/// keep it; then requests are granted; a port whose request fails keeps its old number; the others get the
/// lowest free numbers. kNoOfport: it is not a port, or no number is free.
std::vector<std::int64_t> pick_ofports(std::span<const OfportRequest> interfaces);

/// By Interface row; nothing for an interface that is not attached.
using Ofports = std::map<ovsdb::Uuid, std::int64_t>;

/// Picks the numbers of all bridges, starting from the numbers in the rows. An interface that failed is not a
/// port, unless it is a port whose device has disappeared: it keeps its number, as in Open vSwitch.
Ofports pick_ofports(const Desired& desired, const Attachments& attachments, const ovsdb::Database& database);

}  // namespace vswitch::bridge
