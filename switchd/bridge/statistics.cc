// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/statistics.h"

#include "switchd/bridge/row_writer.h"
#include "switchd/bridge/system_statistics.h"

namespace vswitch::bridge {

using ovsdb::Transaction;
using ovsdb::Uuid;

namespace {

std::uint64_t sum_drops(const DropCounters& drops) {
  std::uint64_t total = 0;
  for (const Counter& counter : drops) total += counter.read();
  return total;
}

std::uint64_t sum_errors(const DropCounters& drops) {
  std::uint64_t total = 0;
  for (std::size_t r = 0; r < kDropReasonCount; ++r) {
    if (kind(static_cast<DropReason>(r)) == DropKind::error) total += drops[r].read();
  }
  return total;
}

std::string key(const char* prefix, std::size_t reason) {
  return prefix + std::string(name(static_cast<DropReason>(reason)));
}

void add_if_any(CounterMap& map, const std::string& name, std::uint64_t value) {
  if (value != 0) map[name] += static_cast<std::int64_t>(value);
}

}  // namespace

std::int64_t foreign_frames(const SnapshotRegistry::SessionEntry& session) {
  if (session.foreign == nullptr) return 0;
  return static_cast<std::int64_t>(session.foreign->sum([](const Counter& count) { return count.read(); }));
}

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
      {"rx_errors", sum([](const PortCell& c) { return sum_errors(c.received_drops); })},
      {"tx_errors", sum([](const PortCell& c) { return sum_errors(c.sent_drops); })},
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
  CounterMap map{{"lost", 0}};
  std::int64_t not_lost = 0;
  // Outcomes are read before matches: a copy in between counts as queued, so outcomes never exceed matches.
  map["delivered"] = sum([](const DestinationCell& c) { return c.delivered.read(); });
  map["delivered_bytes"] = sum([](const DestinationCell& c) { return c.delivered_bytes.read(); });
  map["sent_packets"] = sum([](const DestinationCell& c) { return c.sent_packets.read(); });
  map["truncated"] = sum([](const DestinationCell& c) { return c.truncated.read(); });
  for (std::size_t r = 0; r < kDropReasonCount; ++r) {
    const auto reason = static_cast<DropReason>(r);
    const std::int64_t count = sum([r](const DestinationCell& c) { return c.lost[r].read(); });
    if (kind(reason) == DropKind::no_loss) {
      map[std::string(name(reason))] = count;
      not_lost += count;
      continue;
    }
    add_if_any(map, key("lost_", r), static_cast<std::uint64_t>(count));
    map["lost"] += count;
  }
  map["matched"] = sum([](const DestinationCell& c) { return c.matched.read(); });
  map["queued"] = map["matched"] - map["delivered"] - map["lost"] - not_lost;
  return map;
}

CounterMap mirror_statistics(const SnapshotRegistry::SessionEntry& session) {
  const auto sum = [&session](auto read) { return static_cast<std::int64_t>(session.counters->sum(read)); };
  CounterMap map{{"tx_packets", sum([](const SessionCell& c) { return c.frames.read(); })},
                 {"tx_bytes", sum([](const SessionCell& c) { return c.bytes.read(); })}};
  for (const auto& [key, none] : destination_statistics(DestinationCounters(1))) map[key] = 0;
  for (const auto& [name, destination] : session.destinations) {
    for (const auto& [key, count] : destination_statistics(*destination)) map[key] += count;
  }
  if (session.foreign != nullptr) {
    for (const char* key : {"foreign_frames", "production_frames"}) map[key] = foreign_frames(session);
  }
  return map;
}

CounterMap drop_statistics(const SwitchStatus& status) {
  CounterMap map;
  for (const DesiredBridge& bridge : status.desired.bridges) {
    for (const PortSpec& port : bridge.spec.ports) {
      const auto counters = status.registry.port_counters(bridge.spec.name, port.name);
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
    const auto* entry = status.registry.session(session.id);
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
      const auto counters = status.registry.port_counters(bridge.spec.name, interface.name);
      const Attachment* attachment = status.attachments.find(interface.name);
      if (counters == nullptr || attachment == nullptr) continue;
      RowWriter row(transaction, "Interface", interface.row);
      const bool had_no_device = attachment->open() == nullptr && has_device(interface.type) &&
                                 row.row() != nullptr && !row.row()->integer("ifindex");
      if (had_no_device) continue;
      row.set("statistics", interface_statistics(*counters, attachment->overruns()));
    }
  }
  for (const SessionStatus& session : status.sessions) {
    const auto* entry = status.registry.session(session.id);
    const auto uuid = Uuid::parse(session.id);
    if (entry == nullptr || !uuid) continue;
    CounterMap counters = mirror_statistics(*entry);
    if (const std::shared_ptr<Recorder> recorder = status.recorders.find(*uuid)) {
      const Recording held = recorder->state();
      counters["recorded_frames"] = static_cast<std::int64_t>(held.frames);
      counters["recorded_bytes"] = static_cast<std::int64_t>(held.bytes);
      counters["recorded_evicted"] = static_cast<std::int64_t>(held.evicted);
    }
    RowWriter(transaction, "Mirror", *uuid).set("statistics", counters);
    for (const auto& [name, destination] : entry->destinations) {
      if (const auto endpoint = Uuid::parse(name))
        RowWriter(transaction, "Mirror_Endpoint", *endpoint)
            .set("statistics", destination_statistics(*destination));
    }
  }
}

}  // namespace vswitch::bridge
