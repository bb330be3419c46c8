// SPDX-License-Identifier: Apache-2.0
// mirror.add del list get set enable disable stats
#include "datapath/snapshot/spec.h"
#include "switchd/api/endpoint.h"
#include "switchd/api/errors.h"
#include "switchd/api/methods.h"
#include "switchd/api/mirror_life.h"
#include "switchd/api/mirror_session.h"
#include "switchd/api/params.h"

namespace vswitch::api {
namespace {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;

/// What the methods of this file look at.
struct MirrorMethods : Methods {
  bridge::CountersView& counters;
  bridge::DatapathView& datapath;
};

/// What became of copies, with the causes of losses by name.
Json account_json(bridge::CounterMap counters) {
  constexpr std::string_view kLost = "lost_";
  Json lost_by = Json::object();
  for (const auto& [key, count] : counters) {
    if (key.starts_with(kLost) && count != 0) lost_by[key.substr(kLost.size())] = count;
  }
  Json json = {{"lost_by", lost_by}};
  for (const char* key : {"matched", "delivered", "delivered_bytes", "lost", "duplicate", "sampled_out",
                          "rate_limited", "sent_packets", "queued"}) {
    json[key] = counters[key];
  }
  return json;
}

/// Counters of a session and of its destinations as of one moment; from the row when the datapath does not
/// have the session.
struct Account {
  bridge::CounterMap of_session;
  std::map<std::string, bridge::CounterMap> of_destinations;
};

Account account_of(bridge::CountersView& view, const Row& mirror) {
  Account account{view.mirror_counters(mirror.uuid()), view.destination_counters(mirror.uuid())};
  if (account.of_session.empty()) account.of_session = mirror.counters("statistics");
  // Copies are counted meanwhile: both have to be of the same reading.
  for (const auto& [name, counters] : account.of_destinations) {
    for (const auto& [key, count] : counters) account.of_session[key] = 0;
  }
  for (const auto& [name, counters] : account.of_destinations) {
    for (const auto& [key, count] : counters) account.of_session[key] += count;
  }
  return account;
}

Json counters_json(bridge::CounterMap counters) {
  Json json = account_json(counters);
  for (const char* key : {"tx_packets", "tx_bytes", "production_frames"}) json[key] = counters[key];
  return json;
}

/// "erspan2 10.0.0.1 session_id 5"
std::string endpoint_name(const Row& endpoint) {
  std::string text = endpoint.str("encap") + ' ' + endpoint.str("remote_ip");
  for (const char* column : {"key", "session_id", "dst_port"}) {
    if (const auto number = endpoint.integer(column))
      text += std::string(" ") + column + ' ' + std::to_string(*number);
  }
  return text;
}

/// The account of each destination: ports by their name, endpoints by encapsulation and address.
Json destinations_json(const Database& database, const Account& account) {
  Json list = Json::array();
  for (const auto& [name, counters] : account.of_destinations) {
    const auto uuid = Uuid::parse(name);
    const Row* endpoint = uuid ? database.find("Mirror_Endpoint", *uuid) : nullptr;
    if (uuid && endpoint == nullptr) continue;  // it was one
    list.push_back({{"name", endpoint == nullptr ? name : endpoint_name(*endpoint)},
                    {"counters", account_json(counters)}});
  }
  return list;
}

Json sources_json(const MirrorSettings& session) {
  Json ports = Json::array();
  for (const auto& [name, direction] : session.source_ports)
    ports.push_back({{"name", name}, {"direction", direction}});
  for (const auto& [pattern, direction] : session.source_patterns)
    ports.push_back(source_json(pattern, direction));
  return {{"ports", ports}, {"vlans", session.vlans}, {"all", session.all}};
}

Json or_null(const std::optional<std::int64_t>& number) {
  return number ? Json(*number) : Json();
}

Json list_or_null(const std::set<std::string>& matches) {
  return matches.empty() ? Json() : Json(matches);
}

Json rate_json(const MirrorSettings& session) {
  if (!session.rate_packets && !session.rate_bits) return nullptr;
  return {{"packets", or_null(session.rate_packets)}, {"bits", or_null(session.rate_bits)}};
}

Json to_json(const MirrorMethods& methods, const Row& bridge, const Row& mirror) {
  const Database& database = methods.database;
  const MirrorSettings session = read_session(database, mirror);
  const MirrorState state = state_of_mirror(mirror);
  const std::string* since = mirror.value("status", "since");
  const Account account = account_of(methods.counters, mirror);
  const Json counters = counters_json(account.of_session);
  return {{"bridge", bridge.str("name")},
          {"name", session.name},
          {"uuid", mirror.uuid().to_string()},
          {"description", session.description},
          {"enabled", session.enabled},
          {"sources", sources_json(session)},
          {"bound_sources", methods.datapath.bound_sources(mirror.uuid())},
          {"destination",
           {{"ports", session.destination_ports},
            {"vlan", or_null(session.output_vlan)},
            {"keep_vlan", session.keep_vlan},
            {"strip_vlan", session.strip_vlan},
            {"endpoints", endpoints_json(database, mirror)}}},
          {"normal_io", session.normal_io},
          {"mtu_policy", session.mtu_policy.value_or("cut")},
          {"superframes", session.superframes ? Json(*session.superframes) : Json()},
          {"snaplen", or_null(session.snaplen)},
          {"sample", session.sample},
          {"rate", rate_json(session)},
          {"filter", list_or_null(session.filter)},
          {"skip", list_or_null(session.skip)},
          {"expires", expires_json(session)},
          {"origin", origin_json(mirror)},
          {"state", state.state},
          {"reason", state.reason},
          {"since", since == nullptr ? Json() : Json(*since)},
          {"notice", bridge::foreign_notice(counters["production_frames"], session.output_vlan)},
          {"counters", counters},
          {"destinations", destinations_json(database, account)}};
}

/// nullptr when there is none. OVSDB clients may give one name to several sessions: those only they can tell
/// apart.
const Row* find_mirror(const Database& database, const Row& bridge, const std::string& name) {
  const ByName all = mirrors_of(database, bridge);
  const auto found = all.equal_range(name);
  if (found.first == found.second) return nullptr;
  if (std::next(found.first) != found.second) {
    throw conflict("name", name,
                   "bridge " + bridge.str("name") + " has several sessions named " + name +
                       ": tell them apart by their uuid with an OVSDB client");
  }
  return found.first->second;
}

const Row& mirror_named(const Database& database, const Row& bridge, const std::string& name) {
  if (const Row* mirror = find_mirror(database, bridge, name)) return *mirror;
  throw not_found("name", name, "bridge " + bridge.str("name") + " has no session " + name);
}

Outcome show(MirrorMethods methods, const std::string& bridge_name, const std::string& name) {
  return [methods, bridge_name, name] {
    const Row& bridge = bridge_named(methods.database, bridge_name);
    return to_json(methods, bridge, mirror_named(methods.database, bridge, name));
  };
}

/// A time that was given as a span is another one each time.
bool is_same(MirrorSettings present, const MirrorSettings& asked, const Json& params) {
  if (params.contains("expires") && params["expires"].contains("seconds"))
    present.expires_at = asked.expires_at;
  return present == asked;
}

bool ends_with_client(const Json& params) {
  return params.contains("expires") && params["expires"].is_object() &&
         params["expires"].value("connection", false);
}

/// What a handler needs besides its parameters.
struct Caller {
  control::Client& client;
  BoundSessions& bound;
};

Outcome add(const MirrorMethods& methods, const Caller& caller, const Json& params) {
  Database& database = methods.database;
  const Row& bridge = bridge_named(database, params["bridge"]);
  const std::string bridge_name = params["bridge"];
  check_matches(params);
  MirrorSettings session;
  session.name = params["name"];
  apply(session, params);
  if (const Row* present = find_mirror(database, bridge, session.name)) {
    const std::string there_is = "bridge " + bridge_name + " has a session " + session.name + " already";
    if (params["may_exist"] != true) throw exists("name", session.name, there_is);
    if (!is_same(read_session(database, *present), session, params)) {
      throw exists("name", session.name, there_is + ", with other settings: mirror.set changes them");
    }
    return show(methods, bridge_name, session.name);
  }
  if (mirrors_of(database, bridge).size() >= kMaxSessions) {
    throw conflict("name", session.name,
                   "bridge " + bridge_name + " has " + std::to_string(kMaxSessions) +
                       " sessions, as many as there may be");
  }
  check_session(database, bridge, session, std::nullopt);
  Transaction transaction(database);
  const Uuid mirror = transaction.insert("Mirror");
  transaction.set("Mirror", mirror, "name", Datum::of(session.name));
  transaction.set("Mirror", mirror, "origin", Datum::map_of(origin_of(caller.client)));
  write_session(transaction, database, mirror, session, params);
  transaction.add("Bridge", bridge.uuid(), "mirrors", Datum::of(mirror));
  transaction.comment("mirror.add " + bridge_name + ' ' + session.name);
  commit(transaction);
  if (ends_with_client(params)) caller.bound.bind(caller.client, mirror);
  return show(methods, bridge_name, session.name);
}

/// What set, enable and disable do: `changes` are applied to the session, checked, and written.
Outcome change(const MirrorMethods& methods, const Caller& caller, const Json& params, const Json& changes,
               const char* comment) {
  Database& database = methods.database;
  const Row& bridge = bridge_named(database, params["bridge"]);
  const std::string bridge_name = params["bridge"];
  const Row& mirror = mirror_named(database, bridge, params["name"]);
  check_matches(changes);
  MirrorSettings session = read_session(database, mirror);
  const bool was_alive = session.enabled && !has_ended(session);
  apply(session, changes);
  // A session that an OVSDB client made against these rules may still get a description or be switched off.
  const bool concerned = changes.contains("sources") || changes.contains("destination") ||
                         changes.contains("normal_io") || changes.contains("mtu_policy");
  if (concerned || (session.enabled && !has_ended(session) && !was_alive))
    check_session(database, bridge, session, mirror.uuid());
  Transaction transaction(database);
  write_session(transaction, database, mirror.uuid(), session, changes);
  transaction.comment(std::string(comment) + ' ' + bridge_name + ' ' + session.name);
  const Uuid uuid = mirror.uuid();
  commit(transaction);
  if (ends_with_client(changes)) caller.bound.bind(caller.client, uuid);
  return show(methods, bridge_name, session.name);
}

/// A session that has ended lives again: without a time or connection that ends it, and with what it may copy
/// counted anew.
Outcome enable(const MirrorMethods& methods, const Caller& caller, const Json& params) {
  const Row& bridge = bridge_named(methods.database, params["bridge"]);
  const MirrorSettings session =
      read_session(methods.database, mirror_named(methods.database, bridge, params["name"]));
  Json changes = {{"enabled", true}};
  if (has_ended(session)) changes["expires"] = expires_of_new_life(session);
  return change(methods, caller, params, changes, "mirror.enable");
}

Outcome del(const MirrorMethods& methods, const Json& params) {
  Database& database = methods.database;
  const Row* bridge = find_bridge(database, params["bridge"]);
  const std::string name = params["name"];
  if (params["if_exists"] == true && (bridge == nullptr || find_mirror(database, *bridge, name) == nullptr)) {
    return [] { return Json{{"removed", false}}; };
  }
  const Row& place = bridge_named(database, params["bridge"]);
  const Uuid mirror = mirror_named(database, place, name).uuid();
  Transaction transaction(database);
  transaction.remove("Bridge", place.uuid(), "mirrors", Datum::of(mirror));
  transaction.comment("mirror.del " + place.str("name") + ' ' + name);
  commit(transaction);
  return [] { return Json{{"removed", true}}; };
}

Json list(const MirrorMethods& methods, const Json& params) {
  Json mirrors = Json::array();
  for (const auto& [bridge_name, bridge] : bridges_asked_for(methods.database, params)) {
    for (const auto& [name, mirror] : mirrors_of(methods.database, *bridge)) {
      mirrors.push_back(to_json(methods, *bridge, *mirror));
    }
  }
  return {{"mirrors", mirrors}};
}

Json stats(const MirrorMethods& methods, const Json& params) {
  if (params.contains("name")) {
    if (!params.contains("bridge"))
      throw invalid("bridge", nullptr, "bridge is missing: a session is named with its bridge");
    mirror_named(methods.database, bridge_named(methods.database, params["bridge"]), params["name"]);
  }
  Json mirrors = Json::array();
  for (const auto& [bridge_name, bridge] : bridges_asked_for(methods.database, params)) {
    for (const auto& [name, mirror] : mirrors_of(methods.database, *bridge)) {
      if (params.contains("name") && params["name"] != name) continue;
      const MirrorState state = state_of_mirror(*mirror);
      const Account account = account_of(methods.counters, *mirror);
      const Json counters = counters_json(account.of_session);
      mirrors.push_back(
          {{"bridge", bridge_name},
           {"name", name},
           {"uuid", mirror->uuid().to_string()},
           {"state", state.state},
           {"reason", state.reason},
           {"notice", bridge::foreign_notice(counters["production_frames"], mirror->integer("output_vlan"))},
           {"counters", counters},
           {"destinations", destinations_json(methods.database, account)}});
    }
  }
  return {{"mirrors", mirrors}};
}

}  // namespace

void add_mirror_methods(Methods& methods, bridge::CountersView& counters, bridge::DatapathView& datapath) {
  const MirrorMethods shared{methods, counters, datapath};
  const auto bound = std::make_shared<BoundSessions>(methods.database);
  methods.change("mirror.add", [shared, bound](control::Client& client, const Json& params) {
    return add(shared, {client, *bound}, params);
  });
  methods.change("mirror.set", [shared, bound](control::Client& client, const Json& params) {
    return change(shared, {client, *bound}, params, params, "mirror.set");
  });
  methods.change("mirror.enable", [shared, bound](control::Client& client, const Json& params) {
    return enable(shared, {client, *bound}, params);
  });
  methods.change("mirror.disable", [shared, bound](control::Client& client, const Json& params) {
    return change(shared, {client, *bound}, params, {{"enabled", false}}, "mirror.disable");
  });
  methods.change("mirror.del", [shared](const Json& params) { return del(shared, params); });
  methods.read("mirror.get",
               [shared](const Json& params) { return show(shared, params["bridge"], params["name"])(); });
  methods.read("mirror.list", [shared](const Json& params) { return list(shared, params); });
  methods.read("mirror.stats", [shared](const Json& params) { return stats(shared, params); });
}

}  // namespace vswitch::api
