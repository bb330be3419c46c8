// SPDX-License-Identifier: Apache-2.0
// mirror.import and mirror.export: sessions in vSphere's format.
//
// A list is one change: every session is planned and checked against all others as they will be, and then all
// are written in one transaction.
#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "switchd/api/errors.h"
#include "switchd/api/methods.h"
#include "switchd/api/mirror_life.h"
#include "switchd/api/mirror_session.h"
#include "switchd/model/mirror_rules.h"
#include "switchd/vsphere/vspan_session.h"
#include "switchd/vsphere/vsphere.h"

namespace vswitch::vsphere {
namespace {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;

/// external_ids of an Interface that hold vSphere's port key and uplink name, or the port's id elsewhere.
constexpr char kPortKeyId[] = "vsphere-port-key";
constexpr char kUplinkId[] = "vsphere-uplink";
constexpr char kIfaceId[] = "iface-id";

Kept kept_of(const ovsdb::Row& mirror) {
  Kept kept = mirror.map("external_ids");
  std::erase_if(kept, [](const auto& id) { return !id.first.starts_with(kKeptPrefix); });
  return kept;
}

constexpr char kKeptKey[] = "vsphere-key";

std::string key_of(const ovsdb::Row& mirror) {
  const std::string* key = mirror.value("external_ids", kKeptKey);
  return key == nullptr ? mirror.uuid().to_string() : *key;
}

std::optional<std::string> given_key(const Json& session) {
  const auto key = session.find("key");
  return key == session.end() || key->is_null() ? std::nullopt : std::optional(key->get<std::string>());
}

/// If two ports have the same name, which only their owner can tell apart, it refers to neither.
void name_port(std::map<std::string, std::string>& names, const std::string* name, const std::string& port) {
  if (name == nullptr || name->empty()) return;
  const auto [at, inserted] = names.emplace(*name, port);
  if (!inserted && at->second != port) at->second.clear();
}

/// By the external ids of interfaces; entries of the request take precedence.
PortNames port_names(const ovsdb::Database& database, const ovsdb::Row& bridge, const Json& params) {
  PortNames names;
  std::map<std::string, std::string> by_iface_id;
  for (const auto& [port, row] : model::ports_of(database, bridge)) {
    const ovsdb::Row* interface = model::interface_of(database, *row);
    if (interface == nullptr) continue;
    name_port(names.by_key, interface->value("external_ids", kPortKeyId), port);
    name_port(by_iface_id, interface->value("external_ids", kIfaceId), port);
    name_port(names.by_uplink, interface->value("external_ids", kUplinkId), port);
  }
  names.by_key.merge(by_iface_id);
  for (auto* known : {&names.by_key, &names.by_uplink})
    std::erase_if(*known, [](const auto& name) { return name.second.empty(); });
  for (const auto& [key, port] : params["ports"].items()) names.by_key[key] = port;
  for (const auto& [uplink, port] : params["uplinks"].items()) names.by_uplink[uplink] = port;
  return names;
}

PortLabels port_labels(const ovsdb::Database& database, const ovsdb::Row& bridge) {
  PortLabels labels;
  for (const auto& [port, row] : model::ports_of(database, bridge)) {
    const ovsdb::Row* interface = model::interface_of(database, *row);
    if (interface == nullptr) continue;
    for (const char* id : {kIfaceId, kPortKeyId}) {
      if (const std::string* key = interface->value("external_ids", id)) labels.call(port, *key);
    }
    if (const std::string* uplink = interface->value("external_ids", kUplinkId))
      labels.call_uplink(port, *uplink);
  }
  return labels;
}

/// A session as it will be.
struct Planned {
  std::optional<Uuid> row;  ///< set if it exists
  model::MirrorSettings session;
  Kept kept;
  std::string key;        ///< empty: the key of the row to be made
  std::string operation;  ///< add, edit; empty: no change
  std::string where;      ///< its position in the request
  Json params;
};

class Plan {
 public:
  Plan(const ovsdb::Database& database, const ovsdb::Row& bridge, const Json& params);

  void take(const Json& params);
  void check() const;
  /// `origin` is for sessions that are created now.
  void write(Transaction& transaction, const Datum& origin);
  Json result(const ovsdb::Database& database) const;

 private:
  using Step = std::function<void()>;
  void in_request(const std::string& where, const Json& session, const Step& step) const;
  void take_spec(const Json& spec, const std::string& where);
  void put(const Json& session, const std::string& where);
  void set(Planned* present, const Json& session, const std::string& where);
  void remove(const Json& session);
  Planned* find(const Json& session);
  Planned& at(const Json& session);
  std::string name_for(const Json& session) const;
  void warn_of_missing_ports(const Planned& planned);
  void check_beside_others(const Planned& one) const;
  void check_strictly(const Planned& one) const;

  const ovsdb::Database& database_;
  const ovsdb::Row& bridge_;
  const model::ByName ports_;
  const PortNames names_;
  const bool strict_;
  std::vector<Planned> sessions_;
  std::vector<Planned> removed_;
  Json warnings_ = Json::array();
};

Plan::Plan(const ovsdb::Database& database, const ovsdb::Row& bridge, const Json& params)
    : database_(database),
      bridge_(bridge),
      ports_(model::ports_of(database, bridge)),
      names_(port_names(database, bridge, params)),
      strict_(params["strict"] == true) {
  for (const auto& [name, row] : model::mirrors_of(database, bridge)) {
    sessions_.push_back({.row = row->uuid(),
                         .session = model::read_mirror(database, *row),
                         .kept = kept_of(*row),
                         .key = key_of(*row),
                         .operation = {},
                         .where = {},
                         .params = {}});
  }
}

/// An error in one session of the request names that session.
void Plan::in_request(const std::string& where, const Json& session, const Step& step) const {
  try {
    step();
  } catch (jsonrpc::Error& error) {
    const std::string field = error.data["field"];
    error.data["field"] = where + (field.empty() ? "" : '.' + field);
    if (strict_ && error.data["reason"] == "invalid" && !error.data.contains("fault"))
      error.data["fault"] = "InvalidArgument";
    const Json name = session.value("name", Json());
    error.message =
        where + (name.is_string() ? " (" + name.get<std::string>() + "): " : ": ") + error.message;
    throw;
  }
}

void Plan::take(const Json& params) {
  if (params.contains("sessions") == params.contains("vspanConfigSpec"))
    throw api::invalid("sessions", nullptr, "give either sessions or a vspanConfigSpec");
  const char* list = params.contains("sessions") ? "sessions" : "vspanConfigSpec";
  for (std::size_t i = 0; i < params[list].size(); ++i) {
    const Json& item = params[list][i];
    const std::string where = std::string(list) + '[' + std::to_string(i) + ']';
    if (params.contains("sessions")) {
      in_request(where, item, [&] { put(item, where); });
    } else {
      in_request(where + ".vspanSession", item["vspanSession"],
                 [&] { take_spec(item, where + ".vspanSession"); });
    }
  }
}

void Plan::take_spec(const Json& spec, const std::string& where) {
  const Json& session = spec["vspanSession"];
  if (spec["operation"] == "remove") return remove(session);
  if (spec["operation"] == "edit") return set(&at(session), session, where);
  if (Planned* present = find(session))
    throw api::exists("key", present->key, "a session with the key " + present->key + " already exists");
  set(nullptr, session, where);
}

/// Creates the session, or changes it if it exists. Without a key it is found by its name, among those that
/// came from vSphere.
void Plan::put(const Json& session, const std::string& where) {
  Planned* present = find(session);
  const Json name = session.value("name", Json());
  if (present == nullptr && !given_key(session) && name.is_string()) {
    const auto found = std::find_if(sessions_.begin(), sessions_.end(), [&name](const Planned& planned) {
      return planned.session.name == name && !planned.kept.empty() && planned.operation.empty();
    });
    if (found != sessions_.end()) present = &*found;
  }
  set(present, session, where);
}

void Plan::set(Planned* present, const Json& session, const std::string& where) {
  if (strict_) vsphere::check_strictly(session);
  Imported imported = import_session(session, names_, present ? present->session.name : name_for(session));
  if (present == nullptr) {
    sessions_.push_back({});
    present = &sessions_.back();
  }
  if (!present->operation.empty())
    throw api::conflict("key", present->key, "the session with the key " + present->key + " is given twice");
  const std::string key = given_key(session).value_or(present->key);
  present->operation = present->row ? "edit" : "add";
  present->where = where;
  api::apply(present->session, imported.params);
  present->params = std::move(imported.params);
  present->kept = std::move(imported.kept);
  // The key of a row need not be kept.
  present->kept.erase(kKeptKey);
  if (!key.empty() && (!present->row || key != present->row->to_string())) present->kept[kKeptKey] = key;
  present->key = key;
  for (const Warning& warning : imported.warnings) {
    warnings_.push_back({{"session", present->session.name},
                         {"field", where + '.' + warning.field},
                         {"sentence", warning.sentence}});
  }
  warn_of_missing_ports(*present);
}

void Plan::remove(const Json& session) {
  const Planned& gone = at(session);
  removed_.push_back(gone);
  removed_.back().operation = "remove";
  sessions_.erase(sessions_.begin() + (&gone - sessions_.data()));
}

Planned* Plan::find(const Json& session) {
  const auto key = given_key(session);
  const auto found = std::find_if(sessions_.begin(), sessions_.end(),
                                  [&key](const Planned& planned) { return key && planned.key == *key; });
  return found == sessions_.end() ? nullptr : &*found;
}

Planned& Plan::at(const Json& session) {
  const auto key = given_key(session);
  if (!key) throw api::invalid("key", nullptr, "key is missing: it identifies the session");
  if (Planned* found = find(session)) return *found;
  throw api::not_found("key", *key, "bridge " + bridge_.str("name") + " has no session with the key " + *key);
}

/// vSphere's sessions may have no name, ours must have one.
std::string Plan::name_for(const Json& session) const {
  const auto key = given_key(session);
  std::string stem = "vspan-" + key.value_or("1");
  const auto taken = [this](const std::string& name) {
    return std::any_of(sessions_.begin(), sessions_.end(),
                       [&name](const Planned& planned) { return planned.session.name == name; });
  };
  if (key || !taken(stem)) return stem;
  for (std::size_t number = 2;; ++number) {
    std::string name = "vspan-" + std::to_string(number);
    if (!taken(name)) return name;
  }
}

void Plan::warn_of_missing_ports(const Planned& planned) {
  const auto look = [&](const std::string& port) {
    if (ports_.contains(port)) return;
    warnings_.push_back({{"session", planned.session.name},
                         {"field", planned.where},
                         {"sentence", "bridge " + bridge_.str("name") + " has no port " + port +
                                          ", nor one with that external id: the session waits for it"}});
  };
  for (const auto& [port, direction] : planned.session.source_ports) look(port);
  for (const std::string& port : planned.session.destination_ports) {
    if (!planned.session.source_ports.contains(port)) look(port);
  }
}

void Plan::check_beside_others(const Planned& one) const {
  for (const Planned& other : sessions_) {
    if (&other == &one) continue;
    if (other.session.name == one.session.name)
      throw api::exists("name", one.session.name, "there is another session " + one.session.name);
    api::check_beside(one.session, other.session);
  }
}

void Plan::check_strictly(const Planned& one) const {
  const auto neighbour = [](const Planned& planned) {
    const std::string& key = planned.key.empty() ? planned.session.name : planned.key;
    return Neighbour{key, &planned.session, &planned.kept};
  };
  for (const Planned& other : sessions_) vsphere::check_strictly(neighbour(one), neighbour(other));
}

void Plan::check() const {
  if (sessions_.size() > model::kMaxSessions) {
    throw api::conflict("sessions", sessions_.size(),
                        "bridge " + bridge_.str("name") + " would have " + std::to_string(sessions_.size()) +
                            " sessions; the limit is " + std::to_string(model::kMaxSessions) + " per bridge");
  }
  for (const Planned& planned : sessions_) {
    if (planned.operation.empty()) continue;
    in_request(planned.where, planned.params, [&] {
      if (strict_) check_strictly(planned);
      api::check_alone(database_, bridge_, planned.session);
      check_beside_others(planned);
    });
  }
}

void Plan::write(Transaction& transaction, const Datum& origin) {
  for (const Planned& planned : removed_)
    transaction.remove("Bridge", bridge_.uuid(), "mirrors", Datum::of(*planned.row));
  for (Planned& planned : sessions_) {
    if (planned.operation.empty()) continue;
    std::map<std::string, std::string> ids;
    if (planned.row) {
      ids = database_.find("Mirror", *planned.row)->map("external_ids");
      std::erase_if(ids, [](const auto& id) { return id.first.starts_with(kKeptPrefix); });
    } else {
      planned.row = transaction.insert("Mirror");
      transaction.set("Mirror", *planned.row, "origin", origin);
      transaction.add("Bridge", bridge_.uuid(), "mirrors", Datum::of(*planned.row));
    }
    if (planned.key.empty()) planned.key = planned.row->to_string();
    ids.insert(planned.kept.begin(), planned.kept.end());
    transaction.set("Mirror", *planned.row, "external_ids", Datum::map_of(ids));
    model::write_mirror(transaction, *planned.row, planned.session, planned.params);
  }
  transaction.comment("mirror.import " + bridge_.str("name"));
}

Json Plan::result(const ovsdb::Database& database) const {
  Json list = Json::array();
  for (const auto* planned_sessions : {&removed_, &sessions_}) {
    for (const Planned& planned : *planned_sessions) {
      if (planned.operation.empty()) continue;
      const ovsdb::Row* row = planned.row ? database.find("Mirror", *planned.row) : nullptr;
      const model::MirrorState state = row ? model::state_of_mirror(*row) : model::MirrorState{};
      list.push_back({{"operation", planned.operation},
                      {"key", planned.key.empty() ? Json() : Json(planned.key)},
                      {"name", planned.session.name},
                      {"state", row ? Json(state.state) : Json()},
                      {"reason", state.reason}});
    }
  }
  return {{"sessions", list}, {"warnings", warnings_}};
}

api::Outcome import(const api::Methods& methods, const control::Client& client, const Json& params) {
  ovsdb::Database& database = methods.database;
  const ovsdb::Row& bridge = api::bridge_named(database, params["bridge"]);
  const auto plan = std::make_shared<Plan>(database, bridge, params);
  plan->take(params);
  plan->check();
  if (params["dry_run"] != true) {
    Transaction transaction(database);
    plan->write(transaction, Datum::map_of(api::origin_of(client)));
    api::commit(transaction);
  }
  return [&database, plan] { return plan->result(database); };
}

/// Sessions that vSphere cannot represent are left out of a list, with a warning.
Json export_sessions(const ovsdb::Database& database, const Json& params) {
  const ovsdb::Row& bridge = api::bridge_named(database, params["bridge"]);
  const PortLabels labels = port_labels(database, bridge);
  Json sessions = Json::array();
  Json warnings = Json::array();
  bool found = false;
  for (const auto& [name, mirror] : model::mirrors_of(database, bridge)) {
    if (params.contains("name") && params["name"] != name) continue;
    found = true;
    try {
      Json session = export_session(model::read_mirror(database, *mirror), kept_of(*mirror), labels);
      session["key"] = key_of(*mirror);
      sessions.push_back(std::move(session));
    } catch (const jsonrpc::Error& error) {
      if (params.contains("name")) throw;
      warnings.push_back({{"session", name}, {"field", ""}, {"sentence", error.message}});
    }
  }
  if (params.contains("name") && !found)
    throw api::not_found(
        "name", params["name"],
        "bridge " + bridge.str("name") + " has no session " + params["name"].get<std::string>());
  return {{"sessions", sessions}, {"warnings", warnings}};
}

}  // namespace

void register_methods(control::Dispatcher& dispatcher, ovsdb::Database& database,
                      bridge::AppliedView& applied, history::History& history) {
  api::Methods methods(dispatcher, database, applied, history);
  const api::Methods shared = methods;
  methods.change("mirror.import", [shared](control::Client& client, const Json& params) {
    return import(shared, client, params);
  });
  methods.read("mirror.export",
               [shared](const Json& params) { return export_sessions(shared.database, params); });
}

}  // namespace vswitch::vsphere
