// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/session_state.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "switchd/bridge/session_conflicts.h"

namespace vswitch::bridge {

namespace {

/// What the sessions of a bridge stand on.
struct Surroundings {
  const BridgeSpec& bridge;
  const std::set<std::string>& connected;  ///< patch ports whose peer points back
  const PlaceOfPorts& places;
};

/// Why copies cannot reach or leave a port at present.
struct Trouble {
  std::string sentence;   ///< empty: they can
  const char* many = "";  ///< the same of several ports, worded to follow "3 of 9 ports"; empty: it differs
};

Trouble source_trouble(const Surroundings& around, const std::string& name) {
  const PortSpec* port = find_port(around.bridge, name);
  if (port == nullptr) {
    const auto other = around.places.find(name);
    const std::string hint =
        other == around.places.end() ? "" : " (it is a port of bridge " + other->second + ")";
    return {"no port " + name + " on " + around.bridge.name + hint, "do not exist on the bridge"};
  }
  if (port->device == nullptr && !port->is_patch)
    return {"port " + name + " has no device", "have no device"};
  return {};
}

Trouble destination_trouble(const Surroundings& around, const std::string& name) {
  Trouble trouble = source_trouble(around, name);
  if (!trouble.sentence.empty()) return trouble;
  const PortSpec& port = *find_port(around.bridge, name);
  if (port.is_patch) {
    if (around.connected.contains(name)) return {};
    return {"patch port " + name + " has no peer that points back", "have no peer that points back"};
  }
  if (!port.tunnel_trouble.empty()) return {"port " + name + ": " + port.tunnel_trouble};
  if (!port.link_up) return {"port " + name + " is down", "are down"};
  return {};
}

/// Sentences for people. From kFew on, ports with one trouble share a sentence, or a session with thirty sources
/// that wait would fill a screen.
class Troubles {
 public:
  void add(std::string sentence) { sentences_.push_back(std::move(sentence)); }
  /// `ports`: how many the session has of this kind, source or destination.
  void add(const char* kind, const Trouble& trouble, const std::string& port, std::size_t ports) {
    const std::string prefix = std::string(kind) + ": ";
    if (trouble.many[0] == '\0') return add(prefix + trouble.sentence);
    auto& [of, places, names] = groups_[{kind, trouble.many}];
    of = ports;
    places.push_back(sentences_.size());
    names.push_back(port);
    add(prefix + trouble.sentence);
  }

  bool empty() const { return sentences_.empty(); }

  std::string text() {
    for (auto& [key, group] : groups_) {
      auto& [of, places, names] = group;
      if (names.size() <= kFew) continue;
      std::string& first = sentences_[places.front()];
      first = key.first + ": " + std::to_string(names.size()) + " of " + std::to_string(of) + " ports " +
              key.second + ": ";
      for (std::size_t i = 0; i < kFew; ++i) first += names[i] + ", ";
      first += "... (" + std::to_string(names.size() - kFew) + " more)";
      for (std::size_t i = 1; i < places.size(); ++i) sentences_[places[i]].clear();
    }
    std::string text;
    for (const std::string& sentence : sentences_) {
      if (!sentence.empty()) text += (text.empty() ? "" : "; ") + sentence;
    }
    return text;
  }

 private:
  static constexpr std::size_t kFew = 3;
  struct Group {
    std::size_t of = 0;
    std::vector<std::size_t> places;  ///< in sentences_
    std::vector<std::string> names;
  };

  std::vector<std::string> sentences_;
  std::map<std::pair<std::string, std::string>, Group> groups_;
};

/// State and reason of a session, from the problems of its sources and destinations.
SessionStatus evaluate(const Surroundings& around, const DesiredSession& session, const std::string& end) {
  const BridgeSpec& bridge = around.bridge;
  if (!session.refusal.empty()) return {session.id, SessionState::error, session.refusal};
  if (!session.enabled) return {session.id, SessionState::disabled, ""};
  if (!end.empty()) return {session.id, SessionState::expired, end};
  if (session.destinations.empty() && session.endpoints.empty() && !session.tags.output_vlan &&
      session.capture == nullptr)
    return {session.id, SessionState::error, "it has no destination"};
  Troubles troubles;
  std::size_t good_sources = session.all_ports ? 1 : 0;
  for (const SourceSpec& source : session.sources) {
    const Trouble trouble = source_trouble(around, source.port);
    const bool is_own_destination = std::find(session.destinations.begin(), session.destinations.end(),
                                              source.port) != session.destinations.end();
    if (!trouble.sentence.empty()) {
      troubles.add("source", trouble, source.port, session.sources.size());
    } else if (is_own_destination && reserves_destinations(session) && source.direction != Direction::to) {
      troubles.add("source: port " + source.port + " is also a destination that carries only copies");
    } else {
      ++good_sources;
    }
  }
  for (const PatternSpec& pattern : session.patterns) {
    if (pattern.ports.empty()) troubles.add("source: no port matches " + pattern.text);
  }
  std::size_t good_destinations = session.capture == nullptr ? 0 : 1;
  if (leaves_in_vlan(session)) {
    const VlanId vlan = *session.tags.output_vlan;
    good_destinations = static_cast<std::size_t>(
        std::count_if(bridge.ports.begin(), bridge.ports.end(), [&](const PortSpec& port) {
          return may_carry(port.vlan, vlan) && destination_trouble(around, port.name).sentence.empty();
        }));
    if (good_destinations == 0)
      troubles.add("destination: no working port carries VLAN " + std::to_string(vlan));
  }
  for (const std::string& destination : session.destinations) {
    Trouble trouble = destination_trouble(around, destination);
    if (trouble.sentence.empty() && session.tags.output_vlan) {
      const auto port = std::find_if(bridge.ports.begin(), bridge.ports.end(),
                                     [&destination](const PortSpec& one) { return one.name == destination; });
      if (!may_carry(port->vlan, *session.tags.output_vlan))
        trouble = {
            "port " + destination + " does not carry VLAN " + std::to_string(*session.tags.output_vlan),
            "do not carry the VLAN"};
    }
    if (trouble.sentence.empty()) {
      ++good_destinations;
    } else {
      troubles.add("destination", trouble, destination, session.destinations.size());
    }
  }
  for (const EndpointSpec& endpoint : session.endpoints) {
    if (endpoint.trouble.empty()) {
      ++good_destinations;
    } else {
      troubles.add("destination: " + endpoint.trouble);
    }
  }
  if (session.sources.empty() && session.patterns.empty() && !session.all_ports)
    troubles.add("it selects no port");
  if (troubles.empty()) return {session.id, SessionState::active, ""};
  const bool works = good_sources > 0 && good_destinations > 0;
  return {session.id, works ? SessionState::degraded : SessionState::waiting, troubles.text()};
}

/// The sessions beyond the limit; those that worked before are the last to be dropped.
std::set<const DesiredSession*> beyond_limit(std::vector<const DesiredSession*> sessions,
                                             auto worked_before) {
  if (sessions.size() <= kMaxSessions) return {};
  std::stable_partition(sessions.begin(), sessions.end(), worked_before);
  return {sessions.begin() + kMaxSessions, sessions.end()};
}

DesiredSession one_too_many(const BridgeSpec& bridge, DesiredSession session) {
  session.refusal = "bridge " + bridge.name + ": limit of " + std::to_string(kMaxSessions) +
                    " sessions per bridge reached; delete one first";
  return session;
}

/// In the order in which they are tried: by name, the same after each restart.
std::vector<const DesiredSession*> in_order(const std::vector<DesiredSession>& sessions) {
  std::vector<const DesiredSession*> ordered;
  ordered.reserve(sessions.size());
  for (const DesiredSession& session : sessions) ordered.push_back(&session);
  std::sort(ordered.begin(), ordered.end(), [](const DesiredSession* x, const DesiredSession* y) {
    return std::tie(x->name, x->id) < std::tie(y->name, y->id);
  });
  return ordered;
}

/// `states` ends with those of bridge.sessions.
void add_conflicts(const BridgeSpec& bridge, std::vector<SessionStatus>& states) {
  const SessionConflicts conflicts(bridge.sessions);
  auto state = states.end() - static_cast<std::ptrdiff_t>(bridge.sessions.size());
  for (const SessionSpec& session : bridge.sessions) {
    const std::string conflict = conflicts.notice_of(session);
    std::string& notice = (state++)->notice;
    if (!conflict.empty()) notice += (notice.empty() ? "" : "; ") + conflict;
  }
}

}  // namespace

std::string_view name(SessionState state) {
  switch (state) {
    case SessionState::active:
      return "active";
    case SessionState::degraded:
      return "degraded";
    case SessionState::waiting:
      return "waiting";
    case SessionState::disabled:
      return "disabled";
    case SessionState::expired:
      return "expired";
    case SessionState::error:
      return "error";
  }
  return "error";
}

std::vector<SessionStatus> SessionStates::decide(const std::vector<std::vector<DesiredSession>>& asked,
                                                 std::int64_t now_ms, SwitchSpec& spec) {
  for (auto& [id, known] : known_) known.used = false;
  const std::set<std::string> connected = connected_patches(spec);
  PlaceOfPorts places;
  for (const BridgeSpec& bridge : spec.bridges) {
    for (const PortSpec& port : bridge.ports) places.emplace(port.name, bridge.name);
  }
  std::vector<SessionStatus> states;
  for (std::size_t b = 0; b < asked.size(); ++b) {
    BridgeSpec& bridge = spec.bridges[b];
    bridge.sessions.clear();
    const std::vector<const DesiredSession*> sessions = in_order(asked[b]);
    const auto refused = beyond_limit(sessions, [this](const DesiredSession* session) {
      const auto found = known_.find(session->id);
      return found != known_.end() && found->second.last_honoured;
    });
    for (const DesiredSession* session : sessions) {
      states.push_back(refused.contains(session)
                           ? decide_one(one_too_many(bridge, *session), connected, places, now_ms, bridge)
                           : decide_one(*session, connected, places, now_ms, bridge));
    }
    add_conflicts(bridge, states);
  }
  std::erase_if(known_, [](const auto& item) { return !item.second.used; });
  return states;
}

SessionStatus SessionStates::decide_one(const DesiredSession& asked, const std::set<std::string>& connected,
                                        const PlaceOfPorts& places, std::int64_t now_ms, BridgeSpec& bridge) {
  Known& known = known_[asked.id];
  known.used = true;
  update_end(known, asked, now_ms);
  SessionStatus status = evaluate({bridge, connected, places}, asked, known.end ? known.end->reason : "");
  status.bridge = bridge.name;
  status.name = asked.name;
  status.notice = asked.notice;
  if (known.end) status.ended_at = known.end->at;
  if (asked.refusal.empty()) {
    known.last_honoured = asked;
  } else if (known.last_honoured && !known.end) {
    status.reason += "; until then it goes on as before";
  }
  if (asked.enabled) {
    const std::vector<VlanId> vlans = copy_vlans(asked);
    bridge.copy_vlans.insert(bridge.copy_vlans.end(), vlans.begin(), vlans.end());
  }
  const SessionSpec& copies_by =
      known.last_honoured ? *known.last_honoured : static_cast<const SessionSpec&>(asked);
  SessionSpec& session = bridge.sessions.emplace_back(copies_by);
  session.name = asked.name;
  session.enabled = asked.enabled && known.last_honoured && !known.end;
  session.life = known.life;
  return status;
}

/// A session that has ended stays ended, even if the wall clock is set back, until it is given another end or
/// none.
void SessionStates::update_end(Known& known, const DesiredSession& session, std::int64_t now_ms) const {
  if (!session.expired.empty()) {
    if (!known.end) known.end = {session.ends_at, session.expired};
    known.end->at = session.ends_at;
  } else if (known.end && known.end->at != session.ends_at) {
    known.end.reset();
    ++known.life;
  }
  if (known.end || !is_used_up_(session.id, session.quota, known.life)) return;
  const QuotaSpec& quota = session.quota;
  std::string reason = "quota used up:";
  if (quota.packets != 0) reason += ' ' + std::to_string(quota.packets) + " packets";
  if (quota.bytes != 0)
    reason += (quota.packets != 0 ? " or " : " ") + std::to_string(quota.bytes) + " bytes";
  known.end = {now_ms, reason};
}

}  // namespace vswitch::bridge
