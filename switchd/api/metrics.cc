// SPDX-License-Identifier: Apache-2.0
// system.metrics: all counters as text in the exposition format of Prometheus.
//
// https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4: the samples of a metric stand
// together behind its HELP and TYPE, no series appears twice, counters end in _total.
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <filesystem>
#include <fstream>
#include <set>

#include "switchd/api/account.h"
#include "switchd/api/methods.h"
#include "switchd/base/wall_clock.h"

namespace vswitch::api {
namespace {

/// The objects that the methods of this file use.
struct MetricsMethods : Methods {
  bridge::CountersView& counters;
  bridge::DatapathView& datapath;
  std::int64_t started_ms;
};

using Labels = std::initializer_list<std::pair<const char*, std::string_view>>;

/// A label value in quotes: backslash, quote and line feed are escaped.
std::string quoted(std::string_view value) {
  std::string text = "\"";
  for (const char letter : value) {
    if (letter == '\\' || letter == '"') text += '\\';
    if (letter == '\n') {
      text += "\\n";
    } else {
      text += letter;
    }
  }
  return text + '"';
}

class Exposition {
 public:
  /// A metric, which appears if it has samples.
  class Metric {
   public:
    Metric(const std::string& name, const char* type, const char* help)
        : name_("vswitch_" + name),
          head_("# HELP " + name_ + ' ' + help + "\n# TYPE " + name_ + ' ' + type + '\n') {}
    template <typename Number>
    void add(Labels labels, Number value) {
      samples_ += name_;
      const char* before = "{";
      for (const auto& [label, text] : labels) {
        samples_ += before;
        samples_ += label;
        samples_ += '=' + quoted(text);
        before = ",";
      }
      if (labels.size() != 0) samples_ += '}';
      samples_ += ' ' + Json(value).dump() + '\n';
    }
    void add_to(std::string& text) const {
      if (!samples_.empty()) text += head_ + samples_;
    }

   private:
    std::string name_, head_, samples_;
  };

  Metric& counter(const std::string& name, const char* help) {
    return metrics_.emplace_back(name + "_total", "counter", help);
  }
  Metric& gauge(const std::string& name, const char* help) {
    return metrics_.emplace_back(name, "gauge", help);
  }

  std::string text() const {
    std::string all;
    for (const Metric& metric : metrics_) metric.add_to(all);
    return all;
  }

 private:
  std::deque<Metric> metrics_;  ///< their addresses stay
};

void add_build(const MetricsMethods& methods, Exposition& to) {
  to.gauge("up", "1: the daemon answers.").add({}, 1);
  to.gauge("build_info", "1, with the versions as labels.")
      .add({{"version", VSWITCH_VERSION}, {"ovs_version", VSWITCH_OVS_VERSION}}, 1);
  to.gauge("start_time_seconds", "When the daemon was started, seconds since 1970.")
      .add({}, static_cast<double>(methods.started_ms) / 1000);
  to.gauge("bridges", "Bridges.").add({}, methods.database.table("Bridge").size());
  to.gauge("database_synced", "1: all changes are on disk. 0: the disk failed, see the log.")
      .add({}, methods.database.trusts_disk() ? 1 : 0);
  to.counter("events", "Changes, states, losses and refusals that vswitch-ctl events shows.")
      .add({}, methods.history.last());
}

void add_process(Exposition& to) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  to.counter("process_cpu_seconds", "CPU time of the daemon, all threads.")
      .add({}, seconds(usage.ru_utime) + seconds(usage.ru_stime));
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  to.gauge("process_resident_memory_bytes", "Memory of the daemon that is resident.")
      .add({}, resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (!error)
    to.gauge("process_open_fds", "Open descriptors of the daemon.")
        .add({}, std::distance(begin(files), end(files)));
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  to.gauge("process_max_fds", "Descriptors that it may open.").add({}, std::uint64_t{limit.rlim_cur});
}

void add_ports(const MetricsMethods& methods, Exposition& to) {
  auto& states = to.gauge("port_state", "1 for the state that the port has, 0 for the others.");
  struct Counter {
    const char* key;
    Exposition::Metric& metric;
  };
  const std::array<Counter, 7> counters = {{
      {"rx_packets", to.counter("port_rx_packets", "Frames received from the port's host.")},
      {"rx_bytes", to.counter("port_rx_bytes", "Their bytes.")},
      {"rx_errors", to.counter("port_rx_errors", "Received frames that were damaged.")},
      {"tx_packets", to.counter("port_tx_packets", "Frames sent to the port's host.")},
      {"tx_bytes", to.counter("port_tx_bytes", "Their bytes.")},
      {"tx_errors", to.counter("port_tx_errors", "Frames that the device refused to send.")},
      {"tx_copies", to.counter("port_tx_copies", "Copies of sessions among the frames sent.")},
  }};
  auto& dropped = to.counter("port_dropped", "Frames that were dropped at the port, by reason.");
  for (const auto& [bridge_name, bridge] : model::bridges(methods.database)) {
    for (const auto& [name, port] : model::ports_of(methods.database, *bridge)) {
      const Row* interface = model::interface_of(methods.database, *port);
      if (interface == nullptr) continue;
      const model::PortState now = model::state_of(*interface);
      for (const char* state : {"active", "down", "waiting", "error"})
        states.add({{"bridge", bridge_name}, {"port", name}, {"state", state}}, now.state == state ? 1 : 0);
      bridge::CounterMap values = methods.counters.interface_counters(interface->uuid());
      if (values.empty()) values = interface->counters("statistics");
      for (const Counter& counter : counters)
        counter.metric.add({{"bridge", bridge_name}, {"port", name}}, values[counter.key]);
      for (const auto& [key, count] : values) {
        const std::string_view view = key;
        if (count == 0 || !(view.starts_with("rx_drop_") || view.starts_with("tx_drop_"))) continue;
        dropped.add({{"bridge", bridge_name},
                     {"port", name},
                     {"direction", view.substr(0, 2)},
                     {"reason", view.substr(sizeof "rx_drop_" - 1)}},
                    count);
      }
    }
  }
}

/// OVSDB clients may give one name to several sessions of a bridge; a series must not appear twice.
class SessionNames {
 public:
  std::string of(const std::string& bridge, const std::string& name, const Row& mirror) {
    return names_.insert({bridge, name}).second ? name : name + ' ' + mirror.uuid().to_string();
  }

 private:
  std::set<std::pair<std::string, std::string>> names_;
};

void add_mirrors(const MetricsMethods& methods, Exposition& to) {
  auto& states = to.gauge("mirror_state", "1 for the state that the session has, 0 for the others.");
  struct Counter {
    const char* key;
    Exposition::Metric& metric;
  };
  const std::array<Counter, 9> counters = {{
      {"matched",
       to.counter("mirror_matched", "Copies that the session asked for: the sum of all that follow.")},
      {"delivered", to.counter("mirror_delivered", "Copies that were delivered.")},
      {"lost", to.counter("mirror_lost", "Copies that were lost.")},
      {"duplicate", to.counter("mirror_duplicate", "Left out: another session copied the frame there.")},
      {"sampled_out", to.counter("mirror_sampled_out", "Left out by the setting sample.")},
      {"rate_limited", to.counter("mirror_rate_limited", "Left out by the setting rate.")},
      {"delivered_bytes", to.counter("mirror_delivered_bytes", "Bytes of the copies that were delivered.")},
      {"truncated", to.counter("mirror_truncated", "Copies that were truncated to the MTU.")},
      {"queued", to.gauge("mirror_queued", "Copies that are under way.")},
  }};
  auto& causes = to.counter("mirror_lost_by_cause", "Copies that were lost, by cause.");
  const std::array<Counter, 3> at_destination = {{
      {"matched", to.counter("mirror_destination_matched", "Copies for this destination.")},
      {"delivered", to.counter("mirror_destination_delivered", "Copies that were delivered there.")},
      {"lost", to.counter("mirror_destination_lost", "Copies for it that were lost.")},
  }};
  SessionNames names;
  for (const auto& [bridge_name, bridge] : model::bridges(methods.database)) {
    for (const auto& [own_name, mirror] : model::mirrors_of(methods.database, *bridge)) {
      const std::string name = names.of(bridge_name, own_name, *mirror);
      const model::MirrorState now = model::state_of_mirror(*mirror);
      for (const char* state : {"active", "degraded", "waiting", "disabled", "expired", "error"})
        states.add({{"bridge", bridge_name}, {"session", name}, {"state", state}},
                   now.state == state ? 1 : 0);
      const Account account = account_of(methods.counters, *mirror);
      const Json values = account_json(account.of_session);
      for (const Counter& counter : counters)
        counter.metric.add({{"bridge", bridge_name}, {"session", name}},
                           values[counter.key].get<std::int64_t>());
      for (const auto& [cause, count] : values["lost_by"].items())
        causes.add({{"bridge", bridge_name}, {"session", name}, {"cause", cause}}, count.get<std::int64_t>());
      std::map<std::string, std::map<std::string, std::int64_t>> sums;  // two endpoints may look alike
      for (const Json& destination : destinations_json(methods.database, account)) {
        for (const Counter& counter : at_destination)
          sums[destination["name"]][counter.key] += destination["counters"][counter.key].get<std::int64_t>();
      }
      for (const auto& [destination, sum] : sums) {
        for (const Counter& counter : at_destination)
          counter.metric.add({{"bridge", bridge_name}, {"session", name}, {"destination", destination}},
                             sum.at(counter.key));
      }
    }
  }
}

void add_drops(const MetricsMethods& methods, Exposition& to) {
  auto& drops =
      to.counter("drops", "Frames and, with the prefix copy_, copies that were dropped, by reason.");
  for (const auto& [reason, count] : methods.counters.drops()) {
    if (count != 0) drops.add({{"reason", reason}}, count);
  }
}

void add_fast_path(const bridge::FastPathState& state, Exposition& to) {
  to.gauge("fast_path_on", "1: the kernel carries known flows. 0: user space gets every frame.")
      .add({}, state.off.empty() ? 1 : 0);
  to.gauge("fast_path_flows", "Flows that the kernel carries.").add({}, state.flows);
  to.counter("fast_path_frames", "Frames that the kernel has carried.").add({}, state.frames);
  to.counter("fast_path_unread", "Of these, frames that user space was to copy and had no room for.")
      .add({}, state.unread);
}

void add_datapath_threads(const bridge::DatapathState& state, Exposition& to) {
  auto& cpu = to.counter("thread_cpu_seconds", "CPU time of a thread, the kernel's work for it included.");
  auto& frames =
      to.counter("thread_frames", "Frames that a worker received, or a mirror thread took from queues.");
  auto& batches = to.counter("thread_batches", "Batches in which they came.");
  auto& wakeups = to.counter("thread_wakeups", "Times that a thread went to sleep and was woken.");
  auto& queued = to.gauge("queue_bytes", "Frames of a worker whose copies are queued.");
  auto& limit = to.gauge("queue_limit_bytes", "The bound of queue_bytes.");
  const auto add = [&](const char* kind, std::size_t number, const auto& thread, std::uint64_t in_batches) {
    const std::string text = std::to_string(number);
    const Labels labels = {{"kind", kind}, {"number", text}};
    cpu.add(labels, static_cast<double>(thread.cpu_ns) * 1e-9);
    frames.add(labels, thread.frames);
    batches.add(labels, in_batches);
    wakeups.add(labels, thread.wakeups);
  };
  for (std::size_t i = 0; i < state.workers.size(); ++i) {
    add("worker", i, state.workers[i], state.workers[i].batches);
    const std::string number = std::to_string(i);
    queued.add({{"number", number}}, state.workers[i].queued_copy_bytes);
    limit.add({{"number", number}}, state.workers[i].copy_queue_bytes);
  }
  for (std::size_t i = 0; i < state.mirror_threads.size(); ++i)
    add("mirror", i, state.mirror_threads[i], state.mirror_threads[i].passes);
  auto& memory = to.gauge("ring_bytes", "Memory of the ports' rings in the kernel.");
  memory.add({{"kind", "receive"}}, state.receive_memory_bytes);
  memory.add({{"kind", "send"}}, state.send_memory_bytes);
}

Json system_metrics(const MetricsMethods& methods) {
  Exposition exposition;
  add_build(methods, exposition);
  add_process(exposition);
  add_ports(methods, exposition);
  add_mirrors(methods, exposition);
  add_drops(methods, exposition);
  const bridge::DatapathState state = methods.datapath.datapath_state();
  add_fast_path(state.fast_path, exposition);
  add_datapath_threads(state, exposition);
  return {{"text", exposition.text()}};
}

}  // namespace

void add_metrics_methods(Methods& methods, bridge::CountersView& counters, bridge::DatapathView& datapath) {
  const MetricsMethods shared{methods, counters, datapath, wall_now_ms()};
  methods.read("system.metrics", [shared](const Json&) { return system_metrics(shared); });
}

}  // namespace vswitch::api
