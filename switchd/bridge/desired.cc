// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/desired.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <set>
#include <span>
#include <utility>

#include "schemas/device_name.h"
#include "switchd/base/wall_clock.h"
#include "switchd/bridge/source_pattern.h"
#include "switchd/db/changes.h"
#include "switchd/db/database.h"

namespace vswitch::bridge {

namespace {

using ovsdb::Row;

/// other_config values are strings; what is no number, or out of range, is as if it were not there or the
/// nearest that is allowed.
std::int64_t number_in(const Row& row, std::string_view key, std::int64_t fallback, std::int64_t low,
                       std::int64_t high) {
  const std::string* text = row.value("other_config", key);
  if (text == nullptr) return fallback;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc{} || end != text->data() + text->size()) return fallback;
  return std::clamp(value, low, high);
}

bool truth_in(const Row& row, std::string_view key) {
  const std::string* text = row.value("other_config", key);
  return text != nullptr && *text == "true";
}

std::vector<VlanId> vlans_of(const Row& row, std::string_view column) {
  std::vector<VlanId> vlans;
  for (const std::int64_t vlan : row.integers(column)) vlans.push_back(static_cast<VlanId>(vlan));
  return vlans;
}

VlanSet set_or_all(const std::vector<VlanId>& vlans) {
  VlanSet set;
  for (const VlanId vlan : vlans) set.set(vlan);
  return vlans.empty() ? set.set() : set;
}

VlanPolicy vlan_policy(const Row& port) {
  VlanPolicy policy;
  const std::string& mode = port.str("vlan_mode");
  const auto tag = port.integer("tag");
  if (mode == "access" || (mode.empty() && tag)) {
    policy.mode = VlanMode::access;
  } else if (mode == "native-tagged") {
    policy.mode = VlanMode::native_tagged;
  } else if (mode == "native-untagged") {
    policy.mode = VlanMode::native_untagged;
  } else if (mode == "dot1q-tunnel") {
    policy.mode = VlanMode::dot1q_tunnel;
  }
  policy.tag = static_cast<VlanId>(tag.value_or(0));
  policy.trunks = set_or_all(vlans_of(port, "trunks"));
  policy.cvlans = set_or_all(vlans_of(port, "cvlans"));
  if (const std::string* type = port.value("other_config", "qinq-ethtype");
      type != nullptr && *type == "802.1q") {
    policy.qinq_ethtype = kTpid8021Q;
  }
  if (const std::string* tags = port.value("other_config", "priority-tags")) {
    if (*tags == "always") policy.priority_tags = PriorityTags::always;
    if (*tags == "if-nonzero" || *tags == "true") policy.priority_tags = PriorityTags::if_nonzero;
  }
  return policy;
}

/// The MAC address of a device the switch makes: as asked for, or one that stays the same over restarts.
MacAddr internal_mac(const Row& bridge, const Row& interface) {
  if (const auto mac = MacAddr::parse(interface.str("mac"))) return *mac;
  if (interface.str("name") == bridge.str("name")) {
    const std::string* hwaddr = bridge.value("other_config", "hwaddr");
    if (const auto mac = hwaddr != nullptr ? MacAddr::parse(*hwaddr) : std::nullopt) return *mac;
  }
  MacAddr mac;
  const std::size_t hash = std::hash<std::string>{}(interface.uuid().to_string());
  for (std::size_t i = 0; i < mac.octets.size(); ++i)
    mac.octets[i] = static_cast<std::uint8_t>(hash >> 8 * i);
  mac.octets[0] = static_cast<std::uint8_t>((mac.octets[0] & 0xfc) | 0x02);  // unicast, locally administered
  return mac;
}

DesiredInterface read_interface(const Row& bridge, const Row& port, const Row& interface) {
  DesiredInterface desired{.row = interface.uuid(),
                           .port_row = port.uuid(),
                           .name = interface.str("name"),
                           .mac = {},
                           .mtu_request = {},
                           .ofport_request = interface.integer("ofport_request"),
                           .refusal = {},
                           .peer = {},
                           .tunnel = {},
                           .is_port = interface.integer("ofport").value_or(-1) > 0,
                           .trouble = {}};
  const std::string& type = interface.str("type");
  if (type == "internal" || type == "tap" || interface.str("name") == bridge.str("name")) {
    desired.type = InterfaceType::internal;
    desired.mac = internal_mac(bridge, interface);
  } else if (type == "patch") {
    desired.type = InterfaceType::patch;
    if (const std::string* peer = interface.value("options", "peer")) desired.peer = *peer;
    // The sentences of Open vSwitch.
    if (desired.peer.empty()) desired.refusal = desired.name + ": patch type requires valid 'peer' argument";
    if (desired.peer == desired.name) desired.refusal = desired.name + ": patch peer must not be self";
  } else if (is_tunnel_type(type)) {
    desired.type = InterfaceType::tunnel;
    desired.tunnel = read_tunnel(interface);
    desired.refusal = desired.tunnel->refusal;
  } else if (!type.empty() && type != "system") {
    desired.refusal = "interface type " + type +
                      " is not supported; use system, internal, tap, patch, gre, erspan or vxlan";
  }
  if (desired.refusal.empty() && has_device(desired.type))
    desired.refusal = device_name_trouble(desired.name);
  if (const auto mtu = interface.integer("mtu_request"))
    desired.mtu_request = static_cast<std::uint32_t>(*mtu);
  if (port.uuids("interfaces").size() != 1)
    desired.refusal = "port " + port.str("name") + " has several interfaces; bonds are not supported";
  return desired;
}

PortSpec read_port(const Row& port, const DesiredInterface& desired) {
  PortSpec spec{.name = desired.name,
                .vlan = vlan_policy(port),
                .is_protected = port.boolean("protected").value_or(false),
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

/// Sources by name with their directions merged: a port selected for both reasons is one source.
class Sources {
 public:
  void add(const std::string& name, const std::string& direction) {
    add(name, direction != "to", direction != "from");
  }
  void add(const std::string& name, bool from, bool to) {
    auto& [f, t] = by_name_[name];
    f |= from;
    t |= to;
  }
  std::vector<SourceSpec> take() const {
    std::vector<SourceSpec> sources;
    for (const auto& [name, directions] : by_name_) {
      const auto [from, to] = directions;
      sources.push_back({name, from && to ? Direction::both : from ? Direction::from : Direction::to});
    }
    return sources;
  }

 private:
  std::map<std::string, std::pair<bool, bool>> by_name_;
};

/// The name a Port row has in the datapath: that of its interface (they differ only by somebody's wish).
std::string port_name(const ovsdb::Database& database, const ovsdb::Uuid& uuid) {
  const Row* port = database.find("Port", uuid);
  if (port == nullptr) return "";
  for (const ovsdb::Uuid& interface : port->uuids("interfaces")) {
    if (const Row* row = database.find("Interface", interface)) return row->str("name");
  }
  return port->str("name");
}

GsoPackets gso_packets_of(const Row& mirror) {
  const std::string& text = mirror.str("superframes");
  return text == "keep" ? GsoPackets::keep : text == "cut" ? GsoPackets::segment : GsoPackets::by_destination;
}

MtuPolicy mtu_policy_of(const Row& mirror) {
  const std::string& text = mirror.str("mtu_policy");
  return text == "fragment" ? MtuPolicy::fragment : text == "drop" ? MtuPolicy::drop : MtuPolicy::truncate;
}

std::vector<DesiredEndpoint> read_endpoints(const ovsdb::Database& database, const Row& mirror) {
  std::vector<DesiredEndpoint> endpoints;
  for (const ovsdb::Uuid& uuid : mirror.uuids("endpoints")) {
    if (const Row* row = database.find("Mirror_Endpoint", uuid))
      endpoints.push_back(read_endpoint(*row, mtu_policy_of(mirror)));
  }
  return endpoints;
}

/// The matches of a column; those that are wrong leave their reason in the session.
std::vector<Match> read_matches(const Row& mirror, const std::string& column, DesiredSession& session) {
  std::vector<Match> matches;
  for (const std::string& text : mirror.strings(column)) {
    Match::Parsed parsed = Match::parse(text);
    if (parsed.match) {
      matches.push_back(std::move(*parsed.match));
    } else if (session.refusal.empty()) {
      session.refusal = column + ": " + parsed.trouble;
    }
  }
  return matches;
}

void read_rules(const Row& mirror, DesiredSession& session) {
  FilterRules rules;
  rules.filter = read_matches(mirror, "filter", session);
  rules.skip = read_matches(mirror, "skip", session);
  if (!rules.filter.empty() || !rules.skip.empty())
    session.rules = std::make_shared<const FilterRules>(std::move(rules));
}

std::uint64_t number_or_zero(const Row& row, std::string_view column) {
  return static_cast<std::uint64_t>(row.integer(column).value_or(0));
}

/// What ends a session, and whether it has come to that.
void read_end(const Row& mirror, std::int64_t now_ms, DesiredSession& session) {
  session.quota = {.packets = number_or_zero(mirror, "expires_packets"),
                   .bytes = number_or_zero(mirror, "expires_bytes")};
  session.ends_at = mirror.integer("expires_at");
  if (!session.ends_at || *session.ends_at > now_ms) return;
  session.expired = mirror.boolean("expires_with_connection") == true
                        ? "the connection it was bound to has ended"
                        : "its time was over at " + iso_time(*session.ends_at);
}

/// The ports that patterns select at present become sources like any other, but for the session's own
/// destinations.
void bind_patterns(const Row& mirror, PatternBinder& binder, Sources& sources, DesiredSession& session) {
  for (const auto& [text, direction] : mirror.map("source_patterns")) {
    const auto pattern = SourcePattern::parse(text);
    if (!pattern) {
      session.refusal =
          "source_patterns: \"" + text + "\" is no pattern; they begin with glob:, iface-id: or mac:";
      continue;
    }
    PatternSpec bound{.text = text, .ports = binder.ports(*pattern)};
    std::erase_if(bound.ports, [&session](const std::string& port) {
      return std::find(session.destinations.begin(), session.destinations.end(), port) !=
             session.destinations.end();
    });
    for (const std::string& port : bound.ports) sources.add(port, direction);
    session.patterns.push_back(std::move(bound));
  }
}

DesiredSession read_session(const ovsdb::Database& database, const Row& mirror, std::int64_t now_ms,
                            PatternBinder& binder) {
  DesiredSession session;
  session.id = mirror.uuid().to_string();
  session.name = mirror.str("name");
  session.enabled = mirror.boolean("enabled").value_or(true);
  session.all_ports = mirror.boolean("select_all").value_or(false);
  session.vlans = vlans_of(mirror, "select_vlan");
  session.destinations = mirror.strings("destination_ports");
  session.normal_io = mirror.boolean("normal_io").value_or(false);
  session.tags.keep_vlan = mirror.boolean("keep_vlan").value_or(false);
  session.tags.strip_vlan = mirror.boolean("strip_vlan").value_or(false);
  session.gso_packets = gso_packets_of(mirror);
  session.mtu_policy = mtu_policy_of(mirror);
  session.sample = static_cast<std::uint32_t>(mirror.integer("sample").value_or(1));
  session.rate = {.packets = number_or_zero(mirror, "rate_packets"),
                  .bits = number_or_zero(mirror, "rate_bits")};
  Sources sources;
  for (const ovsdb::Uuid& port : mirror.uuids("select_src_port"))
    sources.add(port_name(database, port), true, false);
  for (const ovsdb::Uuid& port : mirror.uuids("select_dst_port"))
    sources.add(port_name(database, port), false, true);
  for (const auto& [name, direction] : mirror.map("source_ports")) sources.add(name, direction);
  if (const auto output = mirror.reference("output_port")) {
    session.destinations.push_back(
        port_name(database, *output));  // wins over output_vlan, as in Open vSwitch
  } else if (const auto vlan = mirror.integer("output_vlan")) {
    session.tags.output_vlan = static_cast<VlanId>(*vlan);
  }
  constexpr std::int64_t kWholeFrames = 65535;  // the column's largest value means whole frames
  if (const auto snaplen = mirror.integer("snaplen"); snaplen && *snaplen < kWholeFrames)
    session.snaplen = static_cast<std::size_t>(*snaplen);
  read_rules(mirror, session);
  read_end(mirror, now_ms, session);
  bind_patterns(mirror, binder, sources, session);
  session.sources = sources.take();
  return session;
}

/// `taken`: interfaces that are ports already; the schema lets rows share one, a device can only be one port.
DesiredBridge read_bridge(const ovsdb::Database& database, const Row& bridge, std::int64_t now_ms,
                          std::set<ovsdb::Uuid>& taken, bool& reads_interface_ids) {
  DesiredBridge desired{.row = bridge.uuid(), .interfaces = {}, .endpoints = {}, .sessions = {}, .spec = {}};
  BridgeSpec& spec = desired.spec;
  spec.name = bridge.str("name");
  spec.flood_vlans = vlans_of(bridge, "flood_vlans");
  spec.forward_bpdu = truth_in(bridge, "forward-bpdu");
  spec.secure = bridge.str("fail_mode") == "secure";
  spec.mac_aging =
      number_in(bridge, "mac-aging-time", MacTable::kDefaultAging / kSecondNs, 15, 3600) * kSecondNs;
  spec.mac_table_size = static_cast<std::size_t>(number_in(
      bridge, "mac-table-size", static_cast<std::int64_t>(MacTable::kDefaultCapacity), 10, 1'000'000));
  for (const ovsdb::Uuid& port_uuid : bridge.uuids("ports")) {
    const Row* port = database.find("Port", port_uuid);
    if (port == nullptr) continue;
    for (const ovsdb::Uuid& interface_uuid : port->uuids("interfaces")) {
      const Row* interface = database.find("Interface", interface_uuid);
      if (interface == nullptr || !taken.insert(interface_uuid).second) continue;
      desired.interfaces.push_back(read_interface(bridge, *port, *interface));
      spec.ports.push_back(read_port(*port, desired.interfaces.back()));
    }
  }
  PatternBinder binder(database, desired);
  for (const ovsdb::Uuid& mirror : bridge.uuids("mirrors")) {
    const Row* row = database.find("Mirror", mirror);
    if (row == nullptr) continue;
    desired.sessions.push_back(read_session(database, *row, now_ms, binder));
    desired.endpoints.push_back(read_endpoints(database, *row));
    for (const DesiredEndpoint& endpoint : desired.endpoints.back()) {
      if (!endpoint.refusal.empty()) desired.sessions.back().refusal = "endpoint: " + endpoint.refusal;
    }
  }
  reads_interface_ids |= binder.has_read_ids();
  return desired;
}

/// The columns that are read here and in status.cc; a row of these tables that comes or goes counts as well.
constexpr std::array<std::string_view, 2> kRoot = {"bridges", "other_config"};
constexpr std::array<std::string_view, 8> kBridge = {
    "ports",        "mirrors",    "fail_mode",   "flood_vlans",
    "other_config", "stp_enable", "rstp_enable", "mcast_snooping_enable"};
constexpr std::array<std::string_view, 7> kPort = {"interfaces", "vlan_mode", "tag",         "trunks",
                                                   "cvlans",     "protected", "other_config"};
constexpr std::array<std::string_view, 5> kInterface = {"type", "options", "mac", "mtu_request",
                                                        "ofport_request"};
constexpr std::array<std::string_view, 27> kMirror = {"name",
                                                      "select_all",
                                                      "select_src_port",
                                                      "select_dst_port",
                                                      "select_vlan",
                                                      "output_port",
                                                      "output_vlan",
                                                      "snaplen",
                                                      "enabled",
                                                      "normal_io",
                                                      "source_ports",
                                                      "destination_ports",
                                                      "keep_vlan",
                                                      "strip_vlan",
                                                      "sample",
                                                      "endpoints",
                                                      "mtu_policy",
                                                      "superframes",
                                                      "filter",
                                                      "skip",
                                                      "source_patterns",
                                                      "rate_packets",
                                                      "rate_bits",
                                                      "expires_at",
                                                      "expires_packets",
                                                      "expires_bytes",
                                                      "expires_with_connection"};
constexpr std::array<std::string_view, 14> kMirrorEndpoint = {
    "remote_ip", "encap", "local_ip",  "key",       "dst_port", "session_id", "index",
    "cos",       "hwid",  "timestamp", "subheader", "ttl",      "dscp",       "dont_fragment"};
struct ReadTable {
  std::string_view name;
  std::span<const std::string_view> columns;
};
constexpr std::array<ReadTable, 6> kRead = {{{"Open_vSwitch", kRoot},
                                             {"Bridge", kBridge},
                                             {"Port", kPort},
                                             {"Interface", kInterface},
                                             {"Mirror", kMirror},
                                             {"Mirror_Endpoint", kMirrorEndpoint}}};

/// Both ends of a patch have to name each other.
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

/// Of two tunnels between the same ends the one that is a port already stays.
void check_tunnels(Desired& desired) {
  std::vector<DesiredInterface*> tunnels;
  for (DesiredBridge& bridge : desired.bridges) {
    for (DesiredInterface& interface : bridge.interfaces) {
      if (interface.tunnel && interface.refusal.empty()) tunnels.push_back(&interface);
    }
  }
  std::stable_partition(tunnels.begin(), tunnels.end(),
                        [](const DesiredInterface* tunnel) { return tunnel->is_port; });
  std::map<TunnelEnds, const DesiredInterface*> between;
  std::map<TunnelEnds, std::vector<IpAddress>> locals;  // of tunnels alike but for them
  for (DesiredInterface* tunnel : tunnels) {
    TunnelEnds ends = ends_of(tunnel->tunnel->settings);
    const auto [other, is_first] = between.emplace(ends, tunnel);
    if (!is_first) {
      tunnel->refusal =
          tunnel->name + ": has the same remote_ip, local_ip and key as tunnel " + other->second->name;
    } else if (const auto local = std::exchange(ends.local, std::nullopt)) {
      locals[ends].push_back(*local);
    }
  }
  // A packet that two could take is for the one that names the address it came to.
  for (DesiredInterface* tunnel : tunnels) {
    const auto found = locals.find(ends_of(tunnel->tunnel->settings));
    if (found == locals.end()) continue;
    tunnel->not_to = found->second;
    std::sort(tunnel->not_to.begin(), tunnel->not_to.end());
  }
}

/// The end of the next session that has one.
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
  for (const ReadTable& table : kRead) {
    for (const ovsdb::RowChange& row : changes.of(table.name)) {
      const auto touched = [&row](std::string_view column) { return row.touches(column); };
      if (!row.modified() || std::any_of(table.columns.begin(), table.columns.end(), touched))
        return Concern::settings;
      if (reads_interface_ids && table.name == "Interface" && row.touches("external_ids"))
        return Concern::settings;
      if (table.name == "Open_vSwitch" && row.touches("next_cfg")) concern = Concern::next_cfg;
    }
  }
  return concern;
}

Desired read_desired(const ovsdb::Database& database, std::int64_t now_ms) {
  Desired desired;
  desired.now_ms = now_ms;
  std::set<ovsdb::Uuid> taken;
  for (const Row& root : database.table("Open_vSwitch")) {
    desired.root = root.uuid();
    desired.next_cfg = root.integer("next_cfg").value_or(0);
    for (const ovsdb::Uuid& uuid : root.uuids("bridges")) {
      if (const Row* bridge = database.find("Bridge", uuid))
        desired.bridges.push_back(read_bridge(database, *bridge, now_ms, taken, desired.reads_interface_ids));
    }
  }
  std::sort(desired.bridges.begin(), desired.bridges.end(),
            [](const DesiredBridge& a, const DesiredBridge& b) { return a.spec.name < b.spec.name; });
  check_patches(desired);
  check_tunnels(desired);
  desired.next_end = next_end(desired);
  return desired;
}

}  // namespace vswitch::bridge
