// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/identity.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schemas/ovsdb/schema.h"
#include "switchd/bridge/row_writer.h"

namespace vswitch::bridge {

namespace {

using ovsdb::Datum;
using ovsdb::Row;
using ovsdb::Transaction;
using ovsdb::Uuid;

/// os-release(5).
std::map<std::string, std::string> os_release() {
  std::map<std::string, std::string> values;
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    std::string value = line.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    values[line.substr(0, equals)] = value;
  }
  return values;
}

/// 16 hexadecimal digits, or 0x and up to 16; not zero. nullopt: not given, or not understood.
std::optional<std::string> datapath_id_in(const Row& bridge) {
  const std::string* text = bridge.value("other_config", "datapath-id");
  if (text == nullptr) return std::nullopt;
  const bool prefixed = text->starts_with("0x") || text->starts_with("0X");
  const std::string_view digits = std::string_view(*text).substr(prefixed ? 2 : 0);
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id, 16);
  if (error != std::errc() || end != digits.data() + digits.size() || id == 0 ||
      (!prefixed && digits.size() != 16))
    return std::nullopt;
  char canonical[17];
  std::snprintf(canonical, sizeof canonical, "%016llx", static_cast<unsigned long long>(id));
  return canonical;
}

void write_datapath_id(const DesiredBridge& bridge, const Attachments& attachments,
                       Transaction& transaction) {
  RowWriter row(transaction, "Bridge", bridge.row);
  if (row.row() == nullptr) return;
  const netlink::Link* local = attachments.link(bridge.spec.name);
  if (const auto wanted = datapath_id_in(*row.row())) {
    row.set("datapath_id", *wanted);
  } else if (local != nullptr) {
    std::string digits = "0000" + local->mac.to_string();
    std::erase(digits, ':');
    row.set("datapath_id", digits);
  }
  row.set("datapath_version", std::string("vswitch " VSWITCH_VERSION));
}

void write_types(const Uuid& root_row, Transaction& transaction) {
  RowWriter root(transaction, "Open_vSwitch", root_row);
  root.set("datapath_types", Datum::set_of(std::vector<std::string>{"netdev", "system"}));
  root.set("iface_types",
           Datum::set_of(std::vector<std::string>{"erspan", "geneve", "gre", "internal", "ip6erspan",
                                                  "ip6gre", "patch", "system", "tap", "vxlan"}));
}

}  // namespace

void write_identity(const Desired& desired, const Attachments& attachments, Transaction& transaction) {
  for (const DesiredBridge& bridge : desired.bridges) write_datapath_id(bridge, attachments, transaction);
  if (desired.root) write_types(*desired.root, transaction);
}

void write_versions(const Uuid& root_row, Transaction& transaction) {
  const std::map<std::string, std::string> system = os_release();
  const auto of_system = [&system](const char* key) {
    const auto found = system.find(key);
    return found == system.end() ? std::string() : found->second;
  };
  RowWriter root(transaction, "Open_vSwitch", root_row);
  root.set("ovs_version", std::string(VSWITCH_OVS_VERSION));
  root.set("db_version", ovsdb::vswitch_schema().version);
  root.set("system_type", of_system("ID"));
  root.set("system_version", of_system("VERSION_ID"));
}

}  // namespace vswitch::bridge
