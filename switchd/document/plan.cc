// SPDX-License-Identifier: Apache-2.0
#include "switchd/document/plan.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "schemas/jsonrpc/message.h"
#include "switchd/api/bridge_settings.h"
#include "switchd/api/errors.h"
#include "switchd/api/mirror_life.h"
#include "switchd/api/mirror_session.h"
#include "switchd/api/normal_form.h"
#include "switchd/base/wall_clock.h"
#include "switchd/document/conflicts.h"
#include "switchd/model/mirror_rules.h"
#include "switchd/model/rows.h"
#include "switchd/model/tunnel_settings.h"

namespace vswitch::document {
namespace {

using ovsdb::Datum;
using ovsdb::Transaction;
using ovsdb::Uuid;

/// Bridges, ports and sessions in a document: one such document takes some 6 s.
constexpr std::size_t kMaxItems = 32768;

/// An error about a member of the document names its path.
template <class Do>
void in_document(const std::string& path, const Do& work) {
  try {
    work();
  } catch (jsonrpc::Error& error) {
    const std::string field = error.data["field"];
    error.data["field"] = "document." + path + (field.empty() ? "" : '.' + field);
    error.message = path + ": " + error.message;
    throw;
  }
}

[[noreturn]] void refuse_name(const std::string& name, const std::string& trouble) {
  throw api::invalid("", name, trouble);
}

const Json& list_of(const Json& bridge, const char* list) {
  static const Json kNone = Json::object();
  const auto found = bridge.find(list);
  return found == bridge.end() ? kNone : *found;
}

model::MirrorSettings mirror_settings_from(const std::string& name, const Json& wanted) {
  model::MirrorSettings session;
  session.name = name;
  Json params = wanted;
  params.erase("expires");
  api::check_matches(params);
  api::apply(session, params);
  if (session.capture)
    throw api::invalid("destination.capture", true,
                       "destination.capture: a capture ends with its program, so no document has it; "
                       "`vswitch-ctl capture` makes one");
  if (wanted.contains("expires")) api::set_end(session, wanted["expires"]);
  return session;
}

const char* to_text(Operation operation) {
  switch (operation) {
    case Operation::add:
      return "add";
    case Operation::change:
      return "change";
    case Operation::remove:
      return "remove";
  }
  return "";
}

Datum rows_of(const std::vector<Uuid>& rows) {
  return Datum::set_of(rows);
}

/// Rows that are added to a list or removed from it, by the bridge that has it: all at once, because each
/// change of a list copies it.
using RowLists = std::map<std::string, std::vector<Uuid>>;

}  // namespace

Plan::Plan(const Database& database, const Json& params)
    : database_(database),
      prune_(params["prune"] == true),
      dry_run_(params["dry_run"] == true),
      only_bridge_(params.contains("bridge") ? std::optional(params["bridge"].get<std::string>())
                                             : std::nullopt),
      present_(read_present(database)) {
  const Json& document = params["document"];
  check_size(document);
  const Json& bridges = document["bridges"];
  if (only_bridge_ && !bridges.contains(*only_bridge_))
    throw api::not_found("bridge", *only_bridge_, "the document has no bridge " + *only_bridge_);
  for (const auto& [bridge, item] : present_.bridges) {
    for (const auto& [port, port_item] : item.ports) present_places_[port] = bridge;
  }
  places_ = present_places_;
  if (!only_bridge_ && document.contains("config")) take_config(document["config"]);
  if (prune_) find_removed(bridges);
  for (const auto& [name, bridge] : bridges.items()) {
    if (!only_bridge_ || *only_bridge_ == name) take_bridge(name, bridge);
  }
  check_names();
  check_tunnels();
  std::set<std::string> concerned;
  for (const auto& step : mirrors_) {
    if (step.operation != Operation::remove) concerned.insert(step.bridge);
  }
  for (const std::string& bridge : concerned) check_mirrors(bridge);
  check_recorders();
}

void Plan::check_size(const Json& document) const {
  std::size_t items = 0;
  for (const Json& bridge : document["bridges"])
    items += 1 + list_of(bridge, "ports").size() + list_of(bridge, "mirrors").size();
  if (items > kMaxItems) {
    throw api::invalid("document.bridges", items,
                       "the document has " + std::to_string(items) +
                           " bridges, ports and sessions; the limit is " + std::to_string(kMaxItems) +
                           ": apply it in parts");
  }
}

void Plan::take_config(const Json& config) {
  config_ = present_.config;
  if (prune_) config_ = Json::object();
  config_.update(config);
  config_changes_ = api::differences(present_.config, config_);
}

/// Removed items go first: a port may move to another bridge.
void Plan::find_removed(const Json& bridges) {
  for (const auto& [name, item] : present_.bridges) {
    if (only_bridge_ && *only_bridge_ != name) continue;
    if (!bridges.contains(name)) {
      remove_bridge(name, item);
      continue;
    }
    if (bridges[name].contains("ports"))
      remove_items(name, "ports", item.ports, bridges[name]["ports"], ports_);
    if (bridges[name].contains("mirrors"))
      remove_items(name, "mirrors", item.mirrors, bridges[name]["mirrors"], mirrors_);
  }
}

void Plan::remove_bridge(const std::string& name, const BridgeItem& item) {
  if (!item.obstacle.empty()) {
    kept_.push_back({path_of(name), "not pruned, because a document cannot have it: " + item.obstacle});
    return;
  }
  for (const auto& [port, port_item] : item.ports) {
    places_.erase(port);
    if (port != name) ports_.push_back({Operation::remove, name, port, port_item.row->uuid(), {}});
  }
  for (const auto& [mirror, mirror_item] : item.mirrors) {
    if (mirror_item.row != nullptr)
      mirrors_.push_back({Operation::remove, name, mirror, mirror_item.row->uuid(), {}});
  }
  bridges_.push_back({Operation::remove, name, name, item.row->uuid(), {}});
}

template <class Item, class Steps>
void Plan::remove_items(const std::string& bridge, const char* list, const std::map<std::string, Item>& items,
                        const Json& wanted, Steps& steps) {
  constexpr bool kPorts = std::is_same_v<Item, PortItem>;
  for (const auto& [name, item] : items) {
    if (wanted.contains(name) || (kPorts && name == bridge)) continue;
    if (!item.obstacle.empty()) {
      kept_.push_back(
          {path_of(bridge, list, name), "not pruned, because a document cannot have it: " + item.obstacle});
      continue;
    }
    if (kPorts) places_.erase(name);
    steps.push_back({Operation::remove, bridge, name, item.row->uuid(), {}});
  }
}

void Plan::take_bridge(const std::string& name, const Json& wanted) {
  in_document(path_of(name), [&] {
    if (const std::string trouble = bridge_name_trouble(name); !trouble.empty()) refuse_name(name, trouble);
    const auto found = present_.bridges.find(name);
    const bool is_new = found == present_.bridges.end();
    if (!is_new && !wanted.contains("settings")) return;
    model::Bridge settings = api::bridge_settings_from(list_of(wanted, "settings"));
    const Json text = api::normal_form(settings);
    Json changes = api::differences(is_new ? Json::object() : found->second.text, text);
    if (is_new) {
      places_[name] = name;
      bridges_.push_back({Operation::add, name, name, std::nullopt, std::move(settings), std::move(changes)});
    } else if (!changes.empty()) {
      bridges_.push_back({Operation::change, name, name, found->second.row->uuid(), std::move(settings),
                          std::move(changes)});
    }
  });
  const Json& ports = list_of(wanted, "ports");
  for (const auto& [port, settings] : ports.items()) {
    in_document(path_of(name, "ports", port),
                [&, &key = port, &given = settings] { take_port(name, key, given); });
  }
  if (prune_ && wanted.contains("ports") && !ports.contains(name)) take_port(name, name, Json::object());
  for (const auto& [mirror, settings] : list_of(wanted, "mirrors").items()) {
    in_document(path_of(name, "mirrors", mirror),
                [&, &key = mirror, &given = settings] { take_mirror(name, key, given); });
  }
}

void Plan::take_port(const std::string& bridge, const std::string& name, const Json& wanted) {
  const bool is_own = name == bridge;
  api::PortSettings settings = api::port_settings_from(name, wanted);
  std::string& type = settings.interface.type;
  if (is_own && type.empty()) type = "internal";
  if (const std::string trouble = port_name_trouble(name, type); !trouble.empty()) refuse_name(name, trouble);
  Json text = api::normal_form(settings);
  if (is_own) text.erase("type");
  const auto place = places_.find(name);
  const bool is_new = place == places_.end() || (is_own && !present_.bridges.contains(bridge));
  if (place != places_.end() && place->second != bridge) {
    throw api::conflict(
        "", name,
        "port " + name + " is on bridge " + place->second + ": delete it there first, or let prune do it");
  }
  if (is_new) {
    if (is_own && type != "internal")
      throw api::refused("type", type, "the own port of a bridge is of type internal: leave out its type");
    api::check_settings(settings);
    places_[name] = bridge;
    if (is_own && text.empty()) return;  // the bridge makes it
    ports_.push_back({is_own ? Operation::change : Operation::add, bridge, name, std::nullopt,
                      std::move(settings), api::differences(Json::object(), text)});
    return;
  }
  const PortItem& present = present_.bridges.at(bridge).ports.at(name);
  if (present.alien)
    throw api::refused("", name, "port " + name + " cannot be changed by a document: " + present.obstacle);
  const std::string& present_type = present.settings.interface.type;
  if (present_type != type) {
    const auto word = [](const std::string& one) { return one.empty() ? "system" : one; };
    throw api::refused("type", type,
                       "port " + name + " is of type " + word(present_type) + ", not " + word(type) +
                           ", and a type cannot be changed: delete the port first");
  }
  Json changes = api::differences(present.text, text);
  if (changes.empty()) return;
  api::check_settings(settings);
  ports_.push_back(
      {Operation::change, bridge, name, present.row->uuid(), std::move(settings), std::move(changes)});
}

void Plan::take_mirror(const std::string& bridge, const std::string& name, const Json& wanted) {
  if (const std::string trouble = session_name_trouble(name); !trouble.empty()) refuse_name(name, trouble);
  model::MirrorSettings settings = mirror_settings_from(name, wanted);
  const Json text = api::normal_form(settings);
  const auto at = present_.bridges.find(bridge);
  const MirrorItem* present = nullptr;
  if (at != present_.bridges.end()) {
    const auto found = at->second.mirrors.find(name);
    if (found != at->second.mirrors.end()) present = &found->second;
  }
  if (present == nullptr) {
    mirrors_.push_back({Operation::add, bridge, name, std::nullopt, std::move(settings),
                        api::differences(Json::object(), text)});
    return;
  }
  if (present->alien)
    throw api::refused("", name,
                       "session " + name + " cannot be changed by a document: " + present->obstacle);
  Json changes = api::differences(present->text, text);
  if (changes.empty()) return;
  mirrors_.push_back(
      {Operation::change, bridge, name, present->row->uuid(), std::move(settings), std::move(changes)});
}

/// A new bridge or port needs a name that no interface has; those that are removed make room.
void Plan::check_names() const {
  std::set<std::string> freed;
  for (const auto& step : ports_) {
    if (step.operation == Operation::remove) freed.insert(step.name);
  }
  for (const auto& step : bridges_) {
    if (step.operation == Operation::remove) freed.insert(step.name);
  }
  const auto check = [&](const std::string& path, const std::string& name) {
    if (freed.contains(name)) return;
    if (database_.table("Interface").find("name", name) == nullptr &&
        model::find_port(database_, name) == nullptr)
      return;
    in_document(path, [&] {
      throw api::conflict("", name, name + " is the name of another port or interface: choose another one");
    });
  };
  for (const auto& step : bridges_) {
    if (step.operation != Operation::add) continue;
    check(path_of(step.name), step.name);
    if (places_.at(step.name) != step.name) {
      in_document(path_of(step.name), [&] {
        throw api::conflict("", step.name,
                            "the document has a port of this name on another bridge, and the "
                            "bridge's own port needs the name: rename one of them");
      });
    }
  }
  for (const auto& step : ports_) {
    if (step.operation == Operation::add) check(path_of(step.bridge, "ports", step.name), step.name);
  }
}

/// No two tunnels with the same ends, of those that are changed and all others.
void Plan::check_tunnels() const {
  std::map<std::string, const api::PortSettings*> changed;
  std::map<model::TunnelEnds, std::string> taken;
  for (const auto& step : ports_) {
    if (step.operation != Operation::remove) changed[step.name] = &step.settings;
  }
  if (changed.empty()) return;
  for (const auto& [bridge, item] : present_.bridges) {
    for (const auto& [name, port] : item.ports) {
      if (!places_.contains(name) || changed.contains(name) || port.alien) continue;
      if (!model::is_tunnel_type(port.settings.interface.type)) continue;
      const model::DesiredEndpoint tunnel = model::tunnel_of(port.settings.interface);
      if (tunnel.refusal.empty()) taken.emplace(model::ends_of(tunnel.settings), name);
    }
  }
  for (const auto& step : ports_) {
    if (step.operation == Operation::remove || !model::is_tunnel_type(step.settings.interface.type)) continue;
    const auto [other, is_free] =
        taken.emplace(model::ends_of(model::tunnel_of(step.settings.interface).settings), step.name);
    if (is_free) continue;
    in_document(path_of(step.bridge, "ports", step.name), [&, &first = other->second] {
      throw api::conflict("options", step.settings.interface.options,
                          "tunnel " + first + " has the same remote_ip, local_ip and key: give another key");
    });
  }
}

std::string Plan::place_of(const std::string& port) const {
  const auto found = places_.find(port);
  return found == places_.end() ? "" : found->second;
}

void Plan::check_mirrors(const std::string& bridge) const {
  std::map<std::string, const Step<model::MirrorSettings>*> steps;
  std::set<std::string> removed;
  for (const auto& step : mirrors_) {
    if (step.bridge != bridge) continue;
    if (step.operation == Operation::remove) {
      removed.insert(step.name);
    } else {
      steps[step.name] = &step;
    }
  }
  Conflicts conflicts(wall_now_ms());
  std::size_t sessions = steps.size();
  const auto present = present_.bridges.find(bridge);
  if (present != present_.bridges.end()) {
    for (const auto& [name, item] : present->second.mirrors) {
      if (steps.contains(name) || removed.contains(name)) continue;
      ++sessions;
      conflicts.add(item.settings);
    }
  }
  if (sessions > model::kMaxSessions) {
    in_document(path_of(bridge), [&] {
      throw api::conflict("mirrors", sessions,
                          "the bridge would have " + std::to_string(sessions) + " sessions; the limit is " +
                              std::to_string(model::kMaxSessions) + " per bridge");
    });
  }
  for (const auto& [name, step] : steps) {
    in_document(path_of(bridge, "mirrors", name), [&, session = &step->settings] {
      api::refuse(
          model::problem_alone(bridge, *session, [this](const std::string& port) { return place_of(port); }));
      api::refuse(conflicts.with(*session));
      conflicts.add(*session);
    });
  }
}

/// All recorders together, of sessions that are changed and all others.
void Plan::check_recorders() const {
  std::set<Uuid> changed;
  for (const auto& step : mirrors_) {
    if (step.row) changed.insert(*step.row);
  }
  std::int64_t bytes = 0;
  for (const Row& row : database_.table("Mirror")) {
    if (changed.contains(row.uuid()) || (!row.integer("record_bytes") && !row.integer("record_seconds")))
      continue;
    bytes += model::read_mirror(database_, row).record_memory();
  }
  for (const auto& step : mirrors_) {
    if (step.operation == Operation::remove) continue;
    in_document(path_of(step.bridge, "mirrors", step.name),
                [&] { api::refuse(model::problem_of_recorder(step.settings, bytes)); });
    bytes += step.settings.record_memory();
  }
}

bool Plan::empty() const {
  return config_changes_.empty() && bridges_.empty() && ports_.empty() && mirrors_.empty();
}

void Plan::write(Transaction& transaction, const Datum& origin) const {
  std::map<std::string, Uuid> rows;
  for (const auto& [name, item] : present_.bridges) rows[name] = item.row->uuid();
  RowLists ports, mirrors;
  for (const auto& step : ports_) {
    if (step.operation == Operation::remove) ports[step.bridge].push_back(*step.row);
  }
  for (const auto& step : mirrors_) {
    if (step.operation == Operation::remove) mirrors[step.bridge].push_back(*step.row);
  }
  for (const auto& [bridge, gone] : ports)
    transaction.remove("Bridge", rows.at(bridge), "ports", rows_of(gone));
  for (const auto& [bridge, gone] : mirrors)
    transaction.remove("Bridge", rows.at(bridge), "mirrors", rows_of(gone));
  const Uuid root = write_bridges(transaction, rows);
  if (!config_changes_.empty()) {
    transaction.set("Open_vSwitch", root, "other_config",
                    Datum::map_of(config_.get<std::map<std::string, std::string>>()));
  }
  write_ports(transaction, rows);
  write_mirrors(transaction, rows, origin);
  transaction.comment("system.apply");
}

/// Returns the root row.
Uuid Plan::write_bridges(Transaction& transaction, std::map<std::string, Uuid>& rows) const {
  const Uuid root = api::root_row(database_, transaction);
  std::vector<Uuid> added, gone;
  for (const auto& step : bridges_) {
    if (step.operation == Operation::remove) {
      gone.push_back(*step.row);
      continue;
    }
    const Uuid row = step.row ? *step.row : api::insert_bridge(transaction, step.name);
    if (!step.row) {
      added.push_back(row);
      rows[step.name] = row;
    }
    api::write_settings(transaction, row, step.settings);
  }
  if (!gone.empty()) transaction.remove("Open_vSwitch", root, "bridges", rows_of(gone));
  if (!added.empty()) transaction.add("Open_vSwitch", root, "bridges", rows_of(added));
  return root;
}

void Plan::write_ports(Transaction& transaction, const std::map<std::string, Uuid>& rows) const {
  RowLists added;
  for (const auto& step : ports_) {
    if (step.operation == Operation::remove) continue;
    api::PortRows of_port;
    if (step.operation == Operation::add) {
      of_port = api::insert_port(transaction, step.name);
      added[step.bridge].push_back(of_port.port);
    } else {  // without a row, it is the own port of a new bridge
      of_port.port =
          step.row ? *step.row : transaction.find("Bridge", rows.at(step.bridge))->uuids("ports").front();
      of_port.interface = transaction.find("Port", of_port.port)->uuids("interfaces").front();
    }
    api::write_settings(transaction, of_port, step.settings);
  }
  for (const auto& [bridge, ports] : added)
    transaction.add("Bridge", rows.at(bridge), "ports", rows_of(ports));
}

void Plan::write_mirrors(Transaction& transaction, const std::map<std::string, Uuid>& rows,
                         const Datum& origin) const {
  RowLists added;
  for (const auto& step : mirrors_) {
    if (step.operation == Operation::remove) continue;
    const Uuid row = step.row ? *step.row : transaction.insert("Mirror");
    if (!step.row) {
      transaction.set("Mirror", row, "origin", origin);
      added[step.bridge].push_back(row);
    }
    model::write_mirror(transaction, row, step.settings, api::settings_json(step.settings));
  }
  for (const auto& [bridge, mirrors] : added)
    transaction.add("Bridge", rows.at(bridge), "mirrors", rows_of(mirrors));
}

Json Plan::result(const Database& database) const {
  Json list = Json::array();
  const auto add = [&](const char* kind, const auto& step, const auto& state) {
    list.push_back({{"operation", to_text(step.operation)},
                    {"kind", kind},
                    {"bridge", step.bridge},
                    {"name", step.name},
                    {"changes", step.changes},
                    {"state", state.state.empty() ? Json() : Json(state.state)},
                    {"reason", state.reason}});
  };
  // Rows are looked up once for all: by name each would be a walk through its table.
  std::map<std::string, const Row*> interfaces;
  std::map<std::pair<std::string, std::string>, const Row*> mirrors;
  if (!dry_run_ && !empty()) {
    for (const Row& row : database.table("Interface")) interfaces[row.str("name")] = &row;
    for (const auto& [bridge, row] : model::bridges(database)) {
      for (const auto& [name, mirror] : model::mirrors_of(database, *row)) mirrors[{bridge, name}] = mirror;
    }
  }
  if (!config_changes_.empty()) {
    list.push_back({{"operation", "change"},
                    {"kind", "config"},
                    {"bridge", nullptr},
                    {"name", ""},
                    {"changes", config_changes_},
                    {"state", nullptr},
                    {"reason", ""}});
  }
  for (const auto& step : bridges_) add("bridge", step, model::PortState());
  for (const auto& step : ports_) {
    const auto row = interfaces.find(step.name);
    const bool is_there = row != interfaces.end() && step.operation != Operation::remove;
    add("port", step, is_there ? model::state_of(*row->second) : model::PortState());
  }
  for (const auto& step : mirrors_) {
    const auto row = mirrors.find({step.bridge, step.name});
    const bool is_there = row != mirrors.end() && step.operation != Operation::remove;
    add("mirror", step, is_there ? model::state_of_mirror(*row->second) : model::MirrorState());
  }
  return {{"changed", !empty()}, {"dry_run", dry_run_}, {"differences", list}, {"kept", to_json(kept_)}};
}

}  // namespace vswitch::document
