// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/desired.h"

#include <algorithm>
#include <set>
#include <utility>

#include "schemas/device_name.h"
#include "switchd/base/wall_clock.h"
#include "switchd/bridge/pattern_binder.h"
#include "switchd/bridge/unsupported.h"
#include "switchd/db/changes.h"
#include "switchd/db/database.h"
#include "switchd/model/bridge.h"
#include "switchd/model/interface.h"
#include "switchd/model/mirror.h"
#include "switchd/model/port.h"
#include "switchd/model/tables.h"

namespace vswitch::bridge {

namespace {

std::vector<VlanId> vlans_of(const std::set<std::int64_t>& numbers) {
  std::vector<VlanId> vlans;
  vlans.reserve(numbers.size());
  for (const std::int64_t vlan : numbers) vlans.push_back(static_cast<VlanId>(vlan));
  return vlans;
}

VlanSet set_or_all(const std::set<std::int64_t>& vlans) {
  VlanSet set;
  for (const std::int64_t vlan : vlans) set.set(static_cast<VlanId>(vlan));
  return vlans.empty() ? set.set() : set;
}

VlanPolicy vlan_policy(const model::Port& port) {
  VlanPolicy policy;
  if (port.vlan_mode == "access" || (!port.vlan_mode && port.tag)) {
    policy.mode = VlanMode::access;
  } else if (port.vlan_mode == "native-tagged") {
    policy.mode = VlanMode::native_tagged;
  } else if (port.vlan_mode == "native-untagged") {
    policy.mode = VlanMode::native_untagged;
  } else if (port.vlan_mode == "dot1q-tunnel") {
    policy.mode = VlanMode::dot1q_tunnel;
  }
  policy.tag = static_cast<VlanId>(port.tag.value_or(0));
  policy.trunks = set_or_all(port.trunks);
  policy.cvlans = set_or_all(port.cvlans);
  if (port.qinq_ethtype() == "802.1q") policy.qinq_ethtype = kTpid8021Q;
  const std::string priority_tags = port.priority_tags();
  if (priority_tags == "always") policy.priority_tags = PriorityTags::always;
  if (priority_tags == "if-nonzero") policy.priority_tags = PriorityTags::if_nonzero;
  return policy;
}

std::optional<MacAddr> requested_mac(const model::Bridge& bridge, const model::Interface& interface) {
  if (const auto mac = MacAddr::parse(interface.mac.value_or(""))) return mac;
  const auto hwaddr = bridge.other_config.find("hwaddr");
  if (interface.name != bridge.name || hwaddr == bridge.other_config.end()) return std::nullopt;
  return MacAddr::parse(hwaddr->second);
}

/// Of a device that the switch makes.
MacAddr default_mac(const model::Interface& interface) {
  MacAddr mac;
  const std::size_t hash = std::hash<std::string>{}(interface.uuid.to_string());
  for (std::size_t i = 0; i < mac.octets.size(); ++i)
    mac.octets[i] = static_cast<std::uint8_t>(hash >> 8 * i);
  mac.octets[0] = static_cast<std::uint8_t>((mac.octets[0] & 0xfc) | 0x02);  // unicast, locally administered
  return mac;
}

DesiredInterface desired_interface(const model::Bridge& bridge, const model::Port& port,
                                   const model::Interface& interface) {
  DesiredInterface desired{.row = interface.uuid,
                           .port_row = port.uuid,
                           .name = interface.name,
                           .mac = {},
                           .mtu_request = {},
                           .ofport_request = interface.ofport_request,
                           .refusal = {},
                           .peer = {},
                           .tunnel = {},
                           .is_port = interface.ofport.value_or(-1) > 0,
                           .trouble = {}};
  const std::string& type = interface.type;
  if (type == "internal" || type == "tap" || interface.name == bridge.name) {
    desired.type = InterfaceType::internal;
    desired.mac = requested_mac(bridge, interface);
    desired.default_mac = default_mac(interface);
    desired.follows_mtu = !interface.mtu_request;
  } else if (type == "patch") {
    desired.type = InterfaceType::patch;
    if (const auto peer = interface.options.find("peer"); peer != interface.options.end())
      desired.peer = peer->second;
    // The messages of Open vSwitch.
    if (desired.peer.empty()) desired.refusal = desired.name + ": patch type requires valid 'peer' argument";
    if (desired.peer == desired.name) desired.refusal = desired.name + ": patch peer must not be self";
  } else if (model::is_tunnel_type(type)) {
    desired.type = InterfaceType::tunnel;
    desired.tunnel = model::tunnel_of(interface);
    desired.refusal = desired.tunnel->refusal;
  } else if (!type.empty() && type != "system") {
    desired.refusal = "interface type " + type +
                      " is not supported; use system, internal, tap, patch, gre, erspan, vxlan or geneve";
  }
  if (desired.refusal.empty() && has_device(desired.type))
    desired.refusal = device_name_trouble(desired.name);
  if (interface.mtu_request) desired.mtu_request = static_cast<std::uint32_t>(*interface.mtu_request);
  desired.unsupported = unsupported_by(interface, desired.type);
  desired.unsupported_of_port = unsupported_by(port);
  if (port.interfaces.size() != 1)
    desired.refusal = "port " + port.name + " has several interfaces; bonds are not supported";
  return desired;
}

PortSpec port_spec(const model::Port& port, const DesiredInterface& desired) {
  PortSpec spec{.name = desired.name,
                .vlan = vlan_policy(port),
                .is_protected = port.is_protected,
                .device = nullptr,
                .patch_peer = {},
                .endpoint = nullptr,
                .tunnel_trouble = {}};
  if (desired.type == InterfaceType::patch && desired.refusal.empty()) {
    spec.is_patch = true;
    spec.patch_peer = desired.peer;
  }
  return spec;
}

Direction direction_of(const std::string& text) {
  return text == "from" ? Direction::from : text == "to" ? Direction::to : Direction::both;
}

GsoPackets gso_packets_of(const model::MirrorSettings& mirror) {
  return mirror.superframes == "keep"  ? GsoPackets::keep
         : mirror.superframes == "cut" ? GsoPackets::segment
                                       : GsoPackets::by_destination;
}

MtuPolicy mtu_policy_of(const model::MirrorSettings& mirror) {
  return mirror.mtu_policy == "fragment" ? MtuPolicy::fragment
         : mirror.mtu_policy == "drop"   ? MtuPolicy::drop
                                         : MtuPolicy::truncate;
}

std::vector<DesiredEndpoint> endpoints_of(const model::Mirror& mirror) {
  std::vector<DesiredEndpoint> endpoints;
  for (const auto& [row, endpoint] : mirror.endpoint_rows)
    endpoints.push_back(model::tunnel_of(row, endpoint, mtu_policy_of(mirror)));
  return endpoints;
}

/// The matches of a column; if one is wrong, the session gets the reason.
std::vector<Match> parse_matches(const std::set<std::string>& texts, const char* column,
                                 DesiredSession& session) {
  std::vector<Match> matches;
  for (const std::string& text : texts) {
    Match::Parsed parsed = Match::parse(text);
    if (parsed.match) {
      matches.push_back(std::move(*parsed.match));
    } else if (session.refusal.empty()) {
      session.refusal = std::string(column) + ": " + parsed.trouble;
    }
  }
  return matches;
}

void add_rules(const model::Mirror& mirror, DesiredSession& session) {
  FilterRules rules;
  rules.filter = parse_matches(mirror.filter, "filter", session);
  rules.skip = parse_matches(mirror.skip, "skip", session);
  if (!rules.filter.empty() || !rules.skip.empty())
    session.rules = std::make_shared<const FilterRules>(std::move(rules));
}

std::uint64_t number_or_zero(const std::optional<std::int64_t>& number) {
  return static_cast<std::uint64_t>(number.value_or(0));
}

/// What ends a session, and whether that has happened.
void add_end(const model::Mirror& mirror, std::int64_t now_ms, DesiredSession& session) {
  session.quota = {.packets = number_or_zero(mirror.expires_packets),
                   .bytes = number_or_zero(mirror.expires_bytes)};
  session.ends_at = mirror.expires_at;
  if (!mirror.has_ended(now_ms)) return;
  session.expired = mirror.expires_with_connection ? "the connection it was bound to has ended"
                                                   : "it expired at " + iso_time(*session.ends_at);
}

/// The ports that patterns select at present become sources like any other, except the session's own
/// destinations.
void bind_patterns(model::Mirror& mirror, PatternBinder& binder, DesiredSession& session) {
  for (const auto& [text, direction] : mirror.source_patterns) {
    const auto pattern = model::SourcePattern::parse(text);
    if (!pattern) {
      session.refusal =
          "source_patterns: \"" + text + "\" is not a pattern: it must begin with glob:, iface-id: or mac:";
      continue;
    }
    PatternSpec bound{.text = text, .ports = binder.ports(*pattern)};
    std::erase_if(bound.ports,
                  [&mirror](const std::string& port) { return mirror.destination_ports.contains(port); });
    for (const std::string& port : bound.ports) mirror.add_source_port(port, direction);
    session.patterns.push_back(std::move(bound));
  }
}

DesiredSession session_spec(model::Mirror mirror, std::int64_t now_ms, PatternBinder& binder) {
  DesiredSession session;
  session.id = mirror.uuid.to_string();
  session.name = mirror.name;
  session.enabled = mirror.enabled;
  session.all_ports = mirror.select_all;
  session.vlans = vlans_of(mirror.vlans);
  session.destinations.assign(mirror.destination_ports.begin(), mirror.destination_ports.end());
  session.normal_io = mirror.normal_io;
  session.wants_capture = mirror.capture;
  session.record = {.bytes = static_cast<std::size_t>(mirror.record_memory()),
                    .age = mirror.record_seconds.value_or(0) * kSecondNs};
  if (mirror.ignores_output_vlan) session.notice = "output_vlan has no effect, because output_port is set";
  session.tags.keep_vlan = mirror.keep_vlan;
  session.tags.strip_vlan = mirror.strip_vlan;
  session.gso_packets = gso_packets_of(mirror);
  session.mtu_policy = mtu_policy_of(mirror);
  session.sample = static_cast<std::uint32_t>(mirror.sample);
  session.rate = {.packets = number_or_zero(mirror.rate_packets), .bits = number_or_zero(mirror.rate_bits)};
  session.cpu_budget = static_cast<std::uint32_t>(number_or_zero(mirror.cpu_budget));
  if (mirror.output_vlan) session.tags.output_vlan = static_cast<VlanId>(*mirror.output_vlan);
  constexpr std::int64_t kWholeFrames = 65535;  // the column's largest value means whole frames
  if (mirror.snaplen && *mirror.snaplen < kWholeFrames)
    session.snaplen = static_cast<std::size_t>(*mirror.snaplen);
  add_rules(mirror, session);
  add_end(mirror, now_ms, session);
  bind_patterns(mirror, binder, session);
  for (const auto& [port, direction] : mirror.source_ports)
    session.sources.push_back({port, direction_of(direction)});
  return session;
}

/// Reads the rows of a database into the desired configuration of the switch.
class Reader {
 public:
  Reader(const ovsdb::Database& database, Desired& desired) : database_(database), desired_(desired) {}

  void read();

 private:
  void add_bridge(const model::Bridge& bridge);
  void add_ports(const model::Bridge& bridge, DesiredBridge& desired);
  void add_sessions(const model::Bridge& bridge, DesiredBridge& desired);

  const ovsdb::Database& database_;
  Desired& desired_;
  /// Interfaces that are ports already: the schema lets rows share an interface, but a device can only be one
  /// port.
  std::set<ovsdb::Uuid> taken_;
};

void Reader::read() {
  for (const ovsdb::Row& row : database_.table("Open_vSwitch")) {
    const model::Root root = model::read_root(row);
    desired_.root = root.uuid;
    desired_.next_cfg = root.next_cfg;
    for (const ovsdb::Uuid& uuid : root.bridges) {
      if (const ovsdb::Row* bridge = database_.find("Bridge", uuid)) add_bridge(model::read_bridge(*bridge));
    }
  }
  std::sort(desired_.bridges.begin(), desired_.bridges.end(),
            [](const DesiredBridge& a, const DesiredBridge& b) { return a.spec.name < b.spec.name; });
}

void Reader::add_bridge(const model::Bridge& bridge) {
  DesiredBridge desired{.row = bridge.uuid,
                        .interfaces = {},
                        .endpoints = {},
                        .sessions = {},
                        .unsupported = unsupported_by(bridge),
                        .spec = {}};
  BridgeSpec& spec = desired.spec;
  spec.name = bridge.name;
  spec.flood_vlans = vlans_of(bridge.flood_vlans);
  spec.forward_bpdu = bridge.forward_bpdu();
  spec.secure = bridge.fail_mode == "secure";
  spec.mac_aging = bridge.mac_aging_seconds() * kSecondNs;
  spec.mac_table_size = static_cast<std::size_t>(bridge.mac_table_size());
  add_ports(bridge, desired);
  add_sessions(bridge, desired);
  desired_.bridges.push_back(std::move(desired));
}

void Reader::add_ports(const model::Bridge& bridge, DesiredBridge& desired) {
  desired.interfaces.reserve(bridge.ports.size());
  desired.spec.ports.reserve(bridge.ports.size());
  for (const ovsdb::Uuid& port_uuid : bridge.ports) {
    const ovsdb::Row* port_row = database_.find("Port", port_uuid);
    if (port_row == nullptr) continue;
    const model::Port port = model::read_port(*port_row);
    for (const ovsdb::Uuid& uuid : port.interfaces) {
      const ovsdb::Row* interface = database_.find("Interface", uuid);
      if (interface == nullptr || !taken_.insert(uuid).second) continue;
      desired.interfaces.push_back(desired_interface(bridge, port, model::read_interface(*interface)));
      desired.spec.ports.push_back(port_spec(port, desired.interfaces.back()));
    }
  }
}

void Reader::add_sessions(const model::Bridge& bridge, DesiredBridge& desired) {
  PatternBinder binder(database_, desired);
  desired.endpoints.reserve(bridge.mirrors.size());
  desired.sessions.reserve(bridge.mirrors.size());
  for (const ovsdb::Uuid& uuid : bridge.mirrors) {
    const ovsdb::Row* row = database_.find("Mirror", uuid);
    if (row == nullptr) continue;
    model::Mirror mirror = model::read_mirror(database_, *row, model::PortName::of_interface);
    desired.endpoints.push_back(endpoints_of(mirror));
    desired.sessions.push_back(session_spec(std::move(mirror), desired_.now_ms, binder));
    for (const DesiredEndpoint& endpoint : desired.endpoints.back()) {
      if (!endpoint.refusal.empty()) desired.sessions.back().refusal = "endpoint: " + endpoint.refusal;
    }
  }
  desired_.reads_interface_ids |= binder.has_read_ids();
}

/// Both ends of a patch must name each other.
void check_patches(Desired& desired) {
  std::map<std::string, std::string> peers;
  const auto for_patches = [&desired](auto visit) {
    for (DesiredBridge& bridge : desired.bridges) {
      for (DesiredInterface& interface : bridge.interfaces) {
        if (interface.type == InterfaceType::patch && interface.refusal.empty()) visit(interface);
      }
    }
  };
  for_patches([&peers](const DesiredInterface& end) { peers[end.name] = end.peer; });
  for_patches([&peers](DesiredInterface& end) {
    const auto other = peers.find(end.peer);
    if (other == peers.end() || other->second != end.name)
      end.trouble = "No usable peer '" + end.peer + "' exists in 'netdev' datapath.";
  });
}

/// If two tunnels have the same ends, the one that is a port already stays.
void check_tunnels(Desired& desired) {
  std::vector<DesiredInterface*> tunnels;
  for (DesiredBridge& bridge : desired.bridges) {
    for (DesiredInterface& interface : bridge.interfaces) {
      if (interface.tunnel && interface.refusal.empty()) tunnels.push_back(&interface);
    }
  }
  std::stable_partition(tunnels.begin(), tunnels.end(),
                        [](const DesiredInterface* tunnel) { return tunnel->is_port; });
  std::map<model::TunnelEnds, const DesiredInterface*> between;
  std::map<model::TunnelEnds, std::vector<IpAddress>> locals;  // of tunnels that differ only in this
  for (DesiredInterface* tunnel : tunnels) {
    model::TunnelEnds ends = model::ends_of(tunnel->tunnel->settings);
    const auto [other, is_first] = between.emplace(ends, tunnel);
    if (!is_first) {
      tunnel->refusal =
          tunnel->name + ": has the same remote_ip, local_ip and key as tunnel " + other->second->name;
    } else if (const auto local = std::exchange(ends.local, std::nullopt)) {
      locals[ends].push_back(*local);
    }
  }
  // If two could take a packet, it goes to the one that names the packet's destination address.
  for (DesiredInterface* tunnel : tunnels) {
    const auto found = locals.find(model::ends_of(tunnel->tunnel->settings));
    if (found == locals.end()) continue;
    tunnel->not_to = found->second;
    std::sort(tunnel->not_to.begin(), tunnel->not_to.end());
  }
}

/// When the next session ends.
std::optional<std::int64_t> next_end(const Desired& desired) {
  std::optional<std::int64_t> next;
  for (const DesiredBridge& bridge : desired.bridges) {
    for (const DesiredSession& session : bridge.sessions) {
      if (session.ends_at && session.expired.empty())
        next = std::min(next.value_or(*session.ends_at), *session.ends_at);
    }
  }
  return next;
}

}  // namespace

Concern concern_of(const ovsdb::Changes& changes, bool reads_interface_ids) {
  Concern concern = Concern::nothing;
  for (const model::TableInfo& table : model::tables()) {
    for (const ovsdb::RowChange& row : changes.of(table.name)) {
      if (!row.modified()) return Concern::settings;
      for (const model::ColumnInfo& column : table.columns) {
        if (column.effect == model::Effect::none || !row.touches(column.name)) continue;
        if (column.effect == model::Effect::settings ||
            (column.effect == model::Effect::interface_ids && reads_interface_ids))
          return Concern::settings;
        if (column.effect == model::Effect::next_cfg) concern = Concern::next_cfg;
      }
    }
  }
  return concern;
}

Desired read_desired(const ovsdb::Database& database, std::int64_t now_ms) {
  Desired desired;
  desired.now_ms = now_ms;
  Reader(database, desired).read();
  check_patches(desired);
  check_tunnels(desired);
  desired.next_end = next_end(desired);
  return desired;
}

}  // namespace vswitch::bridge
