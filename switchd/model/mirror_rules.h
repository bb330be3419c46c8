// SPDX-License-Identifier: Apache-2.0
// Invalid settings: sessions that are incomplete or contradict themselves, and pairs of sessions that
// conflict. The session API refuses such a change. Rows of OVSDB clients may break the rules, as in Open
// vSwitch: the state of such sessions has a notice with the same sentence (switchd/bridge/session_state.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "datapath/snapshot/spec.h"
#include "schemas/json.h"
#include "switchd/db/database.h"
#include "switchd/model/mirror.h"

namespace vswitch::model {

using vswitch::kMaxSessions;

struct Problem {
  enum class Kind : std::uint8_t { invalid, conflict };
  Kind kind = Kind::invalid;
  std::string field;  ///< the setting, by its name in the session API: "destination.ports"
  Json value;         ///< the offending value
  std::string sentence;
};

/// What is wrong with a session on this bridge, regardless of other sessions: it is incomplete, contradicts
/// itself, or names ports of another bridge. `bridge` is a row of Bridge.
std::optional<Problem> problem_alone(const ovsdb::Database& database, const ovsdb::Row& bridge,
                                     const MirrorSettings& session);
/// The same for a switch that need not exist yet. `bridge_of` returns the bridge of a port, "" if there is no
/// such port, and "(none)" for a port without a bridge.
std::optional<Problem> problem_alone(const std::string& bridge, const MirrorSettings& session,
                                     const std::function<std::string(const std::string& port)>& bridge_of);

/// Why there is no room for what the session records, beside the recorders of all other sessions, which have `others`
/// bytes.
std::optional<Problem> problem_of_recorder(const MirrorSettings& session, std::int64_t others);

/// Why `session` conflicts with another session on the bridge. A session that is disabled or has ended at
/// `now_ms` (ms since 1970) conflicts with nothing. The field is one of `session`.
std::optional<Problem> problem_beside(const MirrorSettings& session, const MirrorSettings& other,
                                      std::int64_t now_ms);

/// Why two sessions conflict, as a sentence. `copies_only` is the one that lets the port carry only copies;
/// the other is `normal_io`, to the same destination, or `source`, with the port as source `from`.
std::string two_uses_of_port(const std::string& port, const std::string& copies_only,
                             const std::string& normal_io);
std::string no_frame_from_port(const std::string& port, const std::string& copies_only,
                               const std::string& source);

}  // namespace vswitch::model
