// SPDX-License-Identifier: Apache-2.0
#include "switchd/api/mirror_session.h"

#include <algorithm>

#include "datapath/base/ip_address.h"
#include "datapath/flow/match.h"
#include "switchd/api/errors.h"
#include "switchd/api/mirror_life.h"
#include "switchd/base/wall_clock.h"
#include "switchd/model/source_pattern.h"
#include "switchd/model/tunnel_settings.h"

namespace vswitch::api {
namespace {

using model::MirrorSettings;

/// The form of a source that is not a name, in JSON and in the column source_patterns.
struct PatternForm {
  const char* member;
  const char* prefix;
};
constexpr PatternForm kPatternForms[] = {{"glob", "glob:"}, {"iface_id", "iface-id:"}, {"mac", "mac:"}};

/// One item of sources.ports: a name, or an object with exactly one of name, glob, iface_id and mac.
void add_source(MirrorSettings& session, const Json& source) {
  if (source.is_string()) return session.add_source_port(source, "both");
  std::vector<PatternForm> forms;
  for (const PatternForm& form : kPatternForms) {
    if (source.contains(form.member)) forms.push_back(form);
  }
  if (forms.size() + (source.contains("name") ? 1 : 0) != 1) {
    throw invalid("sources.ports", source,
                  "a source is one of name, glob, iface_id and mac, with a direction: " + source.dump());
  }
  if (forms.empty()) return session.add_source_port(source["name"], source["direction"]);
  std::string text = source[forms[0].member];
  if (forms[0].prefix == std::string("mac:")) {
    const auto pattern = model::SourcePattern::parse("mac:" + text);
    if (!pattern)
      throw invalid("sources.ports", source,
                    text + " is not the MAC address of a host, such as 52:54:00:12:34:56");
    text = pattern->text;
  }
  session.add_source_pattern(forms[0].prefix + text, source["direction"]);
}

/// A source and its column: {"glob": "vnet*"} and "glob:vnet*".
Json source_json(const std::string& pattern, const std::string& direction) {
  for (const PatternForm& form : kPatternForms) {
    if (pattern.starts_with(form.prefix))
      return {{form.member, pattern.substr(std::string_view(form.prefix).size())}, {"direction", direction}};
  }
  return {{"name", pattern}, {"direction", direction}};  // an OVSDB client's mistake, which the state shows
}

Json sources_json(const MirrorSettings& session) {
  Json ports = Json::array();
  for (const auto& [name, direction] : session.source_ports)
    ports.push_back({{"name", name}, {"direction", direction}});
  for (const auto& [pattern, direction] : session.source_patterns)
    ports.push_back(source_json(pattern, direction));
  return {{"ports", ports}, {"vlans", session.vlans}, {"all", session.all}};
}

void apply_sources(MirrorSettings& session, const Json& sources) {
  if (sources.contains("ports") || sources.contains("all")) {
    session.source_ports.clear();
    session.source_patterns.clear();
    for (const Json& port : sources.value("ports", Json::array())) add_source(session, port);
    session.all = sources.value("all", false);
  }
  if (sources.contains("vlans")) session.vlans = sources["vlans"].get<std::set<std::int64_t>>();
  if (!session.names_ports() && !session.vlans.empty()) session.all = false;
}

bool same_address(const std::optional<std::string>& one, const std::string& other) {
  if (!one) return false;
  const auto parsed = IpAddress::parse(*one);
  return parsed ? parsed == IpAddress::parse(other) : *one == other;
}

/// What a request to send to this address starts from: the endpoint that has it, or a new one.
model::MirrorEndpoint endpoint_at(const MirrorSettings& session, const std::string& ip) {
  const auto has_it = [&ip](const model::MirrorEndpoint& endpoint) { return same_address(endpoint.ip, ip); };
  const auto first = std::find_if(session.endpoints.begin(), session.endpoints.end(), has_it);
  if (std::count_if(session.endpoints.begin(), session.endpoints.end(), has_it) == 1) return *first;
  model::MirrorEndpoint made;
  made.encap = "gre";
  return made;
}

model::MirrorEndpoint changed(model::MirrorEndpoint endpoint, const Json& given) {
  if (given.contains("encap") && given["encap"] != endpoint.encap.value_or(""))
    model::drop_fields_foreign_to(given["encap"].get<std::string>(), endpoint);
  model::take_members(model::mirror_endpoint_columns(), given, endpoint);
  return endpoint;
}

/// The endpoints that the session will have. An item without an address changes each of those it has.
std::set<model::MirrorEndpoint> changed_endpoints(const MirrorSettings& session, const Json& list) {
  std::set<model::MirrorEndpoint> endpoints;
  for (const Json& given : list) {
    if (given.contains("ip")) {
      endpoints.insert(changed(endpoint_at(session, given["ip"]), given));
      continue;
    }
    if (session.endpoints.empty())
      throw invalid("destination.endpoints", given,
                    "session " + session.name + " has no endpoint to change: give the ip of a new one");
    for (const model::MirrorEndpoint& endpoint : session.endpoints)
      endpoints.insert(changed(endpoint, given));
  }
  return endpoints;
}

/// Whether the request sends the copies to a kind of place that the session does not have yet. Ports beside a
/// VLAN only say where it leaves.
bool moves(const MirrorSettings& session, const Json& destination) {
  const auto gives = [&destination](const char* member) {
    return !destination.value(member, Json()).empty();
  };
  return (gives("ports") && session.destination_ports.empty() && !session.output_vlan) ||
         (gives("vlan") && !session.output_vlan) || (gives("endpoints") && session.endpoints.empty()) ||
         ((gives("record_bytes") || gives("record_seconds")) && !session.records());
}

/// The destination with the members that stay because the request does not give them.
Json with_what_stays(const MirrorSettings& session, Json destination) {
  const Json present = model::members_of(model::mirror_columns(), session)["destination"];
  const auto stays = [&](const char* member) {
    if (!destination.contains(member)) destination[member] = present[member];
  };
  if (!moves(session, destination)) {
    stays("ports");
    stays("vlan");
    stays("record_bytes");
    stays("record_seconds");
  }
  if (!destination.value("vlan", Json()).is_null()) stays("keep_vlan");
  if (session.strip_vlan != strips_by_itself(session, false)) stays("strip_vlan");
  return destination;
}

/// The limits with the one that stays because the request does not give it.
Json rate_with_what_stays(const MirrorSettings& session, Json rate) {
  if (rate.is_null()) return rate;
  if (rate.empty())
    throw invalid("rate", rate, "rate is empty: give packets, bits or both, per second, or null");
  if (!rate.contains("packets") && session.rate_packets) rate["packets"] = *session.rate_packets;
  if (!rate.contains("bits") && session.rate_bits) rate["bits"] = *session.rate_bits;
  return rate;
}

/// What the columns alone do not express: endpoints, and whether the tag is removed.
void apply_destination(MirrorSettings& session, const Json& params, bool keeps_endpoints) {
  const Json& destination = params["destination"];
  if (destination.contains("endpoints")) {
    session.endpoints = changed_endpoints(session, destination["endpoints"]);
  } else if (!keeps_endpoints) {
    session.endpoints.clear();
  }
  const bool says_all = params.contains("sources") && params["sources"].value("all", false);
  if (destination.value("strip_vlan", Json()).is_null())
    session.strip_vlan = strips_by_itself(session, says_all);
}

/// Bytes of the recorders of all sessions but `self`.
std::int64_t recorded_by_others(const Database& database, const std::optional<ovsdb::Uuid>& self) {
  std::int64_t bytes = 0;
  for (const Row& row : database.table("Mirror")) {
    if (row.uuid() == self || (!row.integer("record_bytes") && !row.integer("record_seconds"))) continue;
    bytes += model::read_mirror(database, row).record_memory();
  }
  return bytes;
}

}  // namespace

/// Whether the outer tag is removed if the request does not say. "All ports" means their traffic; VLANs alone
/// mean the destination end of an RSPAN VLAN.
bool strips_by_itself(const MirrorSettings& session, bool says_all) {
  return session.only_vlans() && !says_all && !session.output_vlan && session.endpoints.empty();
}

void refuse(const std::optional<model::Problem>& problem) {
  if (!problem) return;
  if (problem->kind == model::Problem::Kind::invalid)
    throw invalid(problem->field, problem->value, problem->sentence);
  throw conflict(problem->field, problem->value, problem->sentence);
}

void apply(MirrorSettings& session, const Json& given) {
  Json params = given;
  bool keeps_endpoints = true;
  if (params.contains("destination")) {
    keeps_endpoints = !moves(session, given["destination"]);
    params["destination"] = with_what_stays(session, given["destination"]);
  }
  if (params.contains("rate")) params["rate"] = rate_with_what_stays(session, given["rate"]);
  model::take_members(model::mirror_columns(), params, session);
  if (params.contains("sources")) apply_sources(session, params["sources"]);
  if (params.contains("destination")) apply_destination(session, params, keeps_endpoints);
  if (params.contains("expires")) apply_expires(session, params["expires"]);
}

Json settings_json(const MirrorSettings& session) {
  Json json = model::members_of(model::mirror_columns(), session);
  json["sources"] = sources_json(session);
  json["mtu_policy"] = session.mtu_policy.value_or("cut");
  if (!session.rate_packets && !session.rate_bits) json["rate"] = nullptr;
  json["expires"] = expires_json(session);
  return json;
}

Json endpoints_json(const Database& database, const model::Mirror& mirror) {
  std::map<model::MirrorEndpoint, const Row*> rows;  // in the order of their settings
  for (const auto& [uuid, endpoint] : mirror.endpoint_rows)
    rows.emplace(endpoint, database.find("Mirror_Endpoint", uuid));
  Json list = Json::array();
  for (const auto& [endpoint, row] : rows) {
    const auto status = row->map("status");
    Json json = model::members_of(model::mirror_endpoint_columns(), endpoint);
    for (const char* key : {"state", "reason", "source", "device"}) {
      const auto found = status.find(key);
      json[key] = found == status.end() ? Json() : Json(found->second);
    }
    const auto mtu = status.find("mtu");
    json["mtu"] = mtu == status.end() ? Json() : Json(std::stoll(mtu->second));
    list.push_back(std::move(json));
  }
  return list;
}

void check_matches(const Json& params) {
  for (const char* field : {"filter", "skip"}) {
    if (!params.contains(field) || params[field].is_null()) continue;
    for (const std::string& match : model::ListOrNull::from_json(params[field])) {
      const std::string trouble = Match::parse(match).trouble;
      if (!trouble.empty()) throw invalid(field, match, std::string(field) + ": " + trouble);
    }
  }
}

void check_alone(const Database& database, const Row& bridge, const MirrorSettings& session) {
  refuse(model::problem_alone(database, bridge, session));
}

void check_beside(const MirrorSettings& session, const MirrorSettings& other) {
  refuse(model::problem_beside(session, other, wall_now_ms()));
}

void check_session(const Database& database, const Row& bridge, const MirrorSettings& session,
                   const std::optional<ovsdb::Uuid>& self) {
  check_alone(database, bridge, session);
  if (session.records()) refuse(model::problem_of_recorder(session, recorded_by_others(database, self)));
  if (!session.is_alive(wall_now_ms())) return;
  for (const auto& [name, row] : model::mirrors_of(database, bridge)) {
    if (row->uuid() != self) check_beside(session, model::read_mirror(database, *row));
  }
}

}  // namespace vswitch::api
