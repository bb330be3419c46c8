// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/status.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <set>

#include "schemas/ovsdb/schema.h"
#include "switchd/api/switch_view.h"
#include "switchd/base/wall_clock.h"
#include "switchd/bridge/system_statistics.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"

namespace vswitch::bridge {

namespace {

using ovsdb::Datum;
using ovsdb::Row;
using ovsdb::Transaction;
using ovsdb::Uuid;

constexpr std::int64_t kLocalPort = 65534;  // OFPP_LOCAL in OpenFlow 1.0
constexpr std::int64_t kMaxOfport = 65279;

/// Columns of one row, written only where they differ.
class RowWriter {
 public:
  RowWriter(Transaction& transaction, std::string_view table, const Uuid& uuid)
      : transaction_(transaction), table_(table), uuid_(uuid), row_(transaction.find(table, uuid)) {}

  const Row* row() const { return row_; }
  void set(std::string_view column, Datum datum) {
    if (row_ == nullptr || (*row_)[column] == datum) return;
    transaction_.set(table_, uuid_, column, std::move(datum));
    row_ = transaction_.find(table_, uuid_);
  }
  void set(std::string_view column, std::int64_t value) { set(column, Datum::of(value)); }
  void set(std::string_view column, const std::string& text) {
    set(column, text.empty() ? Datum() : Datum::of(text));
  }
  void set(std::string_view column, const CounterMap& counters) { set(column, Datum::map_of(counters)); }
  void set(std::string_view column, const std::map<std::string, std::string>& map) {
    set(column, Datum::map_of(map));
  }
  void clear(std::string_view column) { set(column, Datum()); }

 private:
  Transaction& transaction_;
  std::string_view table_;
  Uuid uuid_;
  const Row* row_;
};

/// To the second.
std::string now_text() {
  return iso_time(wall_now_ms() / 1000 * 1000);
}

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

/// Keeps OpenFlow port numbers what they were; new ones get what they ask for, or the lowest that is free.
class OfportAllocator {
 public:
  OfportAllocator(const DesiredBridge& bridge, Transaction& transaction) {
    // Who has a number and is content keeps it; then requests are heard, and who asked in vain keeps his.
    std::map<Uuid, std::int64_t> present;
    for (const DesiredInterface& interface : bridge.interfaces) {
      const Row* row = transaction.find("Interface", interface.row);
      const auto ofport = row != nullptr ? row->integer("ofport") : std::nullopt;
      if (ofport && *ofport >= 1 && *ofport <= kMaxOfport) present[interface.row] = *ofport;
    }
    for (const DesiredInterface& interface : bridge.interfaces) {
      const auto has = present.find(interface.row);
      if (has != present.end() && interface.ofport_request.value_or(has->second) == has->second)
        give(interface.row, has->second);
    }
    for (const DesiredInterface& interface : bridge.interfaces) {
      if (interface.ofport_request) give(interface.row, *interface.ofport_request);
    }
    for (const auto& [interface, number] : present) give(interface, number);
  }
  std::int64_t number_of(const Uuid& interface) {
    for (; !given_.contains(interface); ++next_) give(interface, next_);
    return given_.at(interface);
  }

 private:
  void give(const Uuid& interface, std::int64_t number) {
    if (!given_.contains(interface) && used_.insert(number).second) given_[interface] = number;
  }
  std::map<Uuid, std::int64_t> given_;
  std::set<std::int64_t> used_;
  std::int64_t next_ = 1;
};

void write_link(RowWriter& row, const DesiredInterface& interface, const Attachment& attachment,
                const netlink::Link* link) {
  std::map<std::string, std::string> status;
  const bool works =
      attachment.device != nullptr || (interface.type == InterfaceType::patch && attachment.error.empty());
  if (!works) {
    const bool may_come = interface.refusal.empty() && (link == nullptr || attachment.may_pass);
    status["state"] = may_come ? "waiting" : "error";
    status["reason"] = attachment.error;
  } else if (!interface.trouble.empty()) {
    status["state"] = "waiting";
    status["reason"] = interface.trouble;
  } else if (link == nullptr || (link->up && (link->carrier || interface.type == InterfaceType::internal))) {
    status["state"] = "up";
  } else {
    status["state"] = "down";
    status["reason"] = link->up ? "no carrier: the other end is down"
                                : "the device is down (ip link set " + interface.name + " up)";
  }
  if (works && !attachment.not_isolated.empty()) status["warning"] = attachment.not_isolated;
  if (works && !attachment.not_configured.empty()) status["warning"] = attachment.not_configured;
  if (link != nullptr && works) {
    status["driver_name"] = interface.type == InterfaceType::internal ? "tun"
                            : link->kind.empty()                      ? "unknown"
                                                                      : link->kind;
    row.set("admin_state", std::string(link->up ? "up" : "down"));
    row.set("link_state", std::string(link->carrier ? "up" : "down"));
    row.set("link_resets", static_cast<std::int64_t>(attachment.earlier_resets + link->link_resets));
    row.set("ifindex", std::int64_t{link->ifindex});
    row.set("mtu", static_cast<std::int64_t>(link->mtu));
    row.set("mac_in_use", link->mac.to_string());
    link->speed ? row.set("link_speed", static_cast<std::int64_t>(*link->speed)) : row.clear("link_speed");
    row.set("duplex", std::string(!link->full_duplex ? "" : *link->full_duplex ? "full" : "half"));
  } else if (!works && row.row()->integer("ifindex")) {  // of a device that was there before
    row.set("link_state", std::string("down"));
    row.set("ifindex", std::int64_t{0});
    for (const char* column : {"admin_state", "mtu", "mac_in_use", "link_speed", "duplex"}) row.clear(column);
  }
  row.set("status", status);
}

/// -1 tells ovs-vsctl to print the error. A port whose device went keeps its number, as in Open vSwitch.
std::int64_t ofport_of(const DesiredInterface& interface, const Attachment& attachment,
                       const DesiredBridge& bridge, const Row& row, OfportAllocator& ofports) {
  const bool waits_for_its_device = interface.refusal.empty() && interface.type == InterfaceType::system &&
                                    row.integer("ofport").value_or(-1) > 0;
  if (!attachment.error.empty() && !waits_for_its_device) return -1;
  return interface.name == bridge.spec.name ? kLocalPort : ofports.number_of(interface.row);
}

/// As Open vSwitch tells of tunnels, and what is wrong with the way.
void write_tunnel(RowWriter& row, const Endpoints::Entry& entry, const netlink::LinkMonitor& links) {
  std::map<std::string, std::string> status{{"state", entry.trouble().empty() ? "up" : "down"}};
  if (!entry.trouble().empty()) status["reason"] = entry.trouble();
  if (!entry.route.device.empty()) {
    const netlink::Link* link = links.find(entry.route.device);
    status["tunnel_egress_iface"] = entry.route.device;
    status["tunnel_egress_iface_carrier"] = link != nullptr && link->carrier ? "up" : "down";
  }
  row.set("admin_state", std::string("up"));
  row.set("link_state", std::string("up"));
  row.set("status", status);
}

void write_interfaces(const SwitchStatus& status, const DesiredBridge& bridge, Transaction& transaction) {
  OfportAllocator ofports(bridge, transaction);
  for (const DesiredInterface& interface : bridge.interfaces) {
    const Attachment* attachment = status.attachments.find(interface.name);
    RowWriter row(transaction, "Interface", interface.row);
    if (attachment == nullptr || row.row() == nullptr) continue;
    row.set("error", attachment->error.empty() ? interface.trouble : attachment->error);
    row.set("ofport", ofport_of(interface, *attachment, bridge, *row.row(), ofports));
    const Endpoints::Entry* endpoint = status.endpoints.find(interface.row);
    if (endpoint != nullptr && attachment->device != nullptr) {
      write_tunnel(row, *endpoint, status.links);
      continue;
    }
    write_link(row, interface, *attachment,
               has_device(interface.type) ? status.links.find(interface.name) : nullptr);
  }
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

/// What a bridge is asked for and does not do, where stock clients can see it: they do not know our columns
/// of Mirror.
std::map<std::string, std::string> refused_by(const SwitchStatus& status, const DesiredBridge& bridge,
                                              const Row& row) {
  std::map<std::string, std::string> refused;
  for (const SessionStatus& session : status.sessions) {
    if (session.state != SessionState::error) continue;  // few are
    for (const SessionSpec& of_bridge : bridge.spec.sessions) {
      if (of_bridge.id == session.id) refused["mirror " + of_bridge.name] = session.reason;
    }
  }
  for (const char* column : {"stp_enable", "rstp_enable", "mcast_snooping_enable"}) {
    if (row.boolean(column) == true)
      refused[column] = "not supported: the bridge forwards as if it were false";
  }
  return refused;
}

void write_bridge(const SwitchStatus& status, const DesiredBridge& bridge, Transaction& transaction) {
  RowWriter row(transaction, "Bridge", bridge.row);
  if (row.row() == nullptr) return;
  const netlink::Link* local = status.links.find(bridge.spec.name);
  if (const auto wanted = datapath_id_in(*row.row())) {
    row.set("datapath_id", *wanted);
  } else if (local != nullptr) {
    std::string digits = "0000" + local->mac.to_string();
    std::erase(digits, ':');
    row.set("datapath_id", digits);
  }
  row.set("datapath_version", std::string("vswitch " VSWITCH_VERSION));
  row.set("status", refused_by(status, bridge, *row.row()));
}

void write_endpoints(const SwitchStatus& status, Transaction& transaction) {
  for (const DesiredBridge& bridge : status.desired.bridges) {
    for (const auto& of_session : bridge.endpoints) {
      for (const DesiredEndpoint& desired : of_session) {
        std::map<std::string, std::string> columns{{"state", "error"}, {"reason", desired.refusal}};
        if (const Endpoints::Entry* entry = status.endpoints.find(desired.row)) {
          const bool works = entry->trouble().empty();
          columns = {{"state", works ? "active" : "waiting"}};
          if (!works) columns["reason"] = entry->trouble();
          if (!entry->route.device.empty()) columns["device"] = entry->route.device;
          if (entry->route.source) columns["source"] = entry->route.source->to_string();
          if (entry->route.mtu != 0) columns["mtu"] = std::to_string(entry->route.mtu);
        }
        RowWriter(transaction, "Mirror_Endpoint", desired.row).set("status", columns);
      }
    }
  }
}

std::int64_t foreign_frames(const SnapshotCompiler::SessionEntry& session) {
  if (session.foreign == nullptr) return 0;
  return static_cast<std::int64_t>(session.foreign->sum([](const Counter& count) { return count.read(); }));
}

void write_sessions(const SwitchStatus& status, Transaction& transaction) {
  for (const SessionStatus& session : status.sessions) {
    const auto uuid = Uuid::parse(session.id);
    if (!uuid) continue;
    RowWriter row(transaction, "Mirror", *uuid);
    if (row.row() == nullptr) continue;
    const auto before = row.row()->map("status");
    std::map<std::string, std::string> after{{"state", std::string(name(session.state))}};
    if (!session.reason.empty()) after["reason"] = session.reason;
    auto earlier = before;
    earlier.erase("since");
    earlier.erase("notice");
    const auto since = before.find("since");
    after["since"] = earlier == after && since != before.end() ? since->second : now_text();
    if (const auto* entry = status.compiler.session(session.id)) {
      const std::string notice = foreign_notice(foreign_frames(*entry), entry->output_vlan);
      if (!notice.empty()) after["notice"] = notice;
    }
    row.set("status", after);
    // Whatever ended it: a restart does not give it a new life.
    if (session.ended_at) row.set("expires_at", *session.ended_at);
  }
}

std::uint64_t sum_drops(const DropCounters& drops) {
  std::uint64_t total = 0;
  for (const Counter& counter : drops) total += counter.read();
  return total;
}

std::string key(const char* prefix, std::size_t reason) {
  return prefix + std::string(name(static_cast<DropReason>(reason)));
}

void add_if_any(CounterMap& map, const std::string& name, std::uint64_t value) {
  if (value != 0) map[name] += static_cast<std::int64_t>(value);
}

}  // namespace

CounterMap interface_statistics(const PortCounters& counters, std::uint64_t overruns) {
  const auto sum = [&counters](auto read) { return static_cast<std::int64_t>(counters.sum(read)); };
  CounterMap map{
      {"rx_packets", sum([](const PortCell& c) { return c.received_frames.read(); })},
      {"rx_multicast_packets", sum([](const PortCell& c) { return c.received_multicast.read(); })},
      {"rx_bytes", sum([](const PortCell& c) { return c.received_bytes.read(); })},
      {"tx_packets", sum([](const PortCell& c) { return c.sent_frames.read(); })},
      {"tx_bytes", sum([](const PortCell& c) { return c.sent_bytes.read(); })},
      {"tx_copies", sum([](const PortCell& c) { return c.copies_sent.read(); })},
      {"rx_dropped", sum([](const PortCell& c) { return sum_drops(c.received_drops); }) +
                         static_cast<std::int64_t>(overruns)},
      {"tx_dropped", sum([](const PortCell& c) { return sum_drops(c.sent_drops); })},
      {"rx_errors", sum([](const PortCell& c) {
         return c.received_drops[static_cast<std::size_t>(DropReason::malformed)].read();
       })},
      {"tx_errors", sum([](const PortCell& c) {
         return c.sent_drops[static_cast<std::size_t>(DropReason::send_error)].read();
       })},
      {"rx_over_err", static_cast<std::int64_t>(overruns)},
      {"rx_missed_errors", static_cast<std::int64_t>(overruns)},
      {"rx_crc_err", 0},
      {"rx_frame_err", 0},
      {"collisions", 0},
  };
  add_if_any(map, key("rx_drop_", static_cast<std::size_t>(DropReason::receive_overrun)), overruns);
  for (std::size_t r = 0; r < kDropReasonCount; ++r) {
    add_if_any(map, key("rx_drop_", r),
               counters.sum([r](const PortCell& c) { return c.received_drops[r].read(); }));
    add_if_any(map, key("tx_drop_", r),
               counters.sum([r](const PortCell& c) { return c.sent_drops[r].read(); }));
  }
  return map;
}

CounterMap destination_statistics(const DestinationCounters& destination) {
  const auto sum = [&destination](auto read) { return static_cast<std::int64_t>(destination.sum(read)); };
  CounterMap map{{"lost", 0}, {"duplicate", 0}, {"sampled_out", 0}, {"rate_limited", 0}};
  // Outcomes before matches: a copy on its way between the two reads counts as queued, never as one too many.
  map["delivered"] = sum([](const DestinationCell& c) { return c.delivered.read(); });
  map["delivered_bytes"] = sum([](const DestinationCell& c) { return c.delivered_bytes.read(); });
  map["sent_packets"] = sum([](const DestinationCell& c) { return c.sent_packets.read(); });
  for (std::size_t r = 0; r < kDropReasonCount; ++r) {
    const auto reason = static_cast<DropReason>(r);
    const std::int64_t count = sum([r](const DestinationCell& c) { return c.lost[r].read(); });
    // The destination has the frame, or it was asked for: no loss.
    if (reason == DropReason::duplicate || reason == DropReason::sampled_out ||
        reason == DropReason::rate_limited) {
      map[std::string(name(reason))] = count;
      continue;
    }
    add_if_any(map, key("lost_", r), static_cast<std::uint64_t>(count));
    map["lost"] += count;
  }
  map["matched"] = sum([](const DestinationCell& c) { return c.matched.read(); });
  map["queued"] = map["matched"] - map["delivered"] - map["lost"] - map["duplicate"] - map["sampled_out"] -
                  map["rate_limited"];
  return map;
}

CounterMap mirror_statistics(const SnapshotCompiler::SessionEntry& session) {
  const auto sum = [&session](auto read) { return static_cast<std::int64_t>(session.counters->sum(read)); };
  CounterMap map{{"tx_packets", sum([](const SessionCell& c) { return c.frames.read(); })},
                 {"tx_bytes", sum([](const SessionCell& c) { return c.bytes.read(); })}};
  for (const char* key : {"matched", "delivered", "delivered_bytes", "sent_packets", "lost", "duplicate",
                          "sampled_out", "rate_limited", "queued"}) {
    map[key] = 0;
  }
  for (const auto& [name, destination] : session.destinations) {
    for (const auto& [key, count] : destination_statistics(*destination)) map[key] += count;
  }
  if (session.foreign != nullptr) map["production_frames"] = foreign_frames(session);
  return map;
}

CounterMap drop_statistics(const SwitchStatus& status) {
  CounterMap map;
  for (const DesiredBridge& bridge : status.desired.bridges) {
    for (const PortSpec& port : bridge.spec.ports) {
      const auto counters = status.compiler.port_counters(bridge.spec.name, port.name);
      const Attachment* attachment = status.attachments.find(port.name);
      if (counters == nullptr) continue;
      if (attachment != nullptr)
        add_if_any(map, key("", static_cast<std::size_t>(DropReason::receive_overrun)),
                   attachment->overruns());
      for (std::size_t r = 0; r < kDropReasonCount; ++r) {
        add_if_any(map, key("", r), counters->sum([r](const PortCell& c) {
          return c.received_drops[r].read() + c.sent_drops[r].read();
        }));
      }
    }
  }
  for (const SessionStatus& session : status.sessions) {
    const auto* entry = status.compiler.session(session.id);
    if (entry == nullptr) continue;
    for (const auto& [port, destination] : entry->destinations) {
      for (std::size_t r = 0; r < kDropReasonCount; ++r) {
        add_if_any(map, key("copy_", r),
                   destination->sum([r](const DestinationCell& c) { return c.lost[r].read(); }));
      }
    }
  }
  return map;
}

void write_status(const SwitchStatus& status, Transaction& transaction) {
  for (const DesiredBridge& bridge : status.desired.bridges) {
    write_interfaces(status, bridge, transaction);
    write_bridge(status, bridge, transaction);
  }
  write_sessions(status, transaction);
  write_endpoints(status, transaction);
  if (!status.desired.root) return;
  RowWriter root(transaction, "Open_vSwitch", *status.desired.root);
  root.set("datapath_types", Datum::set_of(std::vector<std::string>{"netdev", "system"}));
  root.set("iface_types",
           Datum::set_of(std::vector<std::string>{"erspan", "gre", "internal", "ip6erspan", "ip6gre", "patch",
                                                  "system", "tap", "vxlan"}));
  write_next_cfg(*status.desired.root, status.desired.next_cfg, transaction);
}

void write_next_cfg(const Uuid& root, std::int64_t next_cfg, Transaction& transaction) {
  RowWriter(transaction, "Open_vSwitch", root).set("cur_cfg", next_cfg);
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

void write_statistics(const SwitchStatus& status, Transaction& transaction) {
  if (status.desired.root) {
    RowWriter root(transaction, "Open_vSwitch", *status.desired.root);
    const std::string* enabled =
        root.row() ? root.row()->value("other_config", "enable-statistics") : nullptr;
    root.set("statistics",
             enabled && *enabled == "true" ? system_statistics() : std::map<std::string, std::string>());
  }
  for (const DesiredBridge& bridge : status.desired.bridges) {
    for (const DesiredInterface& interface : bridge.interfaces) {
      const auto counters = status.compiler.port_counters(bridge.spec.name, interface.name);
      const Attachment* attachment = status.attachments.find(interface.name);
      if (counters == nullptr || attachment == nullptr) continue;
      RowWriter row(transaction, "Interface", interface.row);
      const bool had_no_device = attachment->device == nullptr && has_device(interface.type) &&
                                 row.row() != nullptr && !row.row()->integer("ifindex");
      if (had_no_device) continue;
      row.set("statistics", interface_statistics(*counters, attachment->overruns()));
    }
  }
  write_sessions(status, transaction);  // their notices follow from what was counted
  for (const SessionStatus& session : status.sessions) {
    const auto* entry = status.compiler.session(session.id);
    const auto uuid = Uuid::parse(session.id);
    if (entry == nullptr || !uuid) continue;
    RowWriter(transaction, "Mirror", *uuid).set("statistics", mirror_statistics(*entry));
    for (const auto& [name, destination] : entry->destinations) {
      if (const auto endpoint = Uuid::parse(name))
        RowWriter(transaction, "Mirror_Endpoint", *endpoint)
            .set("statistics", destination_statistics(*destination));
    }
  }
}

}  // namespace vswitch::bridge
