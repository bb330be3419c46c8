// SPDX-License-Identifier: Apache-2.0
// A mirror session as the API has it, between JSON and rows.
//
// Ports are named: the durable columns source_ports and destination_ports hold names, so that a session waits
// for a port that left and works again when it is back. What OVSDB clients wrote into the weak references
// select_src_port, select_dst_port and output_port is read as well (the union counts), and replaced by names
// when the API changes it.
//
// VLANs without ports mean those VLANs on every port. Open vSwitch selects nothing by select_vlan alone, so
// the row then says select_all too; read back, it is VLANs without ports again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "switchd/api/rows.h"
#include "switchd/db/transaction.h"

namespace vswitch::api {

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
  std::optional<std::int64_t> output_vlan;  ///< RSPAN: the copies are put into it
  bool keep_vlan = false;                   ///< with output_vlan: the tag that was there stays, behind it
  bool strip_vlan = false;                  ///< the outer tag is taken off
  std::set<Json> endpoints;                 ///< as in api/endpoint.h
  std::optional<std::string> mtu_policy;    ///< cut, fragment, drop; empty: cut
  std::optional<std::string> superframes;   ///< keep, cut; empty: by destination
  std::optional<std::int64_t> snaplen;      ///< bytes; empty: whole frames
  std::int64_t sample = 1;
  std::set<std::string> filter;  ///< matches, one of which a frame has to fit; empty: every frame
  std::set<std::string> skip;    ///< matches, none of which it may fit
  std::optional<std::int64_t> rate_packets, rate_bits;  ///< per second
  std::optional<std::int64_t> expires_at;               ///< ms since 1970
  std::optional<std::int64_t> expires_packets, expires_bytes;
  bool expires_with_connection = false;

  bool operator==(const MirrorSettings&) const = default;
  bool names_ports() const { return !source_ports.empty() || !source_patterns.empty(); }
  bool selects_nothing() const { return !names_ports() && vlans.empty() && !all; }
  /// VLANs of every port: the end of an RSPAN VLAN, if it sends to ports.
  bool only_vlans() const { return !names_ports() && !vlans.empty() && !all; }
  /// The port carries nothing but copies, being a destination.
  bool reserves(const std::string& port) const {
    return !normal_io && !output_vlan && destination_ports.contains(port);
  }
};

/// A source of the API and its column: {"glob": "vnet*"} and "glob:vnet*".
Json source_json(const std::string& pattern, const std::string& direction);

MirrorSettings read_session(const Database& database, const Row& mirror);

/// The members given in checked params replace those of the session, destination as a whole. Of sources,
/// ports and all are one setting (which ports), vlans another.
void apply(MirrorSettings& session, const Json& params);

/// Throws which match of filter or skip in checked params is none.
void check_matches(const Json& params);

/// Throws why the session cannot be on this bridge: it is incomplete, contradicts itself, names ports of
/// another bridge, or gets in the way of another session. `self` is its row when it exists already.
void check_session(const Database& database, const Row& bridge, const MirrorSettings& session,
                   const std::optional<ovsdb::Uuid>& self);
/// Its parts: the session for itself, and in the way of one other (only those that live are in anybody's
/// way).
void check_alone(const Database& database, const Row& bridge, const MirrorSettings& session);
void check_beside(const MirrorSettings& session, const MirrorSettings& other);

/// Writes the columns that the members of params stand for.
void write_session(ovsdb::Transaction& transaction, const Database& database, const ovsdb::Uuid& mirror,
                   const MirrorSettings& session, const Json& params);

}  // namespace vswitch::api
