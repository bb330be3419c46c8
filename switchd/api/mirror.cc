// SPDX-License-Identifier: Apache-2.0
// mirror.add put del list get set enable disable stats reset dump_record
#include "switchd/api/account.h"
#include "switchd/api/errors.h"
#include "switchd/api/methods.h"
#include "switchd/api/mirror_life.h"
#include "switchd/api/mirror_session.h"
#include "switchd/api/normal_form.h"
#include "switchd/api/params.h"
#include "switchd/api/revision.h"
#include "switchd/base/log.h"
#include "switchd/base/wall_clock.h"
#include "switchd/model/mirror_rules.h"

namespace vswitch::api {
namespace {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;

const log::Module kRecords{"mirror"};

/// The objects that the methods of this file use.
struct MirrorMethods : Methods {
  bridge::CountersView& counters;
  bridge::DatapathView& datapath;
};

Json time_or_null(const std::optional<TimeNs>& unix_time) {
  return unix_time ? Json(iso_time(*unix_time / 1'000'000)) : Json();
}

Json recording_json(const std::optional<bridge::Recording>& recording) {
  if (!recording) return nullptr;
  return {{"frames", recording->frames},
          {"bytes", recording->bytes},
          {"evicted", recording->evicted},
          {"capacity", recording->capacity},
          {"oldest", time_or_null(recording->oldest)},
          {"newest", time_or_null(recording->newest)}};
}

Json mirror_json(const MirrorMethods& methods, const Row& bridge, const Row& row) {
  const Database& database = methods.database;
  const model::Mirror mirror = model::read_mirror(database, row);
  const model::MirrorState state = model::state_of_mirror(row);
  const std::string* since = row.value("status", "since");
  const Account account = account_of(methods.counters, row);
  const Json counters = counters_json(account.of_session);
  Json json = settings_json(mirror);
  json["destination"]["endpoints"] = endpoints_json(database, mirror);
  json.update({{"bridge", bridge.str("name")},
               {"uuid", row.uuid().to_string()},
               {"bound_sources", methods.datapath.bound_sources(row.uuid())},
               {"origin", origin_json(row)},
               {"state", state.state},
               {"reason", state.reason},
               {"since", since == nullptr ? Json() : Json(*since)},
               {"notice", methods.counters.mirror_notice(row.uuid())},
               {"counters", counters},
               {"destinations", destinations_json(database, account)},
               {"recording", recording_json(methods.datapath.recording(row.uuid()))},
               {"revision", revision_of_mirror(database, row)}});
  return json;
}

/// nullptr if there is none. OVSDB clients may give one name to several sessions: only they can tell those
/// apart.
const Row* find_mirror(const Database& database, const Row& bridge, const std::string& name) {
  const model::ByName all = model::mirrors_of(database, bridge);
  const auto found = all.equal_range(name);
  if (found.first == found.second) return nullptr;
  if (std::next(found.first) != found.second) {
    throw conflict("name", name,
                   "bridge " + bridge.str("name") + " has several sessions named " + name +
                       ": use an OVSDB client and their uuids to tell them apart");
  }
  return found.first->second;
}

const Row& mirror_named(const Database& database, const Row& bridge, const std::string& name) {
  if (const Row* mirror = find_mirror(database, bridge, name)) return *mirror;
  throw not_found("name", name, "bridge " + bridge.str("name") + " has no session " + name);
}

Outcome show_mirror(MirrorMethods methods, const std::string& bridge_name, const std::string& name) {
  return [methods, bridge_name, name] {
    const Row& bridge = bridge_named(methods.database, bridge_name);
    return mirror_json(methods, bridge, mirror_named(methods.database, bridge, name));
  };
}

/// An end that was given as a duration is a new one each time.
bool is_same(model::MirrorSettings present, const model::MirrorSettings& asked, const Json& params) {
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

void check_room(const Database& database, const Row& bridge, const std::string& name) {
  if (model::mirrors_of(database, bridge).size() < model::kMaxSessions) return;
  throw conflict("name", name,
                 "bridge " + bridge.str("name") + ": limit of " + std::to_string(model::kMaxSessions) +
                     " sessions per bridge reached; delete one first");
}

Uuid insert_mirror(Transaction& transaction, const Row& bridge, const control::Client& client) {
  const Uuid mirror = transaction.insert("Mirror");
  transaction.set("Mirror", mirror, "origin", Datum::map_of(origin_of(client)));
  transaction.add("Bridge", bridge.uuid(), "mirrors", Datum::of(mirror));
  return mirror;
}

/// Throws if the session has other settings than the client has read.
void check_mirror_revision(const Database& database, const Row& bridge, const Row* mirror,
                           const Json& params) {
  const auto present =
      mirror == nullptr ? std::nullopt : std::optional(revision_of_mirror(database, *mirror));
  check_revision(params, present,
                 "session " + params["name"].get<std::string>() + " on bridge " + bridge.str("name"),
                 "mirror.get");
}

bool is_capture(const Json& params) {
  return params.contains("destination") && params["destination"].value("capture", false);
}

/// A capture ends with its client, whatever the request says of that.
Json with_end(Json params) {
  if (!is_capture(params)) return params;
  if (!params.contains("expires") || params["expires"].is_null()) params["expires"] = Json::object();
  params["expires"]["connection"] = true;
  return params;
}

void refuse_capture(const std::string& trouble) {
  if (!trouble.empty()) throw invalid("destination.capture", true, "destination.capture: " + trouble);
}

Outcome add_mirror(const MirrorMethods& methods, const Caller& caller, const Json& given) {
  UniqueFd socket = caller.client.take_descriptor();
  const Json params = with_end(given);
  Database& database = methods.database;
  const Row& bridge = bridge_named(database, params["bridge"]);
  const std::string bridge_name = params["bridge"];
  check_matches(params);
  model::MirrorSettings session;
  apply(session, params);
  if (const Row* present = find_mirror(database, bridge, session.name)) {
    const std::string there_is = "session " + session.name + " already exists on bridge " + bridge_name;
    if (params["may_exist"] != true || session.capture) throw exists("name", session.name, there_is);
    if (!is_same(model::read_mirror(database, *present), session, params)) {
      throw exists("name", session.name,
                   there_is + " with different settings: use mirror.set to change them");
    }
    return show_mirror(methods, bridge_name, session.name);
  }
  check_room(database, bridge, session.name);
  check_session(database, bridge, session, std::nullopt);
  Transaction transaction(database);
  const Uuid mirror = insert_mirror(transaction, bridge, caller.client);
  model::write_mirror(transaction, mirror, session, params);
  transaction.comment("mirror.add " + bridge_name + ' ' + session.name);
  if (session.capture) refuse_capture(methods.datapath.add_capture(mirror, std::move(socket)));
  commit(transaction);  // if this fails, the socket goes when the settings are applied next
  if (ends_with_client(params)) caller.bound.bind(caller.client, mirror);
  return show_mirror(methods, bridge_name, session.name);
}

/// The session has the settings of the params, and the defaults of those that are not given.
Outcome put_mirror(const MirrorMethods& methods, const Caller& caller, const Json& params) {
  Database& database = methods.database;
  const Row& bridge = bridge_named(database, params["bridge"]);
  const std::string bridge_name = params["bridge"], name = params["name"];
  if (is_capture(params)) refuse_capture("mirror.add makes captures: it takes the socket for the frames");
  const Row* present = find_mirror(database, bridge, name);
  check_mirror_revision(database, bridge, present, params);
  check_matches(params);
  model::MirrorSettings wanted;
  apply(wanted, params);
  const Json before =
      present == nullptr ? Json::object() : normal_form(model::read_mirror(database, *present));
  const Json changes = differences(before, normal_form(wanted));
  const bool creates = present == nullptr, changes_it = creates || !changes.empty();
  if (creates) check_room(database, bridge, name);
  const auto self = present == nullptr ? std::nullopt : std::optional(present->uuid());
  if (changes_it) check_session(database, bridge, wanted, self);
  if (params["dry_run"] != true) {
    Transaction transaction(database);
    const Uuid mirror = self ? *self : insert_mirror(transaction, bridge, caller.client);
    if (changes_it) model::write_mirror(transaction, mirror, wanted, settings_json(wanted));
    transaction.comment("mirror.put " + bridge_name + ' ' + name);
    commit(transaction);
    if (ends_with_client(params)) caller.bound.bind(caller.client, mirror);
  }
  return [methods, bridge_name, name, creates, changes_it, changes]() -> Json {
    const Row& place = bridge_named(methods.database, bridge_name);
    const bool is_there = find_mirror(methods.database, place, name) != nullptr;
    Json result = {{"changed", changes_it}, {"created", creates}, {"changes", changes}};
    if (is_there) result["mirror"] = show_mirror(methods, bridge_name, name)();
    return result;
  };
}

/// What set, enable and disable do: `changes` are applied to the session, checked, and written.
Outcome change(const MirrorMethods& methods, const Caller& caller, const Json& params, const Json& changes,
               const char* comment) {
  Database& database = methods.database;
  const Row& bridge = bridge_named(database, params["bridge"]);
  const std::string bridge_name = params["bridge"];
  const Row& mirror = mirror_named(database, bridge, params["name"]);
  check_mirror_revision(database, bridge, &mirror, params);
  check_matches(changes);
  model::MirrorSettings session = model::read_mirror(database, mirror);
  const bool was_alive = session.is_alive(wall_now_ms());
  apply(session, changes);
  // If an OVSDB client created a session that violates these rules, it may still get a description or be
  // disabled.
  const bool concerned = changes.contains("sources") || changes.contains("destination") ||
                         changes.contains("normal_io") || changes.contains("mtu_policy");
  if (concerned || (session.is_alive(wall_now_ms()) && !was_alive))
    check_session(database, bridge, session, mirror.uuid());
  Transaction transaction(database);
  model::write_mirror(transaction, mirror.uuid(), session, changes);
  transaction.comment(std::string(comment) + ' ' + bridge_name + ' ' + session.name);
  const Uuid uuid = mirror.uuid();
  commit(transaction);
  if (ends_with_client(changes)) caller.bound.bind(caller.client, uuid);
  return show_mirror(methods, bridge_name, session.name);
}

/// Renews a session that has ended: without a time or connection that ends it, and with its quota counted
/// from zero.
Outcome enable(const MirrorMethods& methods, const Caller& caller, const Json& params) {
  const Row& bridge = bridge_named(methods.database, params["bridge"]);
  const model::MirrorSettings session =
      model::read_mirror(methods.database, mirror_named(methods.database, bridge, params["name"]));
  Json changes = {{"enabled", true}};
  if (session.has_ended(wall_now_ms())) changes["expires"] = expires_of_new_life(session);
  return change(methods, caller, params, changes, "mirror.enable");
}

Outcome del_mirror(const MirrorMethods& methods, const Json& params) {
  Database& database = methods.database;
  const Row* bridge = model::find_bridge(database, params["bridge"]);
  const std::string name = params["name"];
  if (params["if_exists"] == true && (bridge == nullptr || find_mirror(database, *bridge, name) == nullptr)) {
    return [] { return Json{{"removed", false}}; };
  }
  const Row& place = bridge_named(database, params["bridge"]);
  const Row& row = mirror_named(database, place, name);
  check_mirror_revision(database, place, &row, params);
  const Uuid mirror = row.uuid();
  Transaction transaction(database);
  transaction.remove("Bridge", place.uuid(), "mirrors", Datum::of(mirror));
  transaction.comment("mirror.del " + place.str("name") + ' ' + name);
  commit(transaction);
  return [] { return Json{{"removed", true}}; };
}

Json list_mirrors(const MirrorMethods& methods, const Json& params) {
  Json mirrors = Json::array();
  for (const auto& [bridge_name, bridge] : bridges_asked_for(methods.database, params)) {
    for (const auto& [name, mirror] : model::mirrors_of(methods.database, *bridge)) {
      mirrors.push_back(mirror_json(methods, *bridge, *mirror));
    }
  }
  return {{"mirrors", mirrors}};
}

Json mirror_stats(const MirrorMethods& methods, const Json& params) {
  if (params.contains("name")) {
    if (!params.contains("bridge"))
      throw invalid("bridge", nullptr, "bridge is missing: a session name is unique only within its bridge");
    mirror_named(methods.database, bridge_named(methods.database, params["bridge"]), params["name"]);
  }
  Json mirrors = Json::array();
  for (const auto& [bridge_name, bridge] : bridges_asked_for(methods.database, params)) {
    for (const auto& [name, mirror] : model::mirrors_of(methods.database, *bridge)) {
      if (params.contains("name") && params["name"] != name) continue;
      const model::MirrorState state = model::state_of_mirror(*mirror);
      const Account account = account_of(methods.counters, *mirror);
      const Json counters = counters_json(account.of_session);
      mirrors.push_back({{"bridge", bridge_name},
                         {"name", name},
                         {"uuid", mirror->uuid().to_string()},
                         {"state", state.state},
                         {"reason", state.reason},
                         {"notice", methods.counters.mirror_notice(mirror->uuid())},
                         {"counters", counters},
                         {"destinations", destinations_json(methods.database, account)}});
    }
  }
  return {{"mirrors", mirrors}};
}

/// The sessions that the parameters name: one, those of a bridge, or all.
std::vector<const Row*> mirrors_asked_for(const Database& database, const Json& params) {
  if (params.contains("name")) {
    if (!params.contains("bridge"))
      throw invalid("bridge", nullptr, "bridge is missing: a session name is unique only within its bridge");
    return {&mirror_named(database, bridge_named(database, params["bridge"]), params["name"])};
  }
  std::vector<const Row*> mirrors;
  for (const auto& [bridge_name, bridge] : bridges_asked_for(database, params)) {
    for (const auto& [name, mirror] : model::mirrors_of(database, *bridge)) mirrors.push_back(mirror);
  }
  return mirrors;
}

Outcome reset_mirrors(const MirrorMethods& methods, const Json& params) {
  std::vector<Uuid> mirrors;
  for (const Row* mirror : mirrors_asked_for(methods.database, params)) mirrors.push_back(mirror->uuid());
  methods.counters.reset_mirror_counters(mirrors);
  return [count = mirrors.size()] { return Json{{"reset", count}}; };
}

Json dump_record(const MirrorMethods& methods, control::Client& client, const Json& params) {
  UniqueFd socket = client.take_descriptor();
  const Row& bridge = bridge_named(methods.database, params["bridge"]);
  const std::string name = params["name"];
  const Row& row = mirror_named(methods.database, bridge, name);
  if (!model::read_mirror(methods.database, row).records())
    throw conflict("name", name,
                   "session " + name + " does not record: mirror.set with destination.record_bytes makes it");
  bridge::Recording held;
  const std::string trouble =
      methods.datapath.dump_record(row.uuid(), std::move(socket), params["clear"] == true, held);
  if (!trouble.empty()) throw conflict("name", name, "session " + name + ": " + trouble);
  log::info(kRecords, "{}/{}: {} recorded frames are written for {}{}", bridge.str("name"), name, held.frames,
            client.who(), params["clear"] == true ? ", and forgotten then" : "");
  return {{"recording", recording_json(held)},
          {"counters", counters_json(account_of(methods.counters, row).of_session)}};
}

}  // namespace

void add_mirror_methods(Methods& methods, bridge::CountersView& counters, bridge::DatapathView& datapath) {
  const MirrorMethods shared{methods, counters, datapath};
  const auto bound = std::make_shared<BoundSessions>(methods.database);
  methods.change("mirror.add", [shared, bound](control::Client& client, const Json& params) {
    return add_mirror(shared, {client, *bound}, params);
  });
  methods.change("mirror.put", [shared, bound](control::Client& client, const Json& params) {
    return put_mirror(shared, {client, *bound}, params);
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
  methods.change("mirror.del", [shared](const Json& params) { return del_mirror(shared, params); });
  methods.change("mirror.reset", [shared](const Json& params) { return reset_mirrors(shared, params); });
  methods.act("mirror.dump_record", [shared](control::Client& client, const Json& params) {
    return dump_record(shared, client, params);
  });
  methods.read("mirror.get", [shared](const Json& params) {
    return show_mirror(shared, params["bridge"], params["name"])();
  });
  methods.read("mirror.list", [shared](const Json& params) { return list_mirrors(shared, params); });
  methods.read("mirror.stats", [shared](const Json& params) { return mirror_stats(shared, params); });
}

}  // namespace vswitch::api
