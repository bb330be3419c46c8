// SPDX-License-Identifier: Apache-2.0
// A mirror session: a row of Mirror as the session API and the switch read it.
//
// Ports are named: the durable columns source_ports and destination_ports hold names, so that a session waits
// for a port that has disappeared and works again when it returns. References that OVSDB clients wrote into
// the weak columns select_src_port, select_dst_port and output_port are read as well (the union counts); the
// session API replaces them by names when it changes them.
//
// VLANs without ports mean those VLANs on every port. Open vSwitch selects nothing by select_vlan alone, so
// the row also sets select_all; when it is read back, it means VLANs without ports again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "switchd/base/limits.h"
#include "switchd/db/database.h"
#include "switchd/model/column.h"
#include "switchd/model/mirror_endpoint.h"

namespace vswitch::model {

struct MirrorSettings {
  std::string name;
  std::string description;
  bool enabled = true;
  std::map<std::string, std::string> source_ports;     ///< name -> from, to, both
  std::map<std::string, std::string> source_patterns;  ///< "glob:vnet*" -> from, to, both
  std::set<std::int64_t> vlans;
  bool all = false;
  std::set<std::string> destination_ports;
  bool normal_io = false;
  std::optional<std::int64_t> output_vlan;  ///< RSPAN: copies are sent into this VLAN
  bool keep_vlan = false;                   ///< with output_vlan: the original tag stays, as the inner tag
  bool strip_vlan = false;                  ///< the outer tag is removed
  std::set<MirrorEndpoint> endpoints;
  bool capture = false;  ///< a program that has passed a socket with its request reads the copies
  /// A ring in memory keeps the last copies: so many bytes of it, or so many seconds of them, or both. Neither: none.
  std::optional<std::int64_t> record_bytes, record_seconds;
  std::optional<std::string> mtu_policy;   ///< cut, fragment, drop; empty: cut
  std::optional<std::string> superframes;  ///< keep, cut; empty: by destination
  std::optional<std::int64_t> snaplen;     ///< bytes; empty: whole frames
  std::int64_t sample = 1;
  std::set<std::string> filter;  ///< matches; a frame must fit at least one; empty: every frame
  std::set<std::string> skip;    ///< matches; a frame must fit none
  std::optional<std::int64_t> rate_packets, rate_bits;  ///< per second
  std::optional<std::int64_t> cpu_budget;               ///< percent of a processor
  std::optional<std::int64_t> expires_at;               ///< ms since 1970
  std::optional<std::int64_t> expires_packets, expires_bytes;
  bool expires_with_connection = false;

  bool operator==(const MirrorSettings&) const = default;
  bool names_ports() const { return !source_ports.empty() || !source_patterns.empty(); }
  bool records() const { return record_bytes || record_seconds; }
  /// Bytes of memory for what it records; 0 if it does not.
  std::int64_t record_memory() const { return records() ? record_bytes.value_or(limits::kRecorderBytes) : 0; }
  bool selects_nothing() const { return !names_ports() && vlans.empty() && !all; }
  /// VLANs of every port: the destination end of an RSPAN VLAN, if it sends to ports.
  bool only_vlans() const { return !names_ports() && !vlans.empty() && !all; }
  /// The port carries only copies, because it is a destination.
  bool reserves(const std::string& port) const {
    return !normal_io && !output_vlan && destination_ports.contains(port);
  }
  /// `now_ms`: ms since 1970.
  bool has_ended(std::int64_t now_ms) const { return expires_at && *expires_at <= now_ms; }
  bool is_alive(std::int64_t now_ms) const { return enabled && !has_ended(now_ms); }

  void add_source_port(const std::string& port, const std::string& direction);
  void add_source_pattern(const std::string& pattern, const std::string& direction);
};

/// A row: the settings, and its other contents.
struct Mirror : MirrorSettings {
  ovsdb::Uuid uuid;
  bool select_all = false;           ///< as stored; without it a session with only VLANs selects nothing
  bool ignores_output_vlan = false;  ///< the row has one, but a port as well
  std::vector<std::pair<ovsdb::Uuid, MirrorEndpoint>> endpoint_rows;  ///< in the order of the column
};

Columns<MirrorSettings> mirror_columns();

/// The name of a port that a row refers to. The two differ only if the user chose so, and for bonds.
enum class PortName : std::uint8_t {
  of_port,       ///< that of the Port row, for display
  of_interface,  ///< that of its interface, which the datapath uses
};
Mirror read_mirror(const ovsdb::Database& database, const ovsdb::Row& row,
                   PortName port_name = PortName::of_port);

/// Writes the columns that correspond to the members of `params`. Endpoint rows whose address does not change
/// are kept, with their counters, and if no setting changes with their sequence numbers.
void write_mirror(ovsdb::Transaction& transaction, const ovsdb::Uuid& mirror, const MirrorSettings& settings,
                  const Json& params);

}  // namespace vswitch::model
