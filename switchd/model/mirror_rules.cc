// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/mirror_rules.h"

#include <utility>

#include "switchd/model/rows.h"
#include "switchd/model/tunnel_settings.h"

namespace vswitch::model {
namespace {

Problem invalid(std::string field, Json value, std::string sentence) {
  return {Problem::Kind::invalid, std::move(field), std::move(value), std::move(sentence)};
}
Problem conflict(std::string field, Json value, std::string sentence) {
  return {Problem::Kind::conflict, std::move(field), std::move(value), std::move(sentence)};
}

std::optional<Problem> incomplete(const MirrorSettings& session) {
  if (session.selects_nothing()) {
    return invalid("sources", nullptr,
                   "session " + session.name + " has no source: give ports, vlans or all");
  }
  const bool has_place =
      !session.destination_ports.empty() || session.output_vlan || !session.endpoints.empty();
  if (session.capture && has_place) {
    return invalid(
        "destination.capture", true,
        "a capture has no other destination: leave out ports, vlan and endpoints, or use two sessions");
  }
  if (session.records() && (has_place || session.capture)) {
    return invalid(
        session.record_bytes ? "destination.record_bytes" : "destination.record_seconds",
        session.record_bytes ? *session.record_bytes : *session.record_seconds,
        "a session that records has no other destination: leave out ports, vlan, endpoints and capture, or "
        "use two sessions");
  }
  if (!session.capture && !session.records() && !has_place) {
    return invalid(
        "destination", nullptr,
        "session " + session.name + " has no destination: give ports, a vlan, endpoints or what to record");
  }
  if (session.output_vlan && !session.endpoints.empty()) {
    return invalid("destination.vlan", *session.output_vlan,
                   "a session sends its copies into a VLAN or to endpoints, not both; use two sessions");
  }
  if (session.keep_vlan && !session.output_vlan) {
    return invalid("destination.keep_vlan", true, "keep_vlan requires destination.vlan");
  }
  return std::nullopt;
}

std::optional<Problem> wrong_endpoint(const MirrorSettings& session) {
  const MtuPolicy policy = session.mtu_policy == "fragment" ? MtuPolicy::fragment : MtuPolicy::truncate;
  for (const MirrorEndpoint& endpoint : session.endpoints) {
    const DesiredEndpoint desired = tunnel_of(ovsdb::Uuid{}, endpoint, policy);
    if (desired.refusal.empty()) continue;
    const std::string ip = endpoint.ip.value_or("");
    return invalid("destination.endpoints", ip, "endpoint " + ip + ": " + desired.refusal);
  }
  return std::nullopt;
}

using BridgeOf = std::function<std::string(const std::string& port)>;

std::optional<Problem> wrong_place(const std::string& bridge, const BridgeOf& bridge_of,
                                   const std::string& port, const char* field) {
  const std::string place = bridge_of(port);
  if (place.empty() || place == bridge) return std::nullopt;  // one that does not exist yet may still come
  return conflict(field, port, "port " + port + " is on bridge " + place + ", not on " + bridge);
}

/// Why the two sessions conflict, seen from the destinations of `session`. `changed` is the one whose setting
/// is to blame.
std::optional<Problem> destinations_in_the_way(const MirrorSettings& session, const MirrorSettings& other,
                                               const MirrorSettings& changed) {
  for (const std::string& port : session.destination_ports) {
    if (!session.reserves(port)) continue;
    if (other.destination_ports.contains(port) && other.normal_io) {
      return conflict("destination.ports", port, two_uses_of_port(port, session.name, other.name));
    }
    const auto source = other.source_ports.find(port);
    if (source != other.source_ports.end() && source->second == "from") {
      return conflict(changed == session ? "destination.ports" : "sources.ports", port,
                      no_frame_from_port(port, session.name, other.name));
    }
  }
  return std::nullopt;
}

}  // namespace

std::string two_uses_of_port(const std::string& port, const std::string& copies_only,
                             const std::string& normal_io) {
  return "port " + port + " carries its own traffic for session " + normal_io + " and only copies for " +
         copies_only + ": set normal_io to the same value in both";
}

std::string no_frame_from_port(const std::string& port, const std::string& copies_only,
                               const std::string& source) {
  return "port " + port + " carries only copies of session " + copies_only + ", so session " + source +
         " would never see a frame from it: allow normal_io in " + copies_only + ", or use direction `to`";
}

std::optional<Problem> problem_alone(const ovsdb::Database& database, const ovsdb::Row& bridge,
                                     const MirrorSettings& session) {
  const std::string& name = bridge.str("name");
  return problem_alone(name, session, [&](const std::string& port) -> std::string {
    const ovsdb::Row* row = find_port(database, port);
    if (row == nullptr) return "";
    if (bridge["ports"].contains(row->uuid())) return name;
    const ovsdb::Row* place = bridge_with(database, "ports", row->uuid());
    return place ? place->str("name") : "(none)";
  });
}

std::optional<Problem> problem_alone(const std::string& bridge, const MirrorSettings& session,
                                     const BridgeOf& bridge_of) {
  if (auto problem = incomplete(session)) return problem;
  if (auto problem = wrong_endpoint(session)) return problem;
  for (const auto& [port, direction] : session.source_ports) {
    if (auto problem = wrong_place(bridge, bridge_of, port, "sources.ports")) return problem;
  }
  for (const std::string& port : session.destination_ports) {
    if (auto problem = wrong_place(bridge, bridge_of, port, "destination.ports")) return problem;
  }
  for (const auto& [port, direction] : session.source_ports) {
    if (!session.reserves(port)) continue;
    return conflict("destination.ports", port,
                    "port " + port + " is a source of session " + session.name +
                        " and also its copies-only destination: use another port, or allow normal_io");
  }
  return std::nullopt;
}

std::optional<Problem> problem_of_recorder(const MirrorSettings& session, std::int64_t others) {
  const std::int64_t bytes = session.record_memory();
  if (bytes == 0 || bytes + others <= limits::kRecordersBytes) return std::nullopt;
  return conflict("destination.record_bytes", bytes,
                  "session " + session.name + " would record into " + std::to_string(bytes) +
                      " bytes, and other sessions do into " + std::to_string(others) +
                      "; the limit of all is " + std::to_string(limits::kRecordersBytes) +
                      ": record less, or delete another one");
}

std::optional<Problem> problem_beside(const MirrorSettings& session, const MirrorSettings& other,
                                      std::int64_t now_ms) {
  if (!session.is_alive(now_ms) || !other.is_alive(now_ms)) return std::nullopt;
  if (auto problem = destinations_in_the_way(session, other, session)) return problem;
  return destinations_in_the_way(other, session, session);
}

}  // namespace vswitch::model
