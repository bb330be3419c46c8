// SPDX-License-Identifier: Apache-2.0
#include "switchd/document/present.h"

#include <algorithm>
#include <set>
#include <utility>

#include "schemas/device_name.h"
#include "schemas/jsonrpc/message.h"
#include "schemas/openrpc.h"
#include "switchd/api/mirror_session.h"
#include "switchd/api/normal_form.h"
#include "switchd/api/revision.h"
#include "switchd/base/wall_clock.h"
#include "switchd/document/conflicts.h"
#include "switchd/model/rows.h"
#include "switchd/model/tunnel_settings.h"

namespace vswitch::document {
namespace {

constexpr std::size_t kMaxPatchName = 255;
constexpr std::size_t kMaxSessionName = 64;

/// Columns that a document has. Of other_config it has the keys that are members of the session API.
const std::map<std::string, std::set<std::string>> kExpressed = {
    {"Open_vSwitch", {"bridges", "other_config"}},
    {"Bridge", {"name", "ports", "mirrors", "fail_mode", "flood_vlans"}},
    {"Port", {"name", "interfaces", "vlan_mode", "tag", "trunks", "cvlans", "protected"}},
    {"Interface", {"name", "type", "options", "ofport_request", "mtu_request", "external_ids"}},
};
const std::map<std::string, std::set<std::string>> kExpressedKeys = {
    {"Bridge", {"mac-aging-time", "mac-table-size", "forward-bpdu"}},
    {"Port", {"priority-tags", "qinq-ethtype", "transient"}},
};
/// Tables whose rows belong to an item of the document.
const std::set<std::string> kTables = {"Open_vSwitch", "Bridge", "Port",
                                       "Interface",    "Mirror", "Mirror_Endpoint"};

class Reader {
 public:
  Reader(const Database& database, Present& present) : database_(database), present_(present) {}

  void read_config();
  void read_bridge(const Row& row);
  void find_obstacles();
  void note_obstacles();

 private:
  void note(const std::string& path, std::string sentence) {
    present_.left_out.push_back({path, std::move(sentence)});
  }
  void note_columns(const std::string& path, const Row& row);
  void read_port(const std::string& bridge, BridgeItem& item, const Row& row);
  void read_mirror(const std::string& bridge, BridgeItem& item, const Row& row);
  void check_contract();
  void check_ports(const std::string& bridge, BridgeItem& item);
  void check_mirrors(BridgeItem& item);

  const Database& database_;
  Present& present_;
  std::set<model::TunnelEnds> ends_;
};

/// Names each column with a value that the document does not have.
void Reader::note_columns(const std::string& path, const Row& row) {
  const std::string& table = row.schema().name;
  const auto expressed = kExpressed.find(table);
  std::string columns;
  const auto name_it = [&columns](const std::string& name) {
    columns += (columns.empty() ? "" : ", ") + name;
  };
  for (const ovsdb::ColumnSchema& column : row.schema().columns) {
    if (column.index < ovsdb::TableSchema::kDeclared || !column.persistent ||
        row[column.index] == column.initial)
      continue;
    if (api::is_filled(table, column.name)) continue;
    if (expressed != kExpressed.end() && expressed->second.contains(column.name)) continue;
    const auto keys = kExpressedKeys.find(table);
    if (column.name != "other_config" || keys == kExpressedKeys.end()) {
      name_it(column.name);
      continue;
    }
    for (const auto& [key, value] : row.map("other_config")) {
      if (!keys->second.contains(key)) name_it("other_config:" + key);
    }
  }
  if (!columns.empty())
    note(path, table + " " + columns + ": only OVSDB clients have it, and database.backup");
}

void Reader::read_config() {
  for (const Row& root : database_.table("Open_vSwitch")) {
    present_.config = root.map("other_config");
    note_columns("", root);
  }
  for (const ovsdb::TableSchema& table : database_.schema().tables) {
    const std::size_t rows = kTables.contains(table.name) ? 0 : database_.table(table.index).size();
    if (rows != 0)
      note("", "table " + table.name + " (" + std::to_string(rows) + (rows == 1 ? " row" : " rows") +
                   "): only OVSDB clients have it, and database.backup");
  }
}

void Reader::read_bridge(const Row& row) {
  const std::string& name = row.str("name");
  BridgeItem& item = present_.bridges[name];
  item.row = &row;
  item.settings = model::read_bridge(row);
  item.text = api::normal_form(item.settings);
  item.obstacle = bridge_name_trouble(name);
  item.alien = !item.obstacle.empty();
  note_columns(path_of(name), row);
  for (const auto& [port, port_row] : model::ports_of(database_, row)) read_port(name, item, *port_row);
  for (const auto& [mirror, mirror_row] : model::mirrors_of(database_, row))
    read_mirror(name, item, *mirror_row);
}

void Reader::read_port(const std::string& bridge, BridgeItem& item, const Row& row) {
  const std::string& name = row.str("name");
  PortItem& port = item.ports[name];
  const Row* interface = model::interface_of(database_, row);
  port.row = &row;
  if (interface == nullptr || row.uuids("interfaces").size() != 1) {
    port.obstacle = "it is a bond, or has no interface";
  } else if (interface->str("name") != name) {
    port.obstacle = "its interface has another name, " + interface->str("name");
  } else {
    port.settings = api::read_port_settings(row, *interface);
    port.text = api::normal_form(port.settings);
    if (name == bridge) port.text.erase("type");
    port.obstacle = port_name_trouble(name, port.settings.interface.type);
    note_columns(path_of(bridge, "ports", name), *interface);
  }
  port.alien = !port.obstacle.empty();
  note_columns(path_of(bridge, "ports", name), row);
}

void Reader::read_mirror(const std::string& bridge, BridgeItem& item, const Row& row) {
  const std::string& name = row.str("name");
  const auto [at, is_first] = item.mirrors.try_emplace(name);
  MirrorItem& mirror = at->second;
  if (!is_first) {
    mirror.obstacle = "there are several sessions with this name";
    mirror.alien = true;
    return;
  }
  mirror.row = &row;
  mirror.settings = model::read_mirror(database_, row);
  mirror.text = api::normal_form(mirror.settings);
  mirror.obstacle = session_name_trouble(name);
  if (mirror.settings.expires_with_connection) mirror.obstacle = "it ends with the connection of a client";
  if (mirror.settings.capture) mirror.obstacle = "it is a capture, and ends with its program";
  mirror.alien = !mirror.obstacle.empty();
  if (!row["external_ids"].empty())
    note(path_of(bridge, "mirrors", name),
         "Mirror external_ids: only OVSDB clients have it, and database.backup (mirror.export has those of "
         "vSphere)");
}

/// Values of OVSDB clients may be out of the contract's range. As a rule none is, so all are checked at once.
void Reader::check_contract() {
  const auto violation = [](const Json& bridges) {
    Json params = {{"document", {{"version", 1}, {"bridges", bridges}}}};
    return openrpc::control().check_params("system.apply", params);
  };
  if (!violation(document_of(present_, false)["bridges"])) return;
  const auto check = [&](auto& item, const Json& bridge) {
    if (item.obstacle.empty())
      if (const auto found = violation({{"b", bridge}})) item.obstacle = found->sentence;
  };
  for (auto& [name, bridge] : present_.bridges) {
    check(bridge, {{"settings", bridge.text}});
    for (auto& [port, item] : bridge.ports) check(item, {{"ports", {{"p", item.text}}}});
    for (auto& [mirror, item] : bridge.mirrors) check(item, {{"mirrors", {{"m", item.text}}}});
  }
}

void Reader::check_ports(const std::string& bridge, BridgeItem& item) {
  for (auto& [name, port] : item.ports) {
    if (!port.obstacle.empty()) continue;
    try {
      api::check_settings(port.settings);
    } catch (const jsonrpc::Error& error) {
      if (name != bridge || port.settings.interface.type != "internal") port.obstacle = error.message;
    }
    if (!port.obstacle.empty() || !model::is_tunnel_type(port.settings.interface.type)) continue;
    if (!ends_.insert(model::ends_of(model::tunnel_of(port.settings.interface).settings)).second)
      port.obstacle = "another tunnel has the same remote_ip, local_ip and key";
  }
}

void Reader::check_mirrors(BridgeItem& item) {
  Conflicts conflicts(wall_now_ms());
  for (auto& [name, mirror] : item.mirrors) {
    if (!mirror.obstacle.empty()) continue;
    try {
      const Row& row = *item.row;
      api::check_matches(mirror.text);
      api::check_alone(database_, row, mirror.settings);
      api::refuse(conflicts.with(mirror.settings));
      conflicts.add(mirror.settings);
    } catch (const jsonrpc::Error& error) {
      mirror.obstacle = error.message;
    }
  }
}

void Reader::find_obstacles() {
  check_contract();
  for (auto& [name, bridge] : present_.bridges) {
    check_ports(name, bridge);
    check_mirrors(bridge);
  }
}

void Reader::note_obstacles() {
  const auto note_item = [this](const std::string& path, const auto& item) {
    if (!item.obstacle.empty()) note(path, "left out: " + item.obstacle);
  };
  for (const auto& [name, bridge] : present_.bridges) {
    note_item(path_of(name), bridge);
    for (const auto& [port, item] : bridge.ports) note_item(path_of(name, "ports", port), item);
    for (const auto& [mirror, item] : bridge.mirrors) note_item(path_of(name, "mirrors", mirror), item);
  }
}

std::string step(const std::string& name) {
  return name.find_first_of(".[") == std::string::npos
             ? '.' + name
             : '[' + Json(name).dump(-1, ' ', false, Json::error_handler_t::replace) + ']';
}

}  // namespace

Json to_json(const std::vector<Remark>& remarks) {
  Json list = Json::array();
  for (const Remark& remark : remarks) list.push_back({{"path", remark.path}, {"sentence", remark.sentence}});
  return list;
}

Present read_present(const Database& database, const std::optional<std::string>& bridge) {
  Present present;
  Reader reader(database, present);
  if (!bridge) reader.read_config();
  for (const auto& [name, row] : model::bridges(database)) {
    if (!bridge || *bridge == name) reader.read_bridge(*row);
  }
  reader.find_obstacles();
  reader.note_obstacles();
  return present;
}

Json document_of(const Present& present, bool whole_switch) {
  Json document = {{"version", 1}, {"bridges", Json::object()}};
  if (whole_switch) document["config"] = present.config;
  for (const auto& [name, bridge] : present.bridges) {
    if (!bridge.obstacle.empty()) continue;
    Json text = {{"settings", bridge.text}, {"ports", Json::object()}, {"mirrors", Json::object()}};
    for (const auto& [port, item] : bridge.ports) {
      if (item.obstacle.empty() && !(port == name && item.text.empty())) text["ports"][port] = item.text;
    }
    for (const auto& [mirror, item] : bridge.mirrors) {
      if (item.obstacle.empty()) text["mirrors"][mirror] = item.text;
    }
    document["bridges"][name] = std::move(text);
  }
  return document;
}

std::string path_of(const std::string& bridge) {
  return "bridges" + step(bridge);
}

std::string path_of(const std::string& bridge, const char* list, const std::string& name) {
  return path_of(bridge) + '.' + list + step(name);
}

std::string bridge_name_trouble(const std::string& name) {
  return device_name_trouble(name);
}

std::string port_name_trouble(const std::string& name, const std::string& type) {
  if (type != "patch") return device_name_trouble(name);
  if (!name.empty() && name.size() <= kMaxPatchName) return {};
  return "the name of a patch port has 1 to " + std::to_string(kMaxPatchName) + " bytes";
}

std::string session_name_trouble(const std::string& name) {
  const auto is_plain = [](char c) { return c >= ' ' && c < 0x7f; };
  if (!name.empty() && name.size() <= kMaxSessionName && std::all_of(name.begin(), name.end(), is_plain))
    return {};
  Json params = {
      {"bridge", "b"}, {"name", name}, {"sources", Json::object()}, {"destination", Json::object()}};
  const auto violation = openrpc::control().check_params("mirror.add", params);
  return violation ? violation->sentence : "";
}

}  // namespace vswitch::document
