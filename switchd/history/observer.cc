// SPDX-License-Identifier: Apache-2.0
#include "switchd/history/observer.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <utility>

#include "switchd/model/rows.h"

namespace vswitch::history {
namespace {

using ovsdb::Atom;
using ovsdb::Changes;
using ovsdb::ColumnSchema;
using ovsdb::Database;
using ovsdb::Datum;
using ovsdb::Row;
using ovsdb::RowChange;
using ovsdb::RowPtr;
using ovsdb::TableSchema;
using ovsdb::Uuid;

/// Tables whose rows belong to others, with the column that refers to them. That such a row comes or goes is an
/// event of its own, so the column is not one of the settings that changed.
struct Reference {
  std::string_view table, column;
};
constexpr std::array kReferences = {Reference{"Open_vSwitch", "bridges"}, Reference{"Bridge", "ports"},
                                    Reference{"Bridge", "mirrors"}, Reference{"Port", "interfaces"}};

/// Neither settings nor states: a client's way to wait, and what an event says anyway.
bool is_setting(const TableSchema& table, const ColumnSchema& column) {
  if (column.index < TableSchema::kDeclared || !column.persistent || column.name == "name" ||
      column.name == "origin" || column.name == "statistics" || column.name == "status" ||
      column.name == "next_cfg" || column.name == "cur_cfg")
    return false;
  return std::none_of(kReferences.begin(), kReferences.end(), [&](const Reference& one) {
    return one.table == table.name && one.column == column.name;
  });
}

std::string short_value(std::string text) {
  return shortened(std::move(text), kMaxValueBytes);
}

const std::string* text_in(const Row& row, std::string_view column) {
  return row.schema().find(column) == nullptr ? nullptr : row[column].first<std::string>();
}

/// What people call a row.
std::string name_of_row(const Row& row) {
  for (const std::string_view column : {"name", "target", "remote_ip"}) {
    const std::string* text = text_in(row, column);
    if (text == nullptr) continue;
    return column == "remote_ip" ? row.str("encap") + ' ' + *text : *text;
  }
  return row.uuid().to_string();
}

Json change_json(const std::string& field, Json before, Json after) {
  return {{"field", field}, {"before", std::move(before)}, {"after", std::move(after)}};
}

}  // namespace

/// The settings that one commit changed, as events of the objects that people know.
class Observer::Settings {
 public:
  Settings(const Observer& observer, const Changes& changes) : observer_(observer), changes_(changes) {
    for (const ovsdb::TableChanges& table : changes.tables) {
      for (const RowChange& row : table.rows) {
        if (row.deleted()) removed_[row.uuid] = row.before;
      }
    }
  }

  void add_to(std::vector<Event>& events) {
    for (const ovsdb::TableChanges& table : changes_.tables) {
      for (const RowChange& row : table.rows) add(*table.schema, row);
    }
    for (auto& [key, draft] : drafts_) {
      if (draft.action == "changed" && draft.fields.empty()) continue;
      events.push_back({std::string(std::get<0>(key)), json_of(key, draft)});
    }
    if (left_out_ != 0)
      events.push_back({std::string(kSystemChange),
                        {{"action", "changed"},
                         {"table", ""},
                         {"name", std::to_string(left_out_) + " more rows"},
                         {"changes", Json::array()},
                         {"by", by()}}});
  }

 private:
  /// Topic, place, name and row.
  using Key = std::tuple<std::string_view, std::string, std::string, Uuid>;
  struct Draft {
    std::string action = "changed";
    std::string table;
    Json fields = Json::array();
    std::size_t more_fields = 0;
  };

  bool asked() const { return !changes_.by.empty(); }
  std::string by() const { return asked() ? changes_.by : "vswitchd"; }

  Json json_of(const Key& key, Draft& draft) const {
    const auto& [topic, place, name, uuid] = key;
    Json json = {{"action", draft.action}, {"name", name}, {"by", by()}};
    if (topic == kSystemChange) {
      json["table"] = draft.table;
    } else if (topic != kBridgeChange) {
      json["bridge"] = place;
    }
    if (draft.more_fields != 0)
      draft.fields.push_back(
          change_json(std::to_string(draft.more_fields) + " more fields", nullptr, nullptr));
    json["changes"] = std::move(draft.fields);
    return json;
  }

  const Row* find(std::string_view table, const Uuid& uuid) const {
    if (const Row* row = observer_.database_.find(table, uuid)) return row;
    const auto found = removed_.find(uuid);
    return found == removed_.end() ? nullptr : found->second.get();
  }

  Key key_of(const TableSchema& table, const RowChange& change) const {
    const Row& row = change.after ? *change.after : *change.before;
    if (table.name == "Bridge") return {kBridgeChange, "", row.str("name"), change.uuid};
    if (table.name == "Mirror")
      return {kMirrorChange, observer_.bridge_of(observer_.mirrors_, change.uuid), row.str("name"),
              change.uuid};
    if (table.name == "Port")
      return {kPortChange, observer_.bridge_of(observer_.ports_, change.uuid), row.str("name"), change.uuid};
    const bool is_endpoint = table.name == "Mirror_Endpoint";
    if (is_endpoint || table.name == "Interface") {
      const auto& owners = is_endpoint ? observer_.endpoints_ : observer_.interfaces_;
      const auto owner = owners.find(change.uuid);
      const char* of = is_endpoint ? "Mirror" : "Port";
      if (const Row* parent = owner == owners.end() ? nullptr : find(of, owner->second)) {
        return {is_endpoint ? kMirrorChange : kPortChange,
                observer_.bridge_of(is_endpoint ? observer_.mirrors_ : observer_.ports_, parent->uuid()),
                parent->str("name"), parent->uuid()};
      }
    }
    return {kSystemChange, table.name, name_of(row), change.uuid};
  }

  std::string name_of(const Row& row) const {
    return row.schema().name == "Open_vSwitch" ? std::string() : short_value(name_of_row(row));
  }

  void add(const TableSchema& table, const RowChange& change) {
    const bool is_part = table.name == "Interface" || table.name == "Mirror_Endpoint";
    if (change.modified() ? !asked() || !has_settings(table, change) : is_part && change.deleted()) return;
    const Key key = key_of(table, change);
    const auto known = drafts_.find(key);
    if (known == drafts_.end() && drafts_.size() >= kMaxChangesOfCommit) {
      ++left_out_;
      return;
    }
    Draft& draft = known == drafts_.end() ? drafts_[key] : known->second;
    draft.table = table.name;
    if (!is_part && change.inserted()) draft.action = "added";
    if (change.deleted()) {
      draft.action = "removed";
      return;
    }
    add_fields(table, change, draft);
  }

  static bool has_settings(const TableSchema& table, const RowChange& change) {
    return std::any_of(change.columns.begin(), change.columns.end(), [&](std::size_t column) {
      return is_setting(table, table.columns[column]) || table.columns[column].name == "name";
    });
  }

  void add_fields(const TableSchema& table, const RowChange& change, Draft& draft) const {
    std::string prefix;
    if (table.name == "Mirror_Endpoint") {
      if (change.inserted()) return;  // the column `endpoints` of the session names it
      prefix = "endpoint " + name_of_row(*change.after) + ": ";
    }
    if (change.modified() && table.find("name") != nullptr && change.touches("name"))
      add_field(draft, "name", name_of_row(*change.before), name_of_row(*change.after));
    for (const ColumnSchema& column : table.columns) {
      if (!is_setting(table, column)) continue;
      const Datum& after = (*change.after)[column.index];
      const Datum& before = change.before ? (*change.before)[column.index] : column.initial;
      if (before == after) continue;
      if (column.type.is_map()) {
        add_pairs(draft, prefix + column.name, before, after);
      } else {
        const Json was = change.inserted() ? Json() : value(column, before);
        add_field(draft, prefix + column.name, was, value(column, after));
      }
    }
  }

  void add_pairs(Draft& draft, const std::string& column, const Datum& before, const Datum& after) const {
    const auto text = [](const Atom* atom) {
      return atom == nullptr ? Json() : Json(short_value(plain(*atom)));
    };
    const Datum difference = ovsdb::difference(before, after);
    for (const Atom& key : difference.keys())
      add_field(draft, short_value(column + ':' + plain(key)), text(before.value_of(key)),
                text(after.value_of(key)));
  }

  static void add_field(Draft& draft, const std::string& field, Json before, Json after) {
    if (draft.fields.size() >= kMaxFields) {
      ++draft.more_fields;
    } else {
      draft.fields.push_back(change_json(field, std::move(before), std::move(after)));
    }
  }

  static std::string plain(const Atom& atom) {
    const auto* text = std::get_if<std::string>(&atom);
    return text != nullptr ? *text : ovsdb::to_text(atom);
  }

  /// Null if it is empty.
  Json value(const ColumnSchema& column, const Datum& datum) const {
    std::string text;
    for (const Atom& atom : datum.keys()) {
      if (text.size() > kMaxValueBytes) break;
      const auto* uuid = std::get_if<Uuid>(&atom);
      const Row* row = uuid == nullptr || !column.type.key.is_reference()
                           ? nullptr
                           : find(column.type.key.ref_table, *uuid);
      text += (text.empty() ? "" : ", ") + (row == nullptr ? plain(atom) : name_of_row(*row));
    }
    return text.empty() ? Json() : Json(short_value(text));
  }

  const Observer& observer_;
  const Changes& changes_;
  std::unordered_map<Uuid, RowPtr> removed_;
  std::map<Key, Draft> drafts_;
  std::size_t left_out_ = 0;
};

Observer::Observer(const Database& database) : database_(database) {
  for (const char* table : {"Bridge", "Port", "Mirror"}) {
    for (const Row& row : database.table(table)) learn(row, nullptr);
  }
  for (const Row& row : database.table("Mirror")) from_before_.insert(row.uuid());
  for (const Row& row : database.table("Port")) from_before_.insert(row.uuid());
}

void Observer::learn(const Row& row, const Row* before) {
  const auto each_new = [&](std::string_view column, std::unordered_map<Uuid, Uuid>& places) {
    const Datum& after = row[column];
    if (before != nullptr && (*before)[column].same(after)) return;
    const Datum difference = ovsdb::difference(before == nullptr ? Datum() : (*before)[column], after);
    for (const Atom& atom : difference.keys()) {
      if (const auto* uuid = std::get_if<Uuid>(&atom); uuid != nullptr && after.contains(atom))
        places[*uuid] = row.uuid();
    }
  };
  const std::string& table = row.schema().name;
  if (table == "Bridge") {
    bridges_[row.uuid()] = row.str("name");
    each_new("ports", ports_);
    each_new("mirrors", mirrors_);
  } else if (table == "Port") {
    each_new("interfaces", interfaces_);
  } else {
    each_new("endpoints", endpoints_);
  }
}

void Observer::forget(const Changes& changes) {
  const auto erase = [&changes](const char* table, auto& from) {
    for (const RowChange& change : changes.of(table)) {
      if (change.deleted()) from.erase(change.uuid);
    }
  };
  erase("Bridge", bridges_);
  erase("Port", ports_);
  erase("Mirror", mirrors_);
  erase("Interface", interfaces_);
  erase("Mirror_Endpoint", endpoints_);
  erase("Port", from_before_);
  erase("Mirror", from_before_);
}

const std::string& Observer::bridge_of(const std::unordered_map<Uuid, Uuid>& places, const Uuid& row) const {
  static const std::string kNone;
  const auto place = places.find(row);
  if (place == places.end()) return kNone;
  const auto bridge = bridges_.find(place->second);
  return bridge == bridges_.end() ? kNone : bridge->second;
}

std::vector<Event> Observer::observe(const Changes& changes) {
  for (const char* table : {"Bridge", "Port", "Mirror"}) {
    for (const RowChange& change : changes.of(table)) {
      if (change.after) learn(*change.after, change.before.get());
    }
  }
  std::vector<Event> events;
  Settings(*this, changes).add_to(events);
  observe_mirrors(changes, events);
  observe_interfaces(changes, events);
  observe_ports(changes, events);
  forget(changes);
  return events;
}

namespace {

Event state_event(std::string_view topic, const std::string& bridge, const std::string& name,
                  const std::string& state, const std::string& reason) {
  return {std::string(topic), {{"bridge", bridge}, {"name", name}, {"state", state}, {"reason", reason}}};
}

bool has_state(const Row& row) {
  return row.value("status", "state") != nullptr;
}

/// How many copies were lost since, by cause; nothing if none was. A counter that is smaller than before was
/// started from zero.
Json losses(const Row& before, const Row& after) {
  const std::string lost = "lost";
  const auto number = [](const Datum& counters, const Atom& key) {
    const Atom* value = counters.value_of(key);
    return value == nullptr ? 0 : std::get<std::int64_t>(*value);
  };
  const Datum& was = before["statistics"];
  const Datum& now = after["statistics"];
  const auto grown = [&](const Atom& key) {
    const std::int64_t then = number(was, key), here = number(now, key);
    return here < then ? here : here - then;
  };
  const std::int64_t all = grown(Atom(lost));
  if (all <= 0) return nullptr;
  Json by = Json::object();
  for (const Atom& key : now.keys()) {
    const auto& name = std::get<std::string>(key);
    if (!name.starts_with("lost_")) continue;
    if (const std::int64_t count = grown(key); count > 0) by[name.substr(sizeof "lost_" - 1)] = count;
  }
  return {{"lost", all}, {"lost_by", std::move(by)}};
}

}  // namespace

void Observer::observe_mirrors(const Changes& changes, std::vector<Event>& events) {
  for (const RowChange& change : changes.of("Mirror")) {
    const std::string& bridge = bridge_of(mirrors_, change.uuid);
    if (change.deleted()) {
      events.push_back(state_event(kMirrorState, bridge, change.before->str("name"), "removed", ""));
      events.back().logged = false;  // the change that removed it is
      continue;
    }
    if (!change.modified()) continue;
    const std::string& name = change.after->str("name");
    const bool renamed = change.touches("name") && has_state(*change.before);
    if (renamed)
      events.push_back(state_event(kMirrorState, bridge, change.before->str("name"), "removed", ""));
    if ((renamed || change.touches("status")) && has_state(*change.after)) {
      const model::MirrorState before = model::state_of_mirror(*change.before);
      const model::MirrorState after = model::state_of_mirror(*change.after);
      const bool is_first = !has_state(*change.before);
      if (renamed || is_first || before.state != after.state || before.reason != after.reason) {
        events.push_back(state_event(kMirrorState, bridge, name, after.state, after.reason));
        events.back().kept = from_before_.erase(change.uuid) == 0 || !is_first ||
                             !(after.state == "active" || after.state == "disabled");
      }
    }
    if (!change.touches("statistics")) continue;
    if (Json lost = losses(*change.before, *change.after); !lost.is_null()) {
      lost.update({{"bridge", bridge}, {"name", name}});
      events.push_back({std::string(kMirrorLoss), std::move(lost), false, false});
    }
  }
}

void Observer::observe_interfaces(const Changes& changes, std::vector<Event>& events) {
  for (const RowChange& change : changes.of("Interface")) {
    if (!change.modified() || !change.touches("status") || !has_state(*change.after)) continue;
    const auto owner = interfaces_.find(change.uuid);
    const Row* port = owner == interfaces_.end() ? nullptr : database_.find("Port", owner->second);
    const Row* first = port == nullptr ? nullptr : model::interface_of(database_, *port);
    if (first == nullptr || first->uuid() != change.uuid) continue;  // another one of a bond
    const model::PortState before = model::state_of(*change.before);
    const model::PortState after = model::state_of(*change.after);
    const bool is_first = !has_state(*change.before);
    if (!is_first && before.state == after.state && before.reason == after.reason) continue;
    const bool is_news = from_before_.erase(port->uuid()) == 0 || !is_first;
    events.push_back(state_event(kPortState, bridge_of(ports_, port->uuid()), port->str("name"), after.state,
                                 after.reason));
    // An internal port that no host uses is as it should be.
    const bool is_idle = after.state == "down" && change.after->str("type") == "internal";
    const bool is_well = is_idle || (after.state == "active" && after.reason.empty());
    events.back().kept = is_news || !is_well;
    // That it was attached, and what is wrong with a port that works, is logged already.
    events.back().logged = !is_first || !(is_idle || after.state == "active");
  }
}

void Observer::observe_ports(const Changes& changes, std::vector<Event>& events) {
  for (const RowChange& change : changes.of("Port")) {
    if (!change.deleted()) continue;
    events.push_back(
        state_event(kPortState, bridge_of(ports_, change.uuid), change.before->str("name"), "removed", ""));
    events.back().logged = false;
  }
}

}  // namespace vswitch::history
