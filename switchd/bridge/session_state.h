// SPDX-License-Identifier: Apache-2.0
// Decides which sessions the datapath gets and which state each one has, before anything is compiled.
//
// The datapath only knows sessions that copy and sessions that do not. Everything that depends on the wall
// clock, on rows that ask for the impossible, and on what a session did before is decided here, once per
// change. The result is both the spec that is compiled and the state that is reported.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "datapath/snapshot/spec.h"
#include "switchd/bridge/recorder.h"

namespace vswitch::bridge {

/// A source by description instead of name.
struct PatternSpec {
  std::string text;                ///< for display, such as "glob:vnet*"
  std::vector<std::string> ports;  ///< the ports it matches at present; they are among SessionSpec::sources

  bool operator==(const PatternSpec&) const = default;
};

/// A session as its row describes it: what the datapath would do, and what decides whether it does.
struct DesiredSession : SessionSpec {
  std::vector<PatternSpec> patterns;
  bool wants_capture = false;  ///< SessionSpec::capture is to be its program
  RecordSpec record = {};      ///< if it has bytes, SessionSpec::capture is to be its recorder
  /// When it ends, ms since 1970. Only compared: an end that has passed counts until the end is changed.
  std::optional<std::int64_t> ends_at;
  std::string expired;  ///< not empty: it has ended; why, as a sentence
  std::string refusal;  ///< not empty: why a setting cannot be honoured, as a sentence
  std::string notice;   ///< not empty: a setting that has no effect beside others, as a sentence

  bool operator==(const DesiredSession&) const = default;
};

enum class SessionState : std::uint8_t { active, degraded, waiting, disabled, expired, error };
std::string_view name(SessionState state);

struct SessionStatus {
  std::string id;
  SessionState state = SessionState::active;
  std::string reason;                         ///< empty if active or disabled
  std::optional<std::int64_t> ended_at = {};  ///< ms since 1970: it has ended, which must be recorded
  std::string bridge = {};
  std::string name = {};
  std::string notice = {};  ///< DesiredSession::notice, and conflicts with other sessions

  bool operator==(const SessionStatus&) const = default;
};

/// The bridge of each port, by the name of the port.
using PlaceOfPorts = std::unordered_map<std::string, std::string>;

/// Remembers the last valid configuration of each session, and whether it has ended.
class SessionStates {
 public:
  /// SnapshotRegistry::is_used_up().
  using IsUsedUp = std::function<bool(const std::string& id, const QuotaSpec& quota, std::uint64_t life)>;
  explicit SessionStates(IsUsedUp is_used_up) : is_used_up_(std::move(is_used_up)) {}

  /// `asked[b]` are the sessions that rows configure on spec.bridges[b], whose ports are complete; `now_ms`
  /// is the wall clock, ms since 1970. Fills in the sessions of the spec, in the order in which they are
  /// tried, and fills in copy_vlans. Returns the state of every session.
  std::vector<SessionStatus> decide(const std::vector<std::vector<DesiredSession>>& asked,
                                    std::int64_t now_ms, SwitchSpec& spec);

 private:
  struct End {
    std::optional<std::int64_t> at;  ///< DesiredSession::ends_at
    std::string reason;
  };
  struct Known {
    /// Its last valid configuration, which stays in effect while the present one cannot be honoured.
    std::optional<SessionSpec> last_honoured;
    std::optional<End> end;  ///< set if it has ended
    std::uint64_t life = 0;  ///< SessionSpec::life
    bool used = false;
  };

  SessionStatus decide_one(const DesiredSession& asked, const std::set<std::string>& connected,
                           const PlaceOfPorts& places, std::int64_t now_ms, BridgeSpec& bridge);
  void update_end(Known& known, const DesiredSession& session, std::int64_t now_ms) const;

  const IsUsedUp is_used_up_;
  std::map<std::string, Known> known_;  ///< by id
};

}  // namespace vswitch::bridge
