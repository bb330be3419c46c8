// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/switch_queries.h"

#include <algorithm>
#include <utility>

#include "datapath/base/thread_annotations.h"
#include "switchd/bridge/explain.h"
#include "switchd/bridge/notices.h"
#include "switchd/bridge/statistics.h"

namespace vswitch::bridge {

namespace {

const DesiredBridge* bridge_named(const Desired& desired, const std::string& name) {
  const auto found = std::find_if(desired.bridges.begin(), desired.bridges.end(),
                                  [&name](const DesiredBridge& bridge) { return bridge.spec.name == name; });
  return found == desired.bridges.end() ? nullptr : &*found;
}

const PortConfig* port_named(const Snapshot& snapshot, const std::string& bridge, const std::string& name) {
  const auto found =
      std::find_if(snapshot.ports.begin(), snapshot.ports.end(), [&bridge, &name](const PortConfig* one) {
        return one != nullptr && one->name == name && one->bridge->name == bridge;
      });
  return found == snapshot.ports.end() ? nullptr : *found;
}

}  // namespace

std::vector<FdbEntry> SwitchQueries::fdb(const std::string& bridge) {
  roles::control.assert_held();
  std::vector<FdbEntry> entries;
  const auto macs = status_.registry.macs(bridge);
  if (macs == nullptr) return entries;
  const Snapshot& snapshot = datapath_.current();
  for (const MacEntry& entry : macs->entries(steady_now())) {
    const PortConfig* port = snapshot.port(entry.port);
    if (port == nullptr) continue;
    entries.push_back({.port = port->name,
                       .vlan = entry.vlan,
                       .mac = entry.mac,
                       .age_seconds = entry.age_seconds,
                       .pinned = entry.pinned});
  }
  return entries;
}

std::size_t SwitchQueries::flush_fdb(const std::string& bridge) {
  const auto macs = status_.registry.macs(bridge);
  return macs == nullptr ? 0 : macs->flush();
}

bool SwitchQueries::pin_fdb(const std::string& bridge, const std::string& port, VlanId vlan,
                            const MacAddr& mac) {
  roles::control.assert_held();
  const auto macs = status_.registry.macs(bridge);
  const PortConfig* config = port_named(datapath_.current(), bridge, port);
  return macs != nullptr && config != nullptr && macs->pin(vlan, mac, config->number);
}

bool SwitchQueries::unpin_fdb(const std::string& bridge, VlanId vlan, const MacAddr& mac) {
  const auto macs = status_.registry.macs(bridge);
  return macs != nullptr && macs->unpin(vlan, mac);
}

FdbStatistics SwitchQueries::fdb_statistics(const std::string& bridge) {
  const auto macs = status_.registry.macs(bridge);
  if (macs == nullptr) return {};
  const std::vector<MacEntry> entries = macs->entries(steady_now());
  const auto pinned = static_cast<std::uint64_t>(
      std::count_if(entries.begin(), entries.end(), [](const MacEntry& entry) { return entry.pinned; }));
  const MacStatistics counts = macs->statistics();
  return {.entries = entries.size(),
          .capacity = macs->capacity(),
          .pinned = pinned,
          .learned = counts.learned,
          .expired = counts.expired,
          .evicted = counts.evicted,
          .moved = counts.moved};
}

void SwitchQueries::clear_fdb_statistics(const std::string& bridge) {
  if (const auto macs = status_.registry.macs(bridge)) macs->clear_statistics();
}

std::optional<std::uint32_t> SwitchQueries::datapath_number(const std::string& bridge,
                                                            const std::string& port) {
  roles::control.assert_held();
  const PortConfig* config = port_named(datapath_.current(), bridge, port);
  return config == nullptr ? std::nullopt : std::optional(index(config->number));
}

void SwitchQueries::collect_copies() const {
  roles::control.assert_held();
  if (datapath_.fast_path() != nullptr) datapath_.fast_path()->collect_copies();
}

void SwitchQueries::collect_port(const std::string& bridge, const std::string& port) const {
  roles::control.assert_held();
  const SnapshotRegistry::PortEntry* entry = status_.registry.port(bridge, port);
  if (datapath_.fast_path() != nullptr && entry != nullptr)
    datapath_.fast_path()->collect_port(entry->number);
}

void SwitchQueries::collect_ports() const {
  for (const DesiredBridge& bridge : status_.desired.bridges) {
    for (const PortSpec& port : bridge.spec.ports) collect_port(bridge.spec.name, port.name);
  }
}

CounterMap SwitchQueries::mirror_counters(const ovsdb::Uuid& mirror) {
  collect_copies();
  const auto* entry = status_.registry.session(mirror.to_string());
  return entry == nullptr ? CounterMap{} : mirror_statistics(*entry);
}

std::map<std::string, CounterMap> SwitchQueries::destination_counters(const ovsdb::Uuid& mirror) {
  collect_copies();
  std::map<std::string, CounterMap> all;
  const auto* entry = status_.registry.session(mirror.to_string());
  if (entry == nullptr) return all;
  for (const auto& [name, counters] : entry->destinations) all[name] = destination_statistics(*counters);
  return all;
}

std::string SwitchQueries::add_capture(const ovsdb::Uuid& mirror, UniqueFd socket) {
  roles::control.assert_held();
  return captures_.add(mirror, std::move(socket));
}

std::optional<Recording> SwitchQueries::recording(const ovsdb::Uuid& mirror) {
  const std::shared_ptr<Recorder> recorder = recorders_.find(mirror);
  return recorder == nullptr ? std::nullopt : std::optional(recorder->state());
}

std::string SwitchQueries::dump_record(const ovsdb::Uuid& mirror, UniqueFd socket, bool clear,
                                       Recording& held) {
  roles::control.assert_held();
  return recorders_.dump(mirror, std::move(socket), clear, held);
}

BoundSources SwitchQueries::bound_sources(const ovsdb::Uuid& mirror) {
  BoundSources bound;
  for (const DesiredBridge& bridge : status_.desired.bridges) {
    for (const DesiredSession& session : bridge.sessions) {
      if (session.patterns.empty() || session.id != mirror.to_string()) continue;
      for (const PatternSpec& pattern : session.patterns) bound[pattern.text] = pattern.ports;
    }
  }
  return bound;
}

std::string SwitchQueries::mirror_notice(const ovsdb::Uuid& mirror) {
  const std::string id = mirror.to_string();
  const TimeNs now = steady_now();
  for (const SessionStatus& session : status_.sessions) {
    if (session.id == id) return notice_of(status_.registry, session, status_.host_addresses.at(now), now);
  }
  return "";
}

CounterMap SwitchQueries::interface_counters(const ovsdb::Uuid& uuid) {
  for (const DesiredBridge& bridge : status_.desired.bridges) {
    for (const DesiredInterface& interface : bridge.interfaces) {
      if (interface.row != uuid) continue;
      collect_port(bridge.spec.name, interface.name);
      const auto counters = status_.registry.port_counters(bridge.spec.name, interface.name);
      const Attachment* attachment = status_.attachments.find(interface.name);
      if (counters != nullptr && attachment != nullptr)
        return interface_statistics(*counters, attachment->overruns());
    }
  }
  return {};
}

CounterMap SwitchQueries::drops() {
  collect_copies();
  collect_ports();
  return drop_statistics(status_);
}

std::size_t SwitchQueries::workers() {
  return datapath_.workers();
}

DatapathState SwitchQueries::datapath_state() {
  roles::control.assert_held();
  DatapathState state;
  state.fast_path.off = no_fast_path_;
  if (fastpath::FastPath* fast_path = datapath_.fast_path()) {
    collect_ports();
    const fastpath::FastPath::Status status = fast_path->status();
    state.fast_path = {.off = status.off,
                       .flows = status.flows,
                       .frames = status.frames,
                       .unread = status.unread,
                       .no_taps = status.no_taps};
  }
  for (std::size_t w = 0; w < datapath_.workers(); ++w) {
    const WorkerCounters& counters = datapath_.worker_list()[w].counters();
    const CopyQueue& queue = datapath_.copy_queue(w);
    WorkerState worker{.ports = {},
                       .wakeups = counters.wakeups.read(),
                       .batches = counters.batches.read(),
                       .frames = counters.frames.read(),
                       .busy_ns = counters.busy_ns.read(),
                       .cpu_ns = datapath_.worker_list()[w].cpu_ns(),
                       .unwatched_ports = counters.unwatched_ports.read(),
                       .queued_copy_bytes = queue.used(),
                       .copy_queue_bytes = queue.capacity()};
    for (const PortConfig* port : datapath_.current().ports) {
      if (port != nullptr && port->worker == w && port->device != nullptr) worker.ports.push_back(port->name);
    }
    state.workers.push_back(std::move(worker));
  }
  for (const MirrorThread& thread : datapath_.mirror_thread_list()) {
    state.mirror_threads.push_back({.wakeups = thread.counters().wakeups.read(),
                                    .passes = thread.counters().passes.read(),
                                    .frames = thread.counters().frames.read(),
                                    .cpu_ns = thread.cpu_ns()});
  }
  for (const PortConfig* port : datapath_.current().ports) {
    if (port != nullptr && port->device != nullptr) {
      state.receive_memory_bytes += port->device->receive_memory();
      state.send_memory_bytes += port->device->send_memory();
    }
  }
  state.complaints = settings_.complaints;
  return state;
}

std::optional<Explanation> SwitchQueries::explain(const std::string& bridge, const std::string& in_port,
                                                  std::span<const std::uint8_t> frame) const {
  roles::control.assert_held();
  const PortConfig* in = port_named(datapath_.current(), bridge, in_port);
  const DesiredBridge* desired = bridge_named(status_.desired, bridge);
  if (in == nullptr || desired == nullptr) return std::nullopt;
  FastPathUse use{.off = no_fast_path_};
  if (datapath_.fast_path() != nullptr) {
    const fastpath::FastPath::Status status = datapath_.fast_path()->status();
    use = {.off = status.off, .has_taps = status.no_taps.empty()};
  }
  return bridge::explain(datapath_.current(), *in, desired->sessions, status_.sessions, frame, steady_now(),
                         use);
}

}  // namespace vswitch::bridge
