// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/unsupported.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "datapath/base/types.h"

namespace vswitch::bridge {
namespace {

using Map = std::map<std::string, std::string>;

void add(Unsupported& columns, bool is_set, const char* column, const char* instead) {
  if (is_set) columns[column] = std::string("not supported: ") + instead;
}

/// Keys of a map that nothing reads, whether or not Open vSwitch knows them.
void add_keys(Unsupported& columns, const char* column, const Map& map,
              std::initializer_list<std::string_view> known, const char* why = "no effect here") {
  for (const auto& [key, value] : map) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      columns[std::string(column) + ':' + key] = why;
  }
}

/// A value that is not used as it stands.
template <typename IsGood>
void add_value(Unsupported& columns, const Map& other_config, const char* key, IsGood is_good,
               const char* what_to_give) {
  const auto found = other_config.find(key);
  if (found != other_config.end() && !is_good(found->second))
    columns[std::string("other_config:") + key] =
        '"' + found->second + "\" is not used: give " + what_to_give;
}

bool is_truth(const std::string& text) {
  return text == "true" || text == "false";
}

bool is_mac(const std::string& text) {
  return MacAddr::parse(text).has_value();
}

bool is_number(const std::string& text) {
  return !text.empty() && text.size() < 19 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

auto number_between(long low, long high) {
  return [low, high](const std::string& text) {
    return is_number(text) && std::stol(text) >= low && std::stol(text) <= high;
  };
}

auto one_of(std::initializer_list<std::string_view> words) {
  return [words = std::vector<std::string_view>(words)](const std::string& text) {
    return std::find(words.begin(), words.end(), text) != words.end();
  };
}

}  // namespace

Unsupported unsupported_by(const model::Bridge& bridge) {
  Unsupported columns;
  constexpr const char* kAsIfFalse = "the bridge forwards as if it were false";
  add(columns, bridge.stp_enable, "stp_enable", kAsIfFalse);
  add(columns, bridge.rstp_enable, "rstp_enable", kAsIfFalse);
  add(columns, bridge.mcast_snooping_enable, "mcast_snooping_enable", kAsIfFalse);
  add(columns, !bridge.controller.empty(), "controller",
      "the bridge does not connect to OpenFlow controllers");
  add(columns, !bridge.protocols.empty(), "protocols", "the bridge does not speak OpenFlow");
  add(columns, !bridge.flow_tables.empty(), "flow_tables", "the bridge has no OpenFlow tables");
  add(columns, !bridge.netflow.empty(), "netflow", "no flow is exported");
  add(columns, !bridge.sflow.empty(), "sflow", "no frame is sampled");
  add(columns, !bridge.ipfix.empty(), "ipfix", "no flow is exported");
  add(columns, !bridge.auto_attach.empty(), "auto_attach", "no LLDP is sent");
  const Map& config = bridge.other_config;
  // Without controllers, in-band control is disabled.
  add_keys(columns, "other_config", config,
           {"hwaddr", "datapath-id", "forward-bpdu", "mac-aging-time", "mac-table-size", "disable-in-band"});
  add_value(columns, config, "hwaddr", is_mac, "an Ethernet address");
  add_value(columns, config, "forward-bpdu", is_truth, "true or false");
  add_value(columns, config, "mac-aging-time", number_between(15, 3600), "15 to 3600 seconds");
  add_value(columns, config, "mac-table-size", number_between(10, 1'000'000), "10 to 1000000");
  return columns;
}

Unsupported unsupported_by(const model::Port& port) {
  Unsupported columns;
  add(columns, !port.qos.empty(), "qos", "the port is not shaped");
  add(columns, port.lacp.has_value() && *port.lacp != "off", "lacp", "LACP is not spoken");
  add(columns, port.mac.has_value(), "mac",
      "the address of a bridge's local port does not depend on other ports");
  const Map& config = port.other_config;
  add_keys(columns, "other_config", config, {"priority-tags", "qinq-ethtype", "transient"});
  add_value(columns, config, "priority-tags", one_of({"true", "false", "never", "if-nonzero", "always"}),
            "never, if-nonzero or always");
  add_value(columns, config, "qinq-ethtype", one_of({"802.1ad", "802.1q"}), "802.1ad or 802.1q");
  add_value(columns, config, "transient", is_truth, "true or false");
  return columns;
}

Unsupported unsupported_by(const model::Interface& interface, InterfaceType type) {
  Unsupported columns;
  add(columns, interface.ingress_policing_rate != 0 || interface.ingress_policing_kpkts_rate != 0,
      "ingress_policing", "the port is not policed");
  add(columns, !interface.bfd.empty(), "bfd", "the link is not monitored");
  add(columns, interface.cfm_mpid.has_value(), "cfm_mpid", "the link is not monitored");
  add(columns, !interface.lldp.empty(), "lldp", "no LLDP is sent");
  add_keys(columns, "other_config", interface.other_config, {});
  if (has_device(type))
    add_keys(columns, "options", interface.options, {}, "no effect on a port of this type");
  if (type == InterfaceType::patch)
    add_keys(columns, "options", interface.options, {"peer"}, "no effect on a patch port");
  if (!has_device(type) && interface.mtu_request)
    columns["mtu_request"] = "no effect on a port of this type: it has no device";
  if (interface.mac && !MacAddr::parse(*interface.mac))
    columns["mac"] = '"' + *interface.mac + "\" is not an Ethernet address";
  return columns;
}

}  // namespace vswitch::bridge
