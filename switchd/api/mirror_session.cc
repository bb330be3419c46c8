// SPDX-License-Identifier: Apache-2.0
// Reads, changes, checks and writes sessions.
#include "switchd/api/mirror_session.h"

#include "datapath/flow/match.h"
#include "switchd/api/endpoint.h"
#include "switchd/api/errors.h"
#include "switchd/api/mirror_life.h"
#include "switchd/bridge/source_pattern.h"

namespace vswitch::api {
namespace {

using ovsdb::Datum;
using ovsdb::Uuid;

std::optional<std::int64_t> number_or_none(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<std::int64_t>());
}

std::optional<std::string> text_or_none(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<std::string>());
}

std::optional<std::string> text_or_none(const Row& row, const char* column) {
  const std::string& text = row.str(column);
  return text.empty() ? std::nullopt : std::optional(text);
}

/// null, one match or a list of them.
std::set<std::string> matches_of(const Json& value) {
  if (value.is_null()) return {};
  if (value.is_string()) return {value.get<std::string>()};
  return value.get<std::set<std::string>>();
}

std::set<std::string> strings_of(const Row& row, const char* column) {
  const std::vector<std::string> strings = row.strings(column);
  return {strings.begin(), strings.end()};
}

void add_source(MirrorSettings& session, const std::string& port, const std::string& direction) {
  auto [at, inserted] = session.source_ports.emplace(port, direction);
  if (!inserted && at->second != direction) at->second = "both";
}

/// How a source that is no name stands in JSON, and in the column source_patterns.
struct PatternForm {
  const char* member;
  const char* prefix;
};
constexpr PatternForm kPatternForms[] = {{"glob", "glob:"}, {"iface_id", "iface-id:"}, {"mac", "mac:"}};

void add_pattern(MirrorSettings& session, const std::string& pattern, const std::string& direction) {
  auto [at, inserted] = session.source_patterns.emplace(pattern, direction);
  if (!inserted && at->second != direction) at->second = "both";
}

/// One item of sources.ports: a name, or an object with exactly one of name, glob, iface_id and mac.
void add_source(MirrorSettings& session, const Json& source) {
  if (source.is_string()) return add_source(session, source, "both");
  std::vector<PatternForm> forms;
  for (const PatternForm& form : kPatternForms) {
    if (source.contains(form.member)) forms.push_back(form);
  }
  if (forms.size() + (source.contains("name") ? 1 : 0) != 1) {
    throw invalid("sources.ports", source,
                  "a source is one of name, glob, iface_id and mac, with a direction: " + source.dump());
  }
  if (forms.empty()) return add_source(session, source["name"], source["direction"]);
  std::string text = source[forms[0].member];
  if (forms[0].prefix == std::string("mac:")) {
    const auto pattern = bridge::SourcePattern::parse("mac:" + text);
    if (!pattern)
      throw invalid("sources.ports", source,
                    text + " is not the MAC address of a host, such as 52:54:00:12:34:56");
    text = pattern->text;
  }
  add_pattern(session, forms[0].prefix + text, source["direction"]);
}

void add_references(const Database& database, MirrorSettings& session, const Row& mirror, const char* column,
                    const char* direction) {
  for (const Uuid& uuid : mirror.uuids(column)) {
    if (const Row* port = database.find("Port", uuid)) add_source(session, port->str("name"), direction);
  }
}

void apply_rate(MirrorSettings& session, const Json& rate) {
  if (rate.is_object() && rate.empty())
    throw invalid("rate", rate, "rate says nothing: give packets, bits or both, per second, or null");
  const auto limit = [&rate](const char* unit) {
    return rate.is_object() && rate.contains(unit) ? std::optional(rate[unit].get<std::int64_t>())
                                                   : std::nullopt;
  };
  session.rate_packets = limit("packets");
  session.rate_bits = limit("bits");
}

void check_complete(const MirrorSettings& session) {
  if (session.selects_nothing()) {
    throw invalid("sources", nullptr, "session " + session.name + " has no source: give ports, vlans or all");
  }
  if (session.destination_ports.empty() && !session.output_vlan && session.endpoints.empty()) {
    throw invalid("destination", nullptr,
                  "session " + session.name + " has no destination: give ports, a vlan or endpoints");
  }
  if (session.output_vlan && !session.endpoints.empty()) {
    throw invalid("destination.vlan", *session.output_vlan,
                  "a session sends its copies into a VLAN or to endpoints; make two of them for both");
  }
  if (session.keep_vlan && !session.output_vlan) {
    throw invalid("destination.keep_vlan", true,
                  "keep_vlan keeps a tag behind that of destination.vlan: give one");
  }
}

void check_place(const Database& database, const Row& bridge, const std::string& port, const char* field) {
  const Row* row = find_port(database, port);
  if (row == nullptr || bridge["ports"].contains(row->uuid()))
    return;  // one that does not exist yet may still come
  const Row* place = bridge_with(database, "ports", row->uuid());
  throw conflict(field, port,
                 "port " + port + " is on bridge " + (place ? place->str("name") : "(none)") + ", not on " +
                     bridge.str("name"));
}

/// Why `session` and `other`, both enabled, cannot be on one bridge, seen from `session`'s destinations.
void check_destinations(const MirrorSettings& session, const MirrorSettings& other,
                        const MirrorSettings& changed) {
  for (const std::string& port : session.destination_ports) {
    const std::string what = changed == session ? "destination.ports" : "sources.ports";
    if (session.reserves(port) && other.destination_ports.contains(port) && other.normal_io) {
      throw conflict("destination.ports", port,
                     "port " + port + " carries its own traffic for session " + other.name +
                         " and only copies for " + session.name + ": set normal_io alike in both");
    }
    const auto source = other.source_ports.find(port);
    if (session.reserves(port) && source != other.source_ports.end() && source->second == "from") {
      throw conflict(what, port,
                     "port " + port + " carries only copies of session " + session.name + ", so session " +
                         other.name + " would never see a frame from it: allow normal_io in " + session.name +
                         ", or watch it `to`");
    }
  }
}

void check_other_sessions(const Database& database, const Row& bridge, const MirrorSettings& session,
                          const std::optional<Uuid>& self) {
  for (const auto& [name, row] : mirrors_of(database, bridge)) {
    if (row->uuid() != self) check_beside(session, read_session(database, *row));
  }
}

}  // namespace

Json source_json(const std::string& pattern, const std::string& direction) {
  for (const PatternForm& form : kPatternForms) {
    if (pattern.starts_with(form.prefix))
      return {{form.member, pattern.substr(std::string_view(form.prefix).size())}, {"direction", direction}};
  }
  return {{"name", pattern}, {"direction", direction}};  // an OVSDB client's mistake, which the state shows
}

MirrorSettings read_session(const Database& database, const Row& mirror) {
  MirrorSettings session;
  session.name = mirror.str("name");
  session.description = mirror.str("description");
  session.enabled = mirror.boolean("enabled").value_or(true);
  session.normal_io = mirror.boolean("normal_io").value_or(false);
  session.source_ports = mirror.map("source_ports");
  add_references(database, session, mirror, "select_src_port", "from");
  add_references(database, session, mirror, "select_dst_port", "to");
  for (const std::int64_t vlan : mirror.integers("select_vlan")) session.vlans.insert(vlan);
  session.source_patterns = mirror.map("source_patterns");
  const bool only_vlans = !session.names_ports() && !session.vlans.empty();
  session.all = mirror.boolean("select_all").value_or(false) && !only_vlans;
  for (const std::string& port : mirror.strings("destination_ports")) session.destination_ports.insert(port);
  if (const auto output = mirror.reference("output_port")) {
    if (const Row* port = database.find("Port", *output)) session.destination_ports.insert(port->str("name"));
  }
  // A port wins over a VLAN, as in Open vSwitch.
  if (!mirror.reference("output_port")) session.output_vlan = mirror.integer("output_vlan");
  session.keep_vlan = mirror.boolean("keep_vlan").value_or(false);
  session.strip_vlan = mirror.boolean("strip_vlan").value_or(false);
  session.endpoints = read_endpoints(database, mirror);
  session.mtu_policy = text_or_none(mirror, "mtu_policy");
  session.superframes = text_or_none(mirror, "superframes");
  session.snaplen = mirror.integer("snaplen");
  session.sample = mirror.integer("sample").value_or(1);
  session.filter = strings_of(mirror, "filter");
  session.skip = strings_of(mirror, "skip");
  session.rate_packets = mirror.integer("rate_packets");
  session.rate_bits = mirror.integer("rate_bits");
  session.expires_at = mirror.integer("expires_at");
  session.expires_packets = mirror.integer("expires_packets");
  session.expires_bytes = mirror.integer("expires_bytes");
  session.expires_with_connection = mirror.boolean("expires_with_connection").value_or(false);
  return session;
}

void apply(MirrorSettings& session, const Json& params) {
  if (params.contains("description")) session.description = params["description"];
  if (params.contains("enabled")) session.enabled = params["enabled"];
  if (params.contains("normal_io")) session.normal_io = params["normal_io"];
  if (params.contains("sources")) {
    const Json& sources = params["sources"];
    if (sources.contains("ports") || sources.contains("all")) {
      session.source_ports.clear();
      session.source_patterns.clear();
      for (const Json& port : sources.value("ports", Json::array())) add_source(session, port);
      session.all = sources.value("all", false);
    }
    if (sources.contains("vlans")) session.vlans = sources["vlans"].get<std::set<std::int64_t>>();
    if (!session.names_ports() && !session.vlans.empty()) session.all = false;
  }
  if (params.contains("destination")) {
    const Json& destination = params["destination"];
    session.destination_ports = destination["ports"].get<std::set<std::string>>();
    session.output_vlan = number_or_none(destination["vlan"]);
    session.keep_vlan = destination["keep_vlan"];
    session.endpoints = destination["endpoints"].get<std::set<Json>>();
    // Who says all ports means their traffic, who says VLANs alone means the end of an RSPAN VLAN.
    const bool says_all = params.contains("sources") && params["sources"].value("all", false);
    session.strip_vlan =
        destination["strip_vlan"].is_null()
            ? session.only_vlans() && !says_all && !session.output_vlan && session.endpoints.empty()
            : destination["strip_vlan"].get<bool>();
  }
  if (params.contains("mtu_policy")) session.mtu_policy = text_or_none(params["mtu_policy"]);
  if (params.contains("superframes")) session.superframes = text_or_none(params["superframes"]);
  if (params.contains("snaplen")) session.snaplen = number_or_none(params["snaplen"]);
  if (params.contains("sample")) session.sample = params["sample"];
  if (params.contains("filter")) session.filter = matches_of(params["filter"]);
  if (params.contains("skip")) session.skip = matches_of(params["skip"]);
  if (params.contains("rate")) apply_rate(session, params["rate"]);
  if (params.contains("expires")) apply_expires(session, params["expires"]);
}

void check_matches(const Json& params) {
  for (const char* field : {"filter", "skip"}) {
    if (!params.contains(field)) continue;
    for (const std::string& match : matches_of(params[field])) {
      const std::string trouble = Match::parse(match).trouble;
      if (!trouble.empty()) throw invalid(field, match, std::string(field) + ": " + trouble);
    }
  }
}

void check_beside(const MirrorSettings& session, const MirrorSettings& other) {
  const auto is_alive = [](const MirrorSettings& one) { return one.enabled && !has_ended(one); };
  if (!is_alive(session) || !is_alive(other)) return;
  check_destinations(session, other, session);
  check_destinations(other, session, session);
}

void check_alone(const Database& database, const Row& bridge, const MirrorSettings& session) {
  check_complete(session);
  for (const Json& endpoint : session.endpoints)
    check_endpoint(database, endpoint, session.mtu_policy == "fragment");
  for (const auto& [port, direction] : session.source_ports)
    check_place(database, bridge, port, "sources.ports");
  for (const std::string& port : session.destination_ports)
    check_place(database, bridge, port, "destination.ports");
  for (const auto& [port, direction] : session.source_ports) {
    if (!session.reserves(port)) continue;
    throw conflict(
        "destination.ports", port,
        "port " + port + " is a source of session " + session.name +
            " and its destination that carries only copies: take another port, or allow normal_io");
  }
}

void check_session(const Database& database, const Row& bridge, const MirrorSettings& session,
                   const std::optional<Uuid>& self) {
  check_alone(database, bridge, session);
  if (session.enabled && !has_ended(session)) check_other_sessions(database, bridge, session, self);
}

void write_session(ovsdb::Transaction& transaction, const Database& database, const Uuid& mirror,
                   const MirrorSettings& session, const Json& params) {
  const auto set = [&](const char* column, Datum datum) {
    transaction.set("Mirror", mirror, column, std::move(datum));
  };
  const auto set_optional = [&](const char* column, const std::optional<std::int64_t>& number) {
    set(column, number ? Datum::of(*number) : Datum());
  };
  if (params.contains("description")) set("description", Datum::of(session.description));
  // Empty means true, as for sessions of Open vSwitch.
  if (params.contains("enabled")) set("enabled", session.enabled ? Datum() : Datum::of(false));
  if (params.contains("normal_io")) set("normal_io", Datum::of(session.normal_io));
  if (params.contains("sources")) {
    set("source_ports", Datum::map_of(session.source_ports));
    set("source_patterns", Datum::map_of(session.source_patterns));
    set("select_src_port", {});
    set("select_dst_port", {});
    set("select_vlan", Datum::set_of(session.vlans));
    set("select_all", Datum::of(session.all || session.only_vlans()));
  }
  if (params.contains("destination")) {
    set("destination_ports", Datum::set_of(session.destination_ports));
    set("output_port", {});
    set_optional("output_vlan", session.output_vlan);
    set("keep_vlan", Datum::of(session.keep_vlan));
    set("strip_vlan", Datum::of(session.strip_vlan));
    write_endpoints(transaction, database, mirror, session.endpoints);
  }
  if (params.contains("mtu_policy"))
    set("mtu_policy", session.mtu_policy ? Datum::of(*session.mtu_policy) : Datum());
  if (params.contains("superframes"))
    set("superframes", session.superframes ? Datum::of(*session.superframes) : Datum());
  if (params.contains("snaplen")) set_optional("snaplen", session.snaplen);
  if (params.contains("sample")) set("sample", session.sample == 1 ? Datum() : Datum::of(session.sample));
  if (params.contains("filter")) set("filter", Datum::set_of(session.filter));
  if (params.contains("skip")) set("skip", Datum::set_of(session.skip));
  if (params.contains("rate")) {
    set_optional("rate_packets", session.rate_packets);
    set_optional("rate_bits", session.rate_bits);
  }
  if (params.contains("expires")) {
    set_optional("expires_at", session.expires_at);
    set_optional("expires_packets", session.expires_packets);
    set_optional("expires_bytes", session.expires_bytes);
    set("expires_with_connection", Datum::of(session.expires_with_connection));
  }
}

}  // namespace vswitch::api
