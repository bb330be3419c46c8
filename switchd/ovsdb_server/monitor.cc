// SPDX-License-Identifier: Apache-2.0
#include "switchd/ovsdb_server/monitor.h"

#include <algorithm>
#include <array>

#include "schemas/json.h"
#include "schemas/jsonrpc/message.h"
#include "schemas/ovsdb/error.h"
#include "schemas/ovsdb/notation.h"
#include "switchd/base/limits.h"
#include "switchd/base/memory_reserve.h"

namespace vswitch::ovsdb {

namespace {

using Selected = bool MonitorSelect::*;

Error misparsed(const Json& json, const std::string& table, const std::string& why) {
  Error error = syntax_error(json, "Parsing table " + table + " failed: " + why);
  if (!json.is_object()) error.syntax.clear();
  return error;
}

MonitorSelect parse_select(const Json& json, const std::string& table) {
  MonitorSelect select;
  const std::pair<const char*, Selected> kinds[] = {{"initial", &MonitorSelect::initial},
                                                    {"insert", &MonitorSelect::insert},
                                                    {"delete", &MonitorSelect::remove},
                                                    {"modify", &MonitorSelect::modify}};
  std::size_t known = 0;
  for (const auto& [name, kind] : kinds) {
    const auto found = json.find(name);
    if (found == json.end()) continue;
    if (!found->is_boolean())
      throw misparsed(json, table, "Type mismatch for member '" + std::string(name) + "'.");
    select.*kind = found->get<bool>();
    ++known;
  }
  if (known != json.size()) throw misparsed(json, table, "A member of 'select' is not allowed here.");
  return select;
}

void add_column(MonitoredTable& table, std::size_t column, const MonitorSelect& select, const Json& where) {
  const auto same = [column](const MonitoredColumn& other) { return other.column == column; };
  if (std::any_of(table.columns.begin(), table.columns.end(), same)) {
    throw syntax_error(where, "column " + table.schema->columns[column].name + " mentioned more than once");
  }
  table.columns.push_back({column, select});
}

void merge(MonitorSelect& into, const MonitorSelect& from) {
  into.initial |= from.initial;
  into.insert |= from.insert;
  into.remove |= from.remove;
  into.modify |= from.modify;
}

/// Columns of a row that are reported for this kind of change.
Json columns_to_json(const MonitoredTable& table, const Row& row, Selected kind, bool with_defaults) {
  Json json = Json::object();
  for (const MonitoredColumn& monitored : table.columns) {
    const ColumnSchema& column = table.schema->columns[monitored.column];
    const Datum& datum = row[monitored.column];
    if (monitored.select.*kind && (with_defaults || datum != column.initial)) {
      json[column.name] = to_json(datum, column.type);
    }
  }
  return json;
}

/// _version changes with every row and is not listed.
bool is_changed(const RowChange& change, std::size_t column) {
  return column == TableSchema::kVersion ||
         std::binary_search(change.columns.begin(), change.columns.end(), column);
}

void add_row(Json& updates, const TableSchema& table, const Uuid& uuid, Json row) {
  if (!row.is_null()) updates[table.name][uuid.to_string()] = std::move(row);
}

}  // namespace

View::View(MonitorVersion version, const DatabaseSchema& schema, const Json& requests) : version_(version) {
  if (!requests.is_object()) throw syntax_error(requests, "<monitor-requests> must be an object");
  for (const auto& [name, request] : requests.items()) parse_table(name, request, schema);
}

void View::parse_table(const std::string& name, const Json& requests, const DatabaseSchema& schema) {
  MonitoredTable table;
  table.schema = schema.find(name);
  if (!table.schema) throw Error("syntax error", "no table named " + name);
  table.select = {false, false, false, false};
  if (requests.is_array()) {
    for (const Json& request : requests) parse_request(request, table);
  } else {
    parse_request(requests, table);
  }
  std::sort(table.columns.begin(), table.columns.end(),
            [](const MonitoredColumn& a, const MonitoredColumn& b) { return a.column < b.column; });
  tables_.push_back(std::move(table));
}

void View::parse_request(const Json& request, MonitoredTable& table) {
  const std::string& name = table.schema->name;
  if (!request.is_object()) throw misparsed(request, name, "Object expected.");
  for (const auto& [member, value] : request.items()) {
    const bool known = member == "columns" || member == "select" ||
                       (member == "where" && version_ != MonitorVersion::update);
    if (!known) throw misparsed(request, name, "Member '" + member + "' is present but not allowed here.");
    const bool fits = member == "select"    ? value.is_object()
                      : member == "columns" ? value.is_array()
                                            : value.is_array() || value.is_boolean();
    if (!fits) throw misparsed(request, name, "Type mismatch for member '" + member + "'.");
  }
  const auto select_json = request.find("select");
  const MonitorSelect select =
      select_json == request.end() ? MonitorSelect() : parse_select(*select_json, name);
  merge(table.select, select);

  const auto columns = request.find("columns");
  if (columns == request.end()) {
    for (std::size_t i = TableSchema::kVersion; i < table.schema->columns.size(); ++i) {
      add_column(table, i, select, request);
    }
  } else {
    for (const Json& column : *columns) {
      const ColumnSchema* found =
          column.is_string() ? table.schema->find(column.get_ref<const std::string&>()) : nullptr;
      if (!found) {
        const std::string text = column.is_string() ? column.get<std::string>() : column.dump();
        throw syntax_error(*columns, text + " is not a valid column name");
      }
      add_column(table, found->index, select, *columns);
    }
  }

  const auto where = request.find("where");
  if (where == request.end()) {
    table.condition.clauses.push_back(Clause());
  } else {
    const Json clauses = where->is_boolean() ? Json::array({*where}) : *where;
    Condition condition = Condition::parse(clauses, *table.schema);
    if (condition.clauses.empty()) condition.clauses.push_back(Clause());  // no clause means every row
    std::move(condition.clauses.begin(), condition.clauses.end(),
              std::back_inserter(table.condition.clauses));
  }
}

Json View::initial(const Database& database) const {
  Json updates = Json::object();
  std::size_t bytes = 0;
  for (const MonitoredTable& table : tables_) {
    if (!table.select.initial) continue;
    const bool v1 = version_ == MonitorVersion::update;
    for (const Row& row : database.table(table.schema->index)) {
      if (!table.condition.any_holds(row.data())) continue;
      Json columns = columns_to_json(table, row, &MonitorSelect::initial, v1);
      memory::check();
      bytes += memory_of(columns);
      if (bytes > limits::kResultBytes) {
        throw Error("resources exhausted", "the rows of this monitor exceed " +
                                               limits::mebibytes(limits::kResultBytes) +
                                               " of memory; monitor fewer tables or columns");
      }
      add_row(updates, *table.schema, row.uuid(), {{v1 ? "new" : "initial", std::move(columns)}});
    }
  }
  return updates;
}

Json View::update(const Changes& changes) const {
  Json updates;
  for (const MonitoredTable& table : tables_) {
    for (const RowChange& change : changes.of(table.schema->name)) {
      add_row(updates, *table.schema, change.uuid, row_update(table, change));
    }
  }
  return updates;
}

Json View::row_update(const MonitoredTable& table, const RowChange& change) const {
  if (version_ == MonitorVersion::update) return row_update_v1(table, change);
  const bool was = change.before && table.condition.any_holds(change.before->data());
  const bool is = change.after && table.condition.any_holds(change.after->data());
  return row_update_v2(table, change, was, is);
}

Json View::row_update_v1(const MonitoredTable& table, const RowChange& change) const {
  if (change.inserted()) {
    if (!table.select.insert) return nullptr;
    return {{"new", columns_to_json(table, *change.after, &MonitorSelect::insert, true)}};
  }
  if (change.deleted()) {
    if (!table.select.remove) return nullptr;
    return {{"old", columns_to_json(table, *change.before, &MonitorSelect::remove, true)}};
  }
  Json old = Json::object();
  for (const MonitoredColumn& monitored : table.columns) {
    if (!monitored.select.modify || !is_changed(change, monitored.column)) continue;
    const ColumnSchema& column = table.schema->columns[monitored.column];
    old[column.name] = to_json((*change.before)[monitored.column], column.type);
  }
  if (old.empty()) return nullptr;
  return {{"old", std::move(old)},
          {"new", columns_to_json(table, *change.after, &MonitorSelect::modify, true)}};
}

Json View::row_update_v2(const MonitoredTable& table, const RowChange& change, bool was, bool is) const {
  if (!was && is && table.select.insert) {
    return {{"insert", columns_to_json(table, *change.after, &MonitorSelect::insert, false)}};
  }
  if (was && !is && table.select.remove) return {{"delete", nullptr}};
  if (!was || !is) return nullptr;
  Json modified = Json::object();
  for (const MonitoredColumn& monitored : table.columns) {
    if (!monitored.select.modify || !is_changed(change, monitored.column)) continue;
    const ColumnSchema& column = table.schema->columns[monitored.column];
    const Datum& before = (*change.before)[monitored.column];
    const Datum& after = (*change.after)[monitored.column];
    modified[column.name] =
        to_json(column.type.is_composite() ? difference(before, after) : after, column.type);
  }
  if (modified.empty()) return nullptr;
  return {{"modify", std::move(modified)}};
}

View View::with_conditions(const Json& requests) const {
  if (!requests.is_object()) throw syntax_error(requests, "<monitor-cond-requests> must be an object");
  View changed = *this;
  for (const auto& [name, request] : requests.items()) {
    const auto same = [&name = name](const MonitoredTable& table) { return table.schema->name == name; };
    const auto table = std::find_if(changed.tables_.begin(), changed.tables_.end(), same);
    if (table == changed.tables_.end())
      throw Error("syntax error", "no table named " + name + " in monitor client");
    Condition condition;
    for (const Json& each : request.is_array() ? request : Json::array({request})) {
      if (!each.is_object()) throw misparsed(each, name, "Object expected.");
      if (each.contains("columns")) throw syntax_error(each, "changing columns is unsupported");
      const auto where = each.find("where");
      const Json clauses = where == each.end()   ? Json::array({true})
                           : where->is_boolean() ? Json::array({*where})
                                                 : *where;
      Condition parsed = Condition::parse(clauses, *table->schema);
      if (parsed.clauses.empty()) parsed.clauses.push_back(Clause());
      std::move(parsed.clauses.begin(), parsed.clauses.end(), std::back_inserter(condition.clauses));
    }
    table->condition = std::move(condition);
  }
  return changed;
}

Json View::transition(const View& other, const Database& database) const {
  Json updates;
  if (version_ == MonitorVersion::update) return updates;
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const MonitoredTable& table = other.tables_[i];
    for (const auto& [uuid, slot] : database.table(table.schema->index).slots()) {
      const bool was = tables_[i].condition.any_holds(slot.row->data());
      const bool is = table.condition.any_holds(slot.row->data());
      if (was != is)
        add_row(updates, *table.schema, uuid, row_update_v2(table, {uuid, slot.row, slot.row, {}}, was, is));
    }
  }
  return updates;
}

std::string update_notification(MonitorVersion version, const Json& monitor_id, const std::string& updates) {
  static const std::string no_transaction = '"' + Uuid().to_string() + "\",";
  constexpr std::array<const char*, 3> kMethods = {"update", "update2", "update3"};
  std::string text = R"({"id":null,"method":")";
  text += kMethods[static_cast<std::size_t>(version)];
  text += R"(","params":[)" + jsonrpc::to_text(monitor_id) + ',';
  if (version == MonitorVersion::update3) text += no_transaction;
  return text + updates + "]}";
}

}  // namespace vswitch::ovsdb
