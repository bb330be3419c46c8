// SPDX-License-Identifier: Apache-2.0
// A VMwareVspanSession of vSphere's Web Services API as a session of ours, and back. Both are JSON or plain
// values; nothing is looked up and nothing is changed here.
//
// What our session has no place for (the key, the network stack, which fields were given at their defaults,
// what vSphere calls the ports) is kept beside it as external_ids "vsphere-...", so that what was imported is
// exported as it was. A kept value counts as long as the session has not been changed into something else:
// an export that would not be imported as the very same session is not made.
//
// The five session types differ in what may be their source and destination, and nothing else.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schemas/json.h"
#include "switchd/model/mirror.h"

namespace vswitch::vsphere {

/// External ids of a Mirror that start with kKeptPrefix, with it.
using Kept = std::map<std::string, std::string>;
inline constexpr std::string_view kKeptPrefix = "vsphere-";
/// Those under which stands what a port was called, as port key or as uplink.
std::string port_id(const std::string& port);
std::string uplink_id(const std::string& port);

inline constexpr std::int64_t kShortestCopy = 60;  ///< mirroredPacketLength

/// What vSphere calls the ports. A port key or uplink that is not in it is the port of that name.
struct PortNames {
  std::map<std::string, std::string> by_key;     ///< portKey -> port
  std::map<std::string, std::string> by_uplink;  ///< uplinkPortName -> port
};

/// The other way round. A port is in one of the two at most.
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
  Json params;  ///< of mirror.add, complete but for the bridge
  Kept kept;
  std::vector<Warning> warnings;
};

/// `session` is as the contract has VspanSession. `name` is for a session without one. Throws jsonrpc::Error,
/// with a field of the session, for what is no session of vSphere or cannot be expressed here.
Imported import_session(const Json& session, const PortNames& names, const std::string& name);

/// The session that mirror.add makes of these params.
model::MirrorSettings session_of(const Json& params);

/// Without a key. Throws jsonrpc::Error that says what vSphere has no place for. `labels` hold what is known
/// beside `kept`, which wins.
Json export_session(const model::MirrorSettings& session, const Kept& kept, PortLabels labels);

/// A session beside others on one switch, for the rules of vSphere.
struct Neighbour {
  std::string key;
  const model::MirrorSettings* session;
  const Kept* kept;
};
/// What vSphere refuses of a session alone and we do not, by its names of faults in data.fault.
void check_strictly(const Json& session);
/// Its conflict rules: between the ports of one session (the same one twice), or of two.
void check_strictly(const Neighbour& one, const Neighbour& other);

}  // namespace vswitch::vsphere
