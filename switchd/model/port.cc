// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/port.h"

#include <array>

namespace vswitch::model {
namespace {

using P = Port;

constexpr std::array kPortColumns = {
    read_only<&P::name>("name", Effect::settings),
    read_only<&P::interfaces>("interfaces", Effect::settings),
    plain<&P::vlan_mode>("vlan_mode", "vlan_mode", Effect::settings),
    plain<&P::tag>("tag", "tag", Effect::settings),
    plain<&P::trunks>("trunks", "trunks", Effect::settings),
    plain<&P::cvlans>("cvlans", "cvlans", Effect::settings),
    plain<&P::is_protected>("protected", "protected", Effect::settings),
    read_only<&P::qos>("qos", Effect::settings),
    read_only<&P::lacp>("lacp", Effect::settings),
    read_only<&P::mac>("mac", Effect::settings),
    stored<&P::other_config>("other_config", "", Effect::settings),
};

constexpr char kPriorityTags[] = "priority-tags";
constexpr char kNever[] = "never";
constexpr char kQinqEthtype[] = "qinq-ethtype";
constexpr char kServiceTag[] = "802.1ad";
constexpr char kTransient[] = "transient";

/// A key that has its default is left out, so that rows look like those of other clients.
void put(std::map<std::string, std::string>& config, const char* key, const std::string& value,
         const char* normal) {
  if (value == normal) {
    config.erase(key);
  } else {
    config[key] = value;
  }
}

}  // namespace

std::string Port::priority_tags() const {
  const auto found = other_config.find(kPriorityTags);
  if (found == other_config.end()) return kNever;
  if (found->second == "true" || found->second == "if-nonzero") return "if-nonzero";
  return found->second == "always" ? "always" : kNever;
}

std::string Port::qinq_ethtype() const {
  const auto found = other_config.find(kQinqEthtype);
  return found != other_config.end() && found->second == "802.1q" ? "802.1q" : kServiceTag;
}

bool Port::transient() const {
  const auto found = other_config.find(kTransient);
  return found != other_config.end() && found->second == "true";
}

void Port::set_transient(bool value) {
  put(other_config, kTransient, value ? "true" : "false", "false");
}

void Port::set_priority_tags(const std::string& value) {
  put(other_config, kPriorityTags, value, kNever);
}

void Port::set_qinq_ethtype(const std::string& value) {
  put(other_config, kQinqEthtype, value, kServiceTag);
}

Columns<Port> port_columns() {
  return kPortColumns;
}

Port read_port(const ovsdb::Row& row) {
  Port port;
  port.uuid = row.uuid();
  read_columns(port_columns(), row, port);
  return port;
}

}  // namespace vswitch::model
