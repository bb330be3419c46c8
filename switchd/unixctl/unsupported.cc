// SPDX-License-Identifier: Apache-2.0
// The commands of ovs-vswitchd for what this switch does not have: bonds, BFD, STP, a cache of flows and the
// like. What only lists says that there is nothing, as Open vSwitch does if nothing is configured, so that
// scripts that look everywhere go on. What would change something is refused, and says why.
#include <algorithm>
#include <cstdio>
#include <string>

#include "switchd/model/rows.h"
#include "switchd/unixctl/commands.h"

namespace vswitch::unixctl {
namespace {

struct UnsupportedCommand {
  const char* name;
  const char* usage;
  std::size_t min_args, max_args;
  const char* all;      ///< what it prints without arguments; null: it is refused
  const char* refusal;  ///< why it is refused, in the words of Open vSwitch if it has some; null: never
};

constexpr std::size_t kAnyArgs = Registry::kAnyNumber;
constexpr const char* kNothing = "";
constexpr const char* kNoOpenFlow = "there is no OpenFlow (README, \"What is missing\")";
constexpr const char* kNoBond = "no such bond";
constexpr const char* kNoFlowCache = "no flow can be set: each frame is treated as the current settings say";
constexpr const char* kNoConntrack = "connections are not tracked: that takes OpenFlow";
constexpr const char* kFromDatabase =
    "datapaths and ports follow the database: use ovs-vsctl or vswitch-ctl (add-br, add-port, ...)";
constexpr const char* kNoDatapathActions = "there are no datapath actions: see ofproto/trace";
constexpr const char* kSeeWorkers = "frames are forwarded by workers: see worker/show";
constexpr const char* kOneImplementation = "there is one implementation, so there is nothing to choose";
constexpr const char* kNotReplicated = "the database is not replicated";
constexpr const char* kOneDatabase = "there is one database, Open_vSwitch";
constexpr const char* kHostRoutes =
    "the host's routes are used: see `ip route get ADDRESS` and ofproto/list-tunnels";
constexpr const char* kHostNeighbours = "the host's IP stack resolves neighbours: see `ip neigh`";

// Those of ovs-vswitchd(8) and ovsdb-server(1) 3.1, sorted.
constexpr UnsupportedCommand kUnsupported[] = {
    {"autoattach/show-isid", "[bridge]", 0, 1, kNothing, nullptr},
    {"autoattach/statistics", "[bridge]", 0, 1, kNothing, nullptr},
    {"autoattach/status", "[bridge]", 0, 1, kNothing, nullptr},
    {"bfd/set-forwarding", "[interface] normal|false|true", 1, 2, nullptr, "no such BFD object"},
    {"bfd/show", "[interface]", 0, 1, kNothing, "no such bfd object"},
    {"bond/disable-member", "port member", 2, 2, nullptr, kNoBond},
    {"bond/enable-member", "port member", 2, 2, nullptr, kNoBond},
    {"bond/hash", "mac [vlan] [basis]", 1, 3, nullptr, "there are no bonds (README, \"What is missing\")"},
    {"bond/list", "", 0, 0, "bond\ttype\trecircID\tmembers\n", nullptr},
    {"bond/migrate", "port hash member", 3, 3, nullptr, kNoBond},
    {"bond/set-active-member", "port member", 2, 2, nullptr, kNoBond},
    {"bond/show", "[port]", 0, 1, kNothing, kNoBond},
    {"cfm/set-fault", "[interface] normal|false|true", 1, 2, nullptr, "no such CFM object"},
    {"cfm/show", "[interface]", 0, 1, kNothing, "no such CFM object"},
    {"dpctl/add-dp", "dp [iface...]", 1, kAnyArgs, nullptr, kFromDatabase},
    {"dpctl/add-flow", "[dp] flow actions", 2, 3, nullptr, kNoFlowCache},
    {"dpctl/add-flows", "[dp] file", 1, 2, nullptr, kNoFlowCache},
    {"dpctl/add-if", "dp iface...", 2, kAnyArgs, nullptr, kFromDatabase},
    {"dpctl/cache-set-size", "dp cache <size>", 3, 3, nullptr, kNoFlowCache},
    {"dpctl/ct-bkts", "[dp] [gt=N]", 0, 2, nullptr, kNoConntrack},
    {"dpctl/ct-del-limits", "[dp] zone=N1[,N2]...", 1, 2, nullptr, kNoConntrack},
    {"dpctl/ct-disable-tcp-seq-chk", "[dp]", 0, 1, nullptr, kNoConntrack},
    {"dpctl/ct-enable-tcp-seq-chk", "[dp]", 0, 1, nullptr, kNoConntrack},
    {"dpctl/ct-get-limits", "[dp] [zone=N1[,N2]...]", 0, 2, nullptr, kNoConntrack},
    {"dpctl/ct-get-maxconns", "[dp]", 0, 1, nullptr, kNoConntrack},
    {"dpctl/ct-get-tcp-seq-chk", "[dp]", 0, 1, nullptr, kNoConntrack},
    {"dpctl/ct-set-limits", "[dp] [default=L] [zone=N,limit=L]...", 1, kAnyArgs, nullptr, kNoConntrack},
    {"dpctl/ct-set-maxconns", "[dp] maxconns", 1, 2, nullptr, kNoConntrack},
    {"dpctl/del-dp", "dp", 1, 1, nullptr, kFromDatabase},
    {"dpctl/del-flow", "[dp] flow", 1, 2, nullptr, kNoFlowCache},
    {"dpctl/del-if", "dp iface...", 2, kAnyArgs, nullptr, kFromDatabase},
    {"dpctl/get-flow", "[dp] ufid", 1, 2, nullptr, "ovs-vswitchd: getting flow (No such file or directory)"},
    {"dpctl/ipf-get-status", "[dp]", 0, 1, nullptr, kNoConntrack},
    {"dpctl/ipf-set-disabled", "[dp] v4|v6", 1, 2, nullptr, kNoConntrack},
    {"dpctl/ipf-set-enabled", "[dp] v4|v6", 1, 2, nullptr, kNoConntrack},
    {"dpctl/ipf-set-max-nfrags", "[dp] maxfrags", 1, 2, nullptr, kNoConntrack},
    {"dpctl/ipf-set-min-frag", "[dp] v4|v6 minfragment", 2, 3, nullptr, kNoConntrack},
    {"dpctl/mod-flow", "[dp] flow actions", 2, 3, nullptr, kNoFlowCache},
    {"dpctl/mod-flows", "[dp] file", 1, 2, nullptr, kNoFlowCache},
    {"dpctl/normalize-actions", "actions", 2, kAnyArgs, nullptr, kNoDatapathActions},
    {"dpctl/offload-stats-show", "[dp]", 0, 1, nullptr, "no flow is offloaded to a device"},
    {"dpctl/parse-actions", "actions", 1, kAnyArgs, nullptr, kNoDatapathActions},
    {"dpctl/set-if", "dp iface...", 2, kAnyArgs, nullptr, kFromDatabase},
    {"dpif-netdev/bond-show", "[dp]", 0, 1, kNothing, nullptr},
    {"dpif-netdev/dpif-impl-get", "", 0, 0, nullptr, kOneImplementation},
    {"dpif-netdev/dpif-impl-set", "dpif_implementation_name", 1, 1, nullptr, kOneImplementation},
    {"dpif-netdev/miniflow-parser-get", "", 0, 0, nullptr, kOneImplementation},
    {"dpif-netdev/miniflow-parser-set", "[-pmd core] miniflow_implementation_name [study_pkt_cnt]", 1, 5,
     nullptr, kOneImplementation},
    {"dpif-netdev/pmd-perf-log-set", "on|off [-b before] [-a after] [-e|-ne] [-us usec] [-q qlen]", 0, 10,
     nullptr, kSeeWorkers},
    {"dpif-netdev/pmd-perf-show", "[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]", 0, 8,
     nullptr, kSeeWorkers},
    {"dpif-netdev/pmd-rxq-rebalance", "[dp]", 0, 1, nullptr, kSeeWorkers},
    {"dpif-netdev/pmd-rxq-show", "[-pmd core] [-secs secs] [dp]", 0, 5, nullptr, kSeeWorkers},
    {"dpif-netdev/pmd-stats-clear", "[-pmd core] [dp]", 0, 3, nullptr, kSeeWorkers},
    {"dpif-netdev/pmd-stats-show", "[-pmd core] [dp]", 0, 3, nullptr, kSeeWorkers},
    {"dpif-netdev/subtable-lookup-info-get", "", 0, 0, nullptr, kOneImplementation},
    {"dpif-netdev/subtable-lookup-prio-set", "[lookup_func] [prio]", 2, 2, nullptr, kOneImplementation},
    {"dpif-netlink/dispatch-mode", "", 0, 0, nullptr, "there is no datapath in the kernel"},
    {"dpif/set-dp-features", "bridge", 1, 1, nullptr, kNoOpenFlow},
    {"dpif/show-dp-features", "bridge", 1, 1, nullptr, kNoOpenFlow},
    {"lacp/show", "[port]", 0, 1, kNothing, "no such lacp object"},
    {"lacp/show-stats", "[port]", 0, 1, kNothing, "no such lacp object"},
    {"odp-execute/action-impl-set", "name", 1, 1, nullptr, kOneImplementation},
    {"odp-execute/action-impl-show", "", 0, 0, nullptr, kOneImplementation},
    {"ofproto/trace-packet-out",
     "[-consistent] {[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet] actions", 1,
     kAnyArgs, nullptr, "there is no OpenFlow, so no packet is sent with actions: see ofproto/trace"},
    {"ovs/route/add", "ip_addr/prefix_len out_br_name [gw] [pkt_mark=mark]", 2, 4, nullptr, kHostRoutes},
    {"ovs/route/del", "ip_addr/prefix_len [pkt_mark=mark]", 1, 2, nullptr, kHostRoutes},
    {"ovs/route/lookup", "ip_addr [pkt_mark=mark]", 1, 2, nullptr, kHostRoutes},
    {"ovs/route/show", "", 0, 0, nullptr, kHostRoutes},
    {"ovsdb-server/add-db", "DB", 1, 1, nullptr, kOneDatabase},
    {"ovsdb-server/connect-active-ovsdb-server", "", 0, 0, nullptr, kNotReplicated},
    {"ovsdb-server/disable-monitor-cond", "", 0, 0, nullptr, "conditional monitoring is always there"},
    {"ovsdb-server/disconnect-active-ovsdb-server", "", 0, 0, kNothing, nullptr},
    {"ovsdb-server/get-active-ovsdb-server", "", 0, 0, kNothing, nullptr},
    {"ovsdb-server/get-sync-exclude-tables", "", 0, 0, kNothing, nullptr},
    {"ovsdb-server/memory-trim-on-compaction", "on|off", 1, 1, nullptr,
     "memory is given back whenever much of it is free"},
    {"ovsdb-server/perf-counters-clear", "", 0, 0, kNothing, nullptr},
    {"ovsdb-server/perf-counters-show", "", 0, 0, "performance counter is not supported on this platform\n",
     nullptr},
    {"ovsdb-server/remove-db", "DB", 1, 1, nullptr, kOneDatabase},
    {"ovsdb-server/set-active-ovsdb-server", "", 1, 1, nullptr, kNotReplicated},
    {"ovsdb-server/set-active-ovsdb-server-probe-interval", "", 1, 1, nullptr, kNotReplicated},
    {"ovsdb-server/set-sync-exclude-tables", "", 0, 1, nullptr, kNotReplicated},
    {"ovsdb-server/tlog-list", "", 0, 0, nullptr, "transactions are not logged: see vlog/set ovsdb_server"},
    {"ovsdb-server/tlog-set", "DB:TABLE on|off", 2, 2, nullptr,
     "transactions are not logged: see vlog/set ovsdb_server"},
    {"rstp/show", "[bridge]", 0, 1, kNothing, "No such RSTP object"},
    {"rstp/tcn", "[bridge]", 0, 1, nullptr, "No such RSTP object"},
    {"stp/show", "[bridge]", 0, 1, kNothing, "no such stp object"},
    {"stp/tcn", "[bridge]", 0, 1, nullptr, "no such stp object"},
    {"tnl/arp/aging", "[SECS]", 0, 1, nullptr, kHostNeighbours},
    {"tnl/arp/flush", "", 0, 0, nullptr, kHostNeighbours},
    {"tnl/arp/set", "BRIDGE IP MAC", 3, 3, nullptr, kHostNeighbours},
    {"tnl/arp/show", "", 0, 0, nullptr, kHostNeighbours},
    {"tnl/egress_port_range", "min max", 0, 2, nullptr,
     "UDP source ports of tunnels are 49152 to 65535 (RFC 7348), by the hash of the frame"},
    {"tnl/neigh/aging", "[SECS]", 0, 1, nullptr, kHostNeighbours},
    {"tnl/neigh/flush", "", 0, 0, nullptr, kHostNeighbours},
    {"tnl/neigh/set", "BRIDGE IP MAC", 3, 3, nullptr, kHostNeighbours},
    {"tnl/neigh/show", "", 0, 0, nullptr, kHostNeighbours},
    {"tnl/ports/show", "-v", 0, 1, nullptr,
     "the host's IP stack receives the packets of tunnels: see ofproto/list-tunnels"},
    {"upcall/disable-megaflows", "", 0, 0, nullptr, kNoFlowCache},
    {"upcall/disable-ufid", "", 0, 0, nullptr, kNoFlowCache},
    {"upcall/enable-megaflows", "", 0, 0, nullptr, kNoFlowCache},
    {"upcall/enable-ufid", "", 0, 0, nullptr, kNoFlowCache},
    {"upcall/set-flow-limit", "flow-limit-number", 1, 1, nullptr, kNoFlowCache},
};

std::string unsupported(const UnsupportedCommand& command, Args args) {
  if (command.all != nullptr && (args.empty() || command.refusal == nullptr)) return command.all;
  throw Refused(command.refusal);
}

void check_interface(const ovsdb::Database& database, const std::string& name) {
  if (database.table("Interface").find("name", name) == nullptr) throw Refused("no such interface");
}

}  // namespace

void add_unsupported_commands(Registry& registry, const ovsdb::Database& database) {
  for (const UnsupportedCommand& command : kUnsupported) {
    registry.add(command.name, command.usage, command.min_args, command.max_args,
                 [&command](Args args) { return unsupported(command, args); });
  }
  registry.add("qos/show", "interface", 1, 1, [&database](Args args) {
    check_interface(database, args[0]);
    return "QoS not configured on " + args[0] + '\n';
  });
  registry.add("qos/show-types", "interface", 1, 1, [&database](Args args) {
    check_interface(database, args[0]);
    return std::string();
  });
  registry.add("bridge/reconnect", "[bridge]", 0, 1, [&database](Args args) {
    if (!args.empty() && model::find_bridge(database, args[0]) == nullptr) throw Refused("Unknown bridge");
    return std::string();
  });
  registry.add("mdb/show", "bridge", 1, 1, [&database](Args args) -> std::string {
    bridge_of(database, args[0]);
    throw Refused("multicast snooping is disabled");
  });
  registry.add("mdb/flush", "[bridge]", 0, 1, [&database](Args args) {
    if (args.empty()) return std::string("table successfully flushed");
    bridge_of(database, args[0]);
    throw Refused("multicast snooping is disabled");
  });
}

}  // namespace vswitch::unixctl
