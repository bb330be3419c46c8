// SPDX-License-Identifier: Apache-2.0
// Converts a VMwareVspanSession of vSphere's Web Services API to a session of ours, and back. Both are JSON
// or plain values; nothing is looked up or changed here.
//
// Anything that our session cannot represent (the key, the network stack, which fields were given at their
// defaults, vSphere's names of the ports) is kept beside it as external_ids "vsphere-...", so that an
// imported session is exported unchanged. A kept value counts as long as the session has not been changed
// into something else: a session is exported only if importing the result gives exactly the same session.
//
// The five session types differ only in which sources and destinations they allow.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schemas/json.h"
#include "switchd/model/mirror.h"

namespace vswitch::vsphere {

/// External ids of a Mirror that start with kKeptPrefix, prefix included.
using Kept = std::map<std::string, std::string>;
inline constexpr std::string_view kKeptPrefix = "vsphere-";
/// The keys under which the name of a port is kept, as port key or as uplink.
std::string port_id(const std::string& port);
std::string uplink_id(const std::string& port);

inline constexpr std::int64_t kShortestCopy = 60;  ///< mirroredPacketLength

/// vSphere's names of the ports. A port key or uplink that is not listed is the port of that name.
struct PortNames {
  std::map<std::string, std::string> by_key;     ///< portKey -> port
  std::map<std::string, std::string> by_uplink;  ///< uplinkPortName -> port
};

/// The reverse. A port is in at most one of the two.
struct PortLabels {
  std::map<std::string, std::string> keys;     ///< port -> portKey
  std::map<std::string, std::string> uplinks;  ///< port -> uplinkPortName

  void call(const std::string& port, const std::string& key);
  void call_uplink(const std::string& port, const std::string& name);
};

/// A field that has no effect here, and why.
struct Warning {
  std::string field;
  std::string sentence;
};

struct Imported {
  Json params;  ///< of mirror.add, complete except for the bridge
  Kept kept;
  std::vector<Warning> warnings;
};

/// `session` is a VspanSession of the contract. `name` is for a session without one. Throws jsonrpc::Error,
/// with a field of the session, if it is not a vSphere session or cannot be expressed here.
Imported import_session(const Json& session, const PortNames& names, const std::string& name);

/// The session that mirror.add makes from these params.
model::MirrorSettings session_of(const Json& params);

/// The result has no key. Throws jsonrpc::Error that says what vSphere cannot represent. `labels` hold what
/// is known besides `kept`, which takes precedence.
Json export_session(const model::MirrorSettings& session, const Kept& kept, PortLabels labels);

/// A session among others on one switch, for the rules of vSphere.
struct Neighbour {
  std::string key;
  const model::MirrorSettings* session;
  const Kept* kept;
};
/// Checks what vSphere refuses of a single session and we do not; the name of vSphere's fault is in
/// data.fault.
void check_strictly(const Json& session);
/// Checks vSphere's conflict rules: between the ports of one session (if given twice), or of two.
void check_strictly(const Neighbour& one, const Neighbour& other);

}  // namespace vswitch::vsphere
