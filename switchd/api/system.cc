// SPDX-License-Identifier: Apache-2.0
// system.info, system.stats and rpc.discover
#include <unistd.h>

#include <ctime>

#include "schemas/openrpc.h"
#include "switchd/api/methods.h"
#include "switchd/api/rows.h"
#include "switchd/base/privileges.h"

namespace vswitch::api {
namespace {

/// The objects that the methods of this file use.
struct SystemMethods : Methods {
  bridge::CountersView& counters;
  bridge::DatapathView& datapath;
};

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[sizeof "2026-01-05T08:00:00Z"];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

Json privileges_now() {
  const privileges::State now = privileges::state();
  return {{"user", now.user},
          {"capabilities", now.capabilities},
          {"system_calls", now.filtered ? "filtered" : "all"},
          {"missing", privileges::missing()}};
}

Json system_info(const SystemMethods& methods, const std::string& started) {
  const Database& database = methods.database;
  return {{"name", "vswitchd"},
          {"version", VSWITCH_VERSION},
          {"api", openrpc::control().document()["info"]["version"]},
          {"ovs_version", VSWITCH_OVS_VERSION},
          {"schema_version", database.schema().version},
          {"pid", ::getpid()},
          {"started", started},
          {"workers", methods.datapath.workers()},
          {"bridges", database.table("Bridge").size()},
          {"ports", database.table("Port").size()},
          {"mirrors", database.table("Mirror").size()},
          {"privileges", privileges_now()}};
}

void add_threads(const bridge::DatapathState& datapath, Json& result) {
  Json threads = Json::array();
  std::size_t queued = 0, queue = 0;
  for (std::size_t w = 0; w < datapath.workers.size(); ++w) {
    const bridge::WorkerState& worker = datapath.workers[w];
    queued += worker.queued_copy_bytes;
    queue += worker.copy_queue_bytes;
    threads.push_back({{"kind", "worker"},
                       {"number", w},
                       {"ports", worker.ports},
                       {"frames", worker.frames},
                       {"batches", worker.batches},
                       {"wakeups", worker.wakeups},
                       {"cpu_ns", worker.cpu_ns},
                       {"queued_bytes", worker.queued_copy_bytes},
                       {"queue_bytes", worker.copy_queue_bytes}});
  }
  for (std::size_t m = 0; m < datapath.mirror_threads.size(); ++m) {
    const bridge::MirrorThreadState& thread = datapath.mirror_threads[m];
    threads.push_back({{"kind", "mirror"},
                       {"number", m},
                       {"frames", thread.frames},
                       {"batches", thread.passes},
                       {"wakeups", thread.wakeups},
                       {"cpu_ns", thread.cpu_ns}});
  }
  result["threads"] = threads;
  result["fast_path"] = {{"flows", datapath.fast_path.flows},
                         {"frames", datapath.fast_path.frames},
                         {"unread", datapath.fast_path.unread}};
  if (!datapath.fast_path.no_taps.empty()) result["fast_path"]["no_taps"] = datapath.fast_path.no_taps;
  if (!datapath.fast_path.off.empty()) result["fast_path"]["off"] = datapath.fast_path.off;
  result["memory"] = {{"receive_bytes", datapath.receive_memory_bytes},
                      {"send_bytes", datapath.send_memory_bytes},
                      {"queue_bytes", queue},
                      {"queued_bytes", queued}};
}

Json system_stats(const SystemMethods& methods) {
  Json ports = Json::array();
  for (const auto& [bridge_name, bridge] : model::bridges(methods.database)) {
    for (const auto& [port_name, port] : model::ports_of(methods.database, *bridge)) {
      const Row* interface = model::interface_of(methods.database, *port);
      if (interface == nullptr) continue;
      ports.push_back(counters_of(methods.counters, *interface));
      ports.back().update({{"bridge", bridge_name}, {"name", port_name}});
    }
  }
  Json drops = Json::array();
  for (const auto& [reason, count] : methods.counters.drops()) {
    if (count != 0)
      drops.push_back({{"reason", reason}, {"count", count}, {"meaning", bridge::meaning_of_drop(reason)}});
  }
  const bridge::DatapathState datapath = methods.datapath.datapath_state();
  Json result = {{"ports", ports}, {"drops", drops}, {"notices", datapath.complaints}};
  add_threads(datapath, result);
  return result;
}

}  // namespace

void add_system_methods(Methods& methods, bridge::CountersView& counters, bridge::DatapathView& datapath) {
  const SystemMethods shared{methods, counters, datapath};
  const std::string started = now_utc();
  methods.read("system.info", [shared, started](const Json&) { return system_info(shared, started); });
  methods.read("system.stats", [shared](const Json&) { return system_stats(shared); });
  methods.read("rpc.discover", [](const Json&) { return openrpc::control().document(); });
}

}  // namespace vswitch::api
