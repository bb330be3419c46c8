// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/bridge.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "datapath/switching/mac_table.h"

namespace vswitch::model {
namespace {

using B = Bridge;

constexpr std::array kBridgeColumns = {
    read_only<&B::name>("name", Effect::settings),
    read_only<&B::ports>("ports", Effect::settings),
    read_only<&B::mirrors>("mirrors", Effect::settings),
    plain<&B::fail_mode>("fail_mode", "fail_mode", Effect::settings),
    plain<&B::flood_vlans>("flood_vlans", "flood_vlans", Effect::settings),
    read_only<&B::stp_enable>("stp_enable", Effect::settings),
    read_only<&B::rstp_enable>("rstp_enable", Effect::settings),
    read_only<&B::mcast_snooping_enable>("mcast_snooping_enable", Effect::settings),
    read_only<&B::controller>("controller", Effect::settings),
    read_only<&B::netflow>("netflow", Effect::settings),
    read_only<&B::sflow>("sflow", Effect::settings),
    read_only<&B::ipfix>("ipfix", Effect::settings),
    read_only<&B::auto_attach>("auto_attach", Effect::settings),
    read_only<&B::flow_tables, ValuesOfMap>("flow_tables", Effect::settings),
    read_only<&B::protocols>("protocols", Effect::settings),
    stored<&B::other_config>("other_config", "", Effect::settings),
};

constexpr std::array kRootColumns = {
    read_only<&Root::bridges>("bridges", Effect::settings),
    read_only<&Root::next_cfg>("next_cfg", Effect::next_cfg),
    read_only<&Root::other_config>("other_config", Effect::settings),
};

std::int64_t number_in(const std::map<std::string, std::string>& config, const char* key,
                       std::int64_t fallback, std::int64_t low, std::int64_t high) {
  const auto found = config.find(key);
  if (found == config.end()) return fallback;
  const std::string& text = found->second;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return fallback;
  return std::clamp(value, low, high);
}

}  // namespace

std::int64_t Bridge::mac_aging_seconds() const {
  return number_in(other_config, "mac-aging-time", MacTable::kDefaultAging / kSecondNs, 15, 3600);
}

std::int64_t Bridge::mac_table_size() const {
  return number_in(other_config, "mac-table-size", static_cast<std::int64_t>(MacTable::kDefaultCapacity), 10,
                   1'000'000);
}

bool Bridge::forward_bpdu() const {
  const auto found = other_config.find("forward-bpdu");
  return found != other_config.end() && found->second == "true";
}

Columns<Bridge> bridge_columns() {
  return kBridgeColumns;
}

Columns<Root> root_columns() {
  return kRootColumns;
}

Bridge read_bridge(const ovsdb::Row& row) {
  Bridge bridge;
  bridge.uuid = row.uuid();
  read_columns(bridge_columns(), row, bridge);
  return bridge;
}

Root read_root(const ovsdb::Row& row) {
  Root root;
  root.uuid = row.uuid();
  read_columns(root_columns(), row, root);
  return root;
}

}  // namespace vswitch::model
