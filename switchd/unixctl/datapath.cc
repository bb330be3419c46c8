// SPDX-License-Identifier: Apache-2.0
// dpif/* and dpctl/*: the datapath and its ports; the parts of bridge/*, ofproto/list and revalidator/* that
// make sense without OpenFlow; worker/show and drop/show of our own.
#include <algorithm>
#include <cstdio>

#include "switchd/model/rows.h"
#include "switchd/unixctl/commands.h"

namespace vswitch::unixctl {

const ovsdb::Row& bridge_of(const ovsdb::Database& database, const std::string& name) {
  if (const ovsdb::Row* bridge = model::find_bridge(database, name)) return *bridge;
  throw Refused("no such bridge");
}

const ovsdb::Row* interface_named(const ovsdb::Database& database, const ovsdb::Row& bridge,
                                  const std::string& port) {
  for (const auto& [name, row] : model::ports_of(database, bridge)) {
    const ovsdb::Row* interface = model::interface_of(database, *row);
    if (interface != nullptr &&
        (interface->str("name") == port || ofport_text(database, interface->str("name")) == port))
      return interface;
  }
  return nullptr;
}

std::string ofport_text(const ovsdb::Database& database, const std::string& port) {
  constexpr std::int64_t kLocal = 65534;
  const ovsdb::Row* interface = database.table("Interface").find("name", port);
  const std::int64_t number = interface == nullptr ? -1 : interface->integer("ofport").value_or(-1);
  return number == kLocal ? "LOCAL" : std::to_string(number);
}

namespace {

// The one userspace datapath, under the name that ovs-vswitchd gives its own.
constexpr const char* kDatapath = "netdev@ovs-netdev";

}  // namespace

bool is_datapath(const std::string& name) {
  return name == kDatapath || name == "ovs-netdev";
}

namespace {

/// The objects that the commands of this file use.
struct DatapathContext {
  const ovsdb::Database& database;
  bridge::CountersView& counters;
  bridge::DatapathView& datapath;
};

/// A port as the commands of this file show it.
struct Shown {
  std::string bridge, name;
  std::int64_t ofport;
  std::string number;  ///< in the datapath; "none" for a patch port, which has no device
  std::string type;
  bridge::CounterMap counters;
};

std::string type_text(const ovsdb::Row& bridge, const ovsdb::Row& interface) {
  const std::string& type = interface.str("type");
  if (type == "internal" || interface.str("name") == bridge.str("name")) return "tap";
  if (type != "patch") return type.empty() ? "system" : type;
  const std::string* peer = interface.value("options", "peer");
  return "patch: peer=" + (peer == nullptr ? "" : *peer);
}

std::vector<Shown> ports_of(const DatapathContext& context, const ovsdb::Row& bridge) {
  std::vector<Shown> ports;
  for (const auto& [name, port] : model::ports_of(context.database, bridge)) {
    const ovsdb::Row* interface = model::interface_of(context.database, *port);
    if (interface == nullptr) continue;
    const auto number = context.datapath.datapath_number(bridge.str("name"), interface->str("name"));
    if (!number) continue;
    // Numbers in the datapath start at 0; Open vSwitch shows its own from 1 on.
    const bool patch = interface->str("type") == "patch";
    ports.push_back({bridge.str("name"), interface->str("name"), interface->integer("ofport").value_or(-1),
                     patch ? "none" : std::to_string(*number + 1), type_text(bridge, *interface),
                     context.counters.interface_counters(interface->uuid())});
  }
  return ports;
}

std::vector<Shown> all_ports(const DatapathContext& context) {
  std::vector<Shown> all;
  for (const auto& [name, bridge] : model::bridges(context.database)) {
    for (Shown& port : ports_of(context, *bridge)) all.push_back(std::move(port));
  }
  return all;
}

/// Every frame is looked up in the current settings, so every received frame is a hit.
std::string lookups(const DatapathContext& context) {
  std::uint64_t frames = 0;
  for (const bridge::WorkerState& worker : context.datapath.datapath_state().workers) frames += worker.frames;
  return "hit:" + std::to_string(frames) + " missed:0";
}

std::string dpif_show(const DatapathContext& context) {
  std::string text = std::string(kDatapath) + ": " + lookups(context) + '\n';
  for (const auto& [name, bridge] : model::bridges(context.database)) {
    text += "  " + name + ":\n";
    for (const Shown& port : ports_of(context, *bridge)) {
      text += "    " + port.name + ' ' + std::to_string(port.ofport) + '/' + port.number + ": (" + port.type +
              ")\n";
    }
  }
  return text;
}

std::string counter_lines(bridge::CounterMap counters) {
  char text[400];
  const auto of = [&counters](const char* key) { return static_cast<long long>(counters[key]); };
  std::snprintf(text, sizeof text,
                "    RX packets:%lld errors:%lld dropped:%lld overruns:%lld frame:%lld\n"
                "    TX packets:%lld errors:%lld dropped:%lld aborted:0 carrier:0\n"
                "    collisions:%lld\n"
                "    RX bytes:%lld  TX bytes:%lld\n",
                of("rx_packets"), of("rx_errors"), of("rx_dropped"), of("rx_over_err"), of("rx_frame_err"),
                of("tx_packets"), of("tx_errors"), of("tx_dropped"), of("collisions"), of("rx_bytes"),
                of("tx_bytes"));
  return text;
}

std::string dpctl_show(const DatapathContext& context, Args args) {
  const bool statistics = !args.empty() && args[0] == "-s";
  for (const std::string& datapath : args.subspan(statistics ? 1 : 0)) {
    if (!is_datapath(datapath)) throw Refused("opening datapath " + datapath + " failed (No such device)");
  }
  std::string text = std::string(kDatapath) + ":\n  lookups: " + lookups(context) + " lost:0\n  flows: 0\n";
  std::vector<Shown> ports = all_ports(context);
  std::erase_if(ports, [](const Shown& port) { return port.number == "none"; });
  std::sort(ports.begin(), ports.end(),
            [](const Shown& a, const Shown& b) { return std::stoul(a.number) < std::stoul(b.number); });
  for (const Shown& port : ports) {
    text += "  port " + port.number + ": " + port.name;
    if (port.type != "system") text += " (" + port.type + ')';
    text += '\n';
    if (statistics) text += counter_lines(port.counters);
  }
  return text;
}

/// Options, filters and types apart, the argument of dpctl/dump-flows and its like names the datapath. What
/// they list, flows and connections, there is none of.
std::string list_nothing(Args args) {
  for (const std::string& word : args) {
    if (!word.starts_with('-') && word.find('=') == std::string::npos && !is_datapath(word))
      throw Refused("ovs-vswitchd: datapath not found (Invalid argument)");
  }
  return "";
}

/// Flows of the datapath, as Open vSwitch caches them. Here each frame is decided anew.
std::string dump_cached_flows(const DatapathContext& context, Args args) {
  bridge_of(context.database, args.back());
  return "";
}

/// A bridge without OpenFlow forwards by one flow; with fail_mode=secure it has none.
std::string dump_flows(const DatapathContext& context, Args args) {
  const bool offload = args[0] == "--offload-stats";
  if (offload != (args.size() == 2)) throw Refused("Unknown bridge");
  const ovsdb::Row* bridge = model::find_bridge(context.database, args[offload ? 1 : 0]);
  if (bridge == nullptr) throw Refused("Unknown bridge");
  if (bridge->str("fail_mode") == "secure") return "";
  std::int64_t packets = 0, bytes = 0;
  for (Shown& port : ports_of(context, *bridge)) {
    packets += port.counters["rx_packets"];
    bytes += port.counters["rx_bytes"];
  }
  return "n_packets=" + std::to_string(packets) + ", n_bytes=" + std::to_string(bytes) +
         (offload ? ", n_offload_packets=0, n_offload_bytes=0" : "") + ", priority=0,actions=NORMAL\n";
}

std::string list_bridges(const DatapathContext& context) {
  std::string text;
  for (const auto& [name, bridge] : model::bridges(context.database)) text += name + '\n';
  return text;
}

std::string workers(const DatapathContext& context) {
  std::string text;
  std::size_t number = 0;
  const bridge::DatapathState state = context.datapath.datapath_state();
  for (const bridge::WorkerState& worker : state.workers) {
    char line[400];
    const double per_batch =
        worker.batches == 0 ? 0 : static_cast<double>(worker.frames) / static_cast<double>(worker.batches);
    std::snprintf(line, sizeof line,
                  "worker %zu:\n"
                  "  wakeups: %llu, batches: %llu, frames: %llu (%.1f per batch)\n"
                  "  busy: %.3f s, processor time: %.3f s\n"
                  "  mirror queue: %zu of %zu bytes\n",
                  number++, static_cast<unsigned long long>(worker.wakeups),
                  static_cast<unsigned long long>(worker.batches),
                  static_cast<unsigned long long>(worker.frames), per_batch,
                  static_cast<double>(worker.busy_ns) * 1e-9, static_cast<double>(worker.cpu_ns) * 1e-9,
                  worker.queued_copy_bytes, worker.copy_queue_bytes);
    text += line;
    if (worker.unwatched_ports != 0)
      text +=
          "  ports that could not be watched (no memory): " + std::to_string(worker.unwatched_ports) + '\n';
    text += "  ports:";
    for (const std::string& port : worker.ports) text += ' ' + port;
    text += '\n';
  }
  number = 0;
  for (const bridge::MirrorThreadState& thread : state.mirror_threads) {
    char line[200];
    std::snprintf(line, sizeof line,
                  "mirror thread %zu:\n"
                  "  wakeups: %llu, passes: %llu, frames: %llu\n"
                  "  processor time: %.3f s\n",
                  number++, static_cast<unsigned long long>(thread.wakeups),
                  static_cast<unsigned long long>(thread.passes),
                  static_cast<unsigned long long>(thread.frames), static_cast<double>(thread.cpu_ns) * 1e-9);
    text += line;
  }
  for (const std::string& complaint : state.complaints) text += complaint + '\n';
  return text;
}

std::string drops(const DatapathContext& context) {
  std::string text;
  for (const auto& [reason, count] : context.counters.drops()) {
    char line[320];
    std::snprintf(line, sizeof line, "%12lld  %-26s %s\n", static_cast<long long>(count), reason.c_str(),
                  bridge::meaning_of_drop(reason).c_str());
    if (count != 0) text += line;
  }
  return text.empty() ? "nothing dropped\n" : text;
}

std::string nothing(Args) {
  return "";
}

}  // namespace

void add_datapath_commands(Registry& registry, const ovsdb::Database& database,
                           bridge::CountersView& counters, bridge::DatapathView& datapath) {
  const DatapathContext context{database, counters, datapath};
  registry.add("dpif/show", "", 0, 0, [context](Args) { return dpif_show(context); });
  registry.add("dpif/dump-dps", "", 0, 0, [context](Args) {
    std::string text;
    for (const auto& [name, bridge] : model::bridges(context.database)) text += "netdev@" + name + '\n';
    return text;
  });
  registry.add("dpctl/show", "[-s] [dp...]", 0, Registry::kAnyNumber,
               [context](Args args) { return dpctl_show(context, args); });
  registry.add("dpctl/dump-dps", "", 0, 0, [](Args) { return std::string(kDatapath) + '\n'; });
  registry.add("bridge/dump-flows", "[--offload-stats] bridge", 1, 2,
               [context](Args args) { return dump_flows(context, args); });
  registry.add("ofproto/list", "", 0, 0, [context](Args) { return list_bridges(context); });
  registry.add("dpif/dump-flows", "[-m] [--names | --no-names] bridge", 1, 3,
               [context](Args args) { return dump_cached_flows(context, args); });
  registry.add("dpctl/dump-flows", "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]", 0, 6, list_nothing);
  registry.add("dpctl/del-flows", "[dp] [file]", 0, 2, list_nothing);
  registry.add("dpctl/dump-conntrack", "[-m] [-s] [dp] [zone=N]", 0, 4, list_nothing);
  registry.add("dpctl/flush-conntrack", "[dp] [zone=N] [ct-orig-tuple] [ct-reply-tuple]", 0, 4, list_nothing);
  registry.add("dpctl/ct-get-nconns", "[dp]", 0, 1, [](Args args) { return list_nothing(args) + "0\n"; });
  registry.add("dpctl/ct-stats-show", "[dp] [zone=N]", 0, 3,
               [](Args args) { return list_nothing(args) + "Connections Stats:\n    Total: 0\n"; });
  registry.add("dpctl/cache-get-size", "[dp]", 0, 1,
               [](Args args) { return list_nothing(args) + kDatapath + ":\n"; });
  registry.add("dpctl/list-commands", "", 0, 0,
               [&registry](Args) { return registry.list_commands("dpctl/", 29); });
  registry.add("upcall/show", "", 0, 0, [](Args) {
    return std::string(kDatapath) +
           ":\n  flows         : (current 0) (avg 0) (max 0) (limit 0)\n"
           "  dump duration : 0ms\n  ufid enabled : false\n\n";
  });
  // The next frame is treated as the current settings say, in the kernel too, so there is nothing to wait for.
  registry.add("revalidator/wait", "", 0, 0, nothing);
  registry.add("revalidator/purge", "", 0, 0, nothing);
  registry.add("worker/show", "", 0, 0, [context](Args) { return workers(context); });
  registry.add("drop/show", "", 0, 0, [context](Args) { return drops(context); });
}

}  // namespace vswitch::unixctl
