// SPDX-License-Identifier: Apache-2.0
// Commands that show counters: once, or with --watch as rates between two iterations.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/render.h"

namespace vswitch::ctl {
namespace {

Query declare_mirror_stats(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "only this bridge")->required(false);
  text(app, params, "session", "name", "only this session")->required(false);
  const auto resets = std::make_shared<bool>(false);
  app.add_flag("--reset", *resets,
               "start the counters from zero instead of showing them; with --watch, show what comes since");
  return [&app, params, resets] {
    const bool watches = app.count("--watch") != 0;
    std::vector<Call> calls;
    if (*resets) calls.push_back({.method = "mirror.reset", .params = *params, .once = watches});
    if (!*resets || watches) calls.push_back({"mirror.stats", *params});
    return calls;
  };
}

Query declare_stats(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "only ports and sessions of this bridge")->required(false);
  return [params] {
    const bool all = params->empty();
    return std::vector<Call>{{all ? "system.stats" : "port.list", *params}, {"mirror.stats", *params}};
  };
}

/// Of a port in system.stats, or in port.list.
const Json& counters_of(const Json& port) {
  const auto counters = port.find("counters");
  return counters == port.end() ? port : *counters;
}

/// Growth between two iterations; nothing for new entries.
class Growth {
 public:
  Growth(const Json* before, double seconds) : before_(before), seconds_(seconds) {}
  double of(const Json& now, const char* key) const {
    if (before_ == nullptr) return 0;
    return (now[key].get<double>() - (*before_)[key].get<double>()) / seconds_;
  }
  std::int64_t rate(const Json& now, const char* key, double unit = 1) const {
    return std::llround(of(now, key) * unit);
  }

 private:
  const Json* before_;
  double seconds_;
};

/// The same row in the earlier result, found by these keys; null if there is none.
const Json* earlier(const Json& before, const char* table, const Json& row,
                    std::initializer_list<const char*> keys) {
  if (!before.is_object()) return nullptr;
  for (const Json& old : before[table]) {
    if (std::all_of(keys.begin(), keys.end(), [&](const char* key) { return old[key] == row[key]; }))
      return &old;
  }
  return nullptr;
}

/// A separate table after an empty line; nothing if it is empty.
std::string section(const Table& table) {
  return table.empty() ? std::string() : '\n' + table.text();
}

constexpr std::size_t kLeastCauses = 8;

std::string render_sessions(const Json& result) {
  if (result.contains("reset")) return {};  // done
  Table table({"BRIDGE", "SESSION", Column("MATCHED").leave_out(1), "DELIVERED", "LOST",
               Column("LEFT OUT").leave_out(2), Column("QUEUED").leave_out(3),
               Column("BY").cut(1, kLeastCauses), state_column()});
  for (const Json& mirror : result["mirrors"]) {
    const Json& counters = mirror["counters"];
    table.add({mirror["bridge"], mirror["name"], counters["matched"], counters["delivered"], counters["lost"],
               left_out(counters), counters["queued"], causes(counters), brief_state(mirror)});
  }
  return table.empty() ? "no sessions\n" : table.text();
}

std::string watch_sessions(const Json& result, const Json& before, double seconds) {
  Table table({"BRIDGE", "SESSION", "MATCHED/s", "DELIVERED/s", "LOST/s", Column("QUEUED").leave_out(4),
               Column("MATCHED").leave_out(3), Column("DELIVERED").leave_out(2), "LOST",
               Column("LEFT OUT").leave_out(1), state_column()});
  for (const Json& mirror : result["mirrors"]) {
    const Json& now = mirror["counters"];
    const Json* then = earlier(before, "mirrors", mirror, {"uuid"});
    const Growth growth(then == nullptr ? nullptr : &(*then)["counters"], seconds);
    table.add({mirror["bridge"], mirror["name"], growth.rate(now, "matched"), growth.rate(now, "delivered"),
               growth.rate(now, "lost"), now["queued"], now["matched"], now["delivered"], now["lost"],
               left_out(now), brief_state(mirror)});
  }
  return table.empty() ? "no sessions\n" : table.text();
}

constexpr std::size_t kMeaningColumns = 24;

std::string drops(const Json& result) {
  Table table({"DROPPED", Column("REASON").cut(0, kMeaningColumns),
               Column("MEANING").cut(1, kMeaningColumns).wrap()});
  for (const Json& drop : result["drops"]) table.add({drop["count"], drop["reason"], drop["meaning"]});
  return table.empty() ? std::string("nothing dropped\n") : table.text();
}

std::string thread_name(const Json& thread) {
  return thread["kind"].get<std::string>() + ' ' + thread["number"].dump();
}

std::string kib(const Json& bytes) {
  return std::to_string((bytes.get<std::uint64_t>() + 1023) / 1024) + " KiB";
}

std::string tenths(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

/// "12 of 16384 KiB"; mirror threads have no queue of their own.
Json queue(const Json& thread) {
  if (!thread.contains("queue_bytes")) return nullptr;
  return std::to_string((thread["queued_bytes"].get<std::uint64_t>() + 1023) / 1024) + " of " +
         kib(thread["queue_bytes"]);
}

std::string fast_path(const Json& result) {
  const Json& fast_path = result["fast_path"];
  std::string carried =
      fast_path["flows"].dump() + " flows, " + fast_path["frames"].dump() + " frames carried by the kernel";
  if (fast_path["unread"] != 0)
    carried += ", " + fast_path["unread"].dump() + " of them lost before they were copied";
  if (fast_path.contains("no_taps")) carried += "\n" + printable(fast_path["no_taps"].get<std::string>());
  return "\nfast path: " +
         (fast_path.contains("off") ? "off: " + printable(fast_path["off"].get<std::string>()) : carried) +
         '\n';
}

std::string threads(const Json& result) {
  Table table({"THREAD", "PORTS", "FRAMES", Column("BATCHES").leave_out(1), "PROCESSOR s", "MIRROR QUEUE"});
  for (const Json& thread : result["threads"]) {
    table.add({thread_name(thread), thread.contains("ports") ? Json(thread["ports"].size()) : Json(nullptr),
               thread["frames"], thread["batches"], tenths(thread["cpu_ns"].get<double>() * 1e-9),
               queue(thread)});
  }
  return section(table) + fast_path(result);
}

std::string watch_threads(const Json& result, const Json& before, double seconds) {
  Table table({"THREAD", "PORTS", "FRAMES/s", Column("BATCHES/s").leave_out(1),
               Column("WAKEUPS/s").leave_out(2), "PROCESSOR %", "MIRROR QUEUE"});
  for (const Json& thread : result["threads"]) {
    const Growth growth(earlier(before, "threads", thread, {"kind", "number"}), seconds);
    table.add({thread_name(thread), thread.contains("ports") ? Json(thread["ports"].size()) : Json(nullptr),
               growth.rate(thread, "frames"), growth.rate(thread, "batches"), growth.rate(thread, "wakeups"),
               tenths(growth.of(thread, "cpu_ns") * 1e-7), queue(thread)});
  }
  return section(table) + fast_path(result);
}

std::string memory_and_notices(const Json& result) {
  const Json& memory = result["memory"];
  std::string text = "\nmemory: receive rings " + kib(memory["receive_bytes"]) + ", send rings " +
                     kib(memory["send_bytes"]) + ", mirror queues " + kib(memory["queued_bytes"]) + " of " +
                     kib(memory["queue_bytes"]) + '\n';
  for (const Json& notice : result["notices"])
    text += "notice: " + printable(notice.get<std::string>()) + '\n';
  return text;
}

/// Threads and drops belong to all bridges.
bool is_of_bridge(const Json& result) {
  return !result.contains("threads");
}

std::string render_stats(const Json& result) {
  Table table({"BRIDGE", "PORT", "RX PACKETS", Column("RX BYTES").leave_out(1), "RX DROPPED", "TX PACKETS",
               Column("TX BYTES").leave_out(1), "TX DROPPED"});
  for (const Json& port : result["ports"]) {
    const Json& now = counters_of(port);
    table.add({port["bridge"], port["name"], now["rx_packets"], now["rx_bytes"], now["rx_dropped"],
               now["tx_packets"], now["tx_bytes"], now["tx_dropped"]});
  }
  std::string text =
      (table.empty() ? std::string("no ports\n") : table.text()) + '\n' + render_sessions(result);
  if (is_of_bridge(result)) return text;
  return text + threads(result) + '\n' + drops(result) + memory_and_notices(result);
}

std::string watch_stats(const Json& result, const Json& before, double seconds) {
  Table table({"BRIDGE", "PORT", Column("RX PACKETS/s").leave_out(1), "RX Mbit/s",
               Column("TX PACKETS/s").leave_out(1), "TX Mbit/s", "RX DROPPED", "TX DROPPED"});
  for (const Json& port : result["ports"]) {
    const Json& now = counters_of(port);
    const Json* then = earlier(before, "ports", port, {"bridge", "name"});
    const Growth growth(then == nullptr ? nullptr : &counters_of(*then), seconds);
    table.add({port["bridge"], port["name"], growth.rate(now, "rx_packets"),
               growth.rate(now, "rx_bytes", 8e-6), growth.rate(now, "tx_packets"),
               growth.rate(now, "tx_bytes", 8e-6), now["rx_dropped"], now["tx_dropped"]});
  }
  std::string text = (table.empty() ? std::string("no ports\n") : table.text()) + '\n' +
                     watch_sessions(result, before, seconds);
  if (is_of_bridge(result)) return text;
  return text + watch_threads(result, before, seconds) + '\n' + drops(result) + memory_and_notices(result);
}

}  // namespace

const std::vector<Command> kStatsCommands = {
    {"mirror-stats", "show the counters of sessions, or start them from zero",
     "br0 span0 --watch\nbr0 span0 --reset\nbr0 span0 --reset --watch", declare_mirror_stats, render_sessions,
     watch_sessions},
    {"stats", "show the counters of ports, sessions and threads, and drops by reason", "--watch\nbr0",
     declare_stats, render_stats, watch_stats},
};

}  // namespace vswitch::ctl
