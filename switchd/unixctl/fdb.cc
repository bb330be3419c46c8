// SPDX-License-Identifier: Apache-2.0
// fdb/show flush add del stats-show stats-clear: the addresses of a bridge; mdb/*: its multicast groups.
#include <charconv>
#include <cstdio>
#include <optional>

#include "switchd/model/rows.h"
#include "switchd/unixctl/commands.h"

namespace vswitch::unixctl {
namespace {

/// The objects that the commands of this file use.
struct FdbContext {
  const ovsdb::Database& database;
  bridge::FdbView& fdb;
};

constexpr unsigned kLastVlan = kVlanCount - 1;

std::string show_fdb(const FdbContext& context, Args args) {
  bridge_of(context.database, args[0]);
  std::string text = " port  VLAN  MAC                Age\n";
  for (const bridge::FdbEntry& entry : context.fdb.fdb(args[0])) {
    char line[80];
    const std::string age = entry.pinned ? "static" : std::to_string(entry.age_seconds);
    std::snprintf(line, sizeof line, "%5s  %4u  %s  %3s\n", ofport_text(context.database, entry.port).c_str(),
                  unsigned{entry.vlan}, entry.mac.to_string().c_str(), age.c_str());
    text += line;
  }
  return text;
}

/// Calls `each` for the named bridge, or for all.
template <typename Each>
void for_bridges(const FdbContext& context, Args args, Each each) {
  if (!args.empty()) return each(bridge_of(context.database, args[0]).str("name"));
  for (const auto& [name, bridge] : model::bridges(context.database)) each(name);
}

std::string flush(const FdbContext& context, Args args) {
  for_bridges(context, args, [&context](const std::string& bridge) { context.fdb.flush_fdb(bridge); });
  return "table successfully flushed";
}

VlanId vlan_in(const std::string& text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > kLastVlan)
    throw Refused("bad VLAN \"" + text + "\": give a number from 0 to 4095");
  return static_cast<VlanId>(value);
}

MacAddr mac_in(const std::string& text) {
  if (const auto mac = MacAddr::parse(text)) return *mac;
  throw Refused("bad MAC address");
}

std::optional<bridge::FdbEntry> pinned(const FdbContext& context, const std::string& bridge, VlanId vlan,
                                       const MacAddr& mac) {
  for (bridge::FdbEntry& entry : context.fdb.fdb(bridge)) {
    if (entry.pinned && entry.vlan == vlan && entry.mac == mac) return std::move(entry);
  }
  return std::nullopt;
}

std::string add(const FdbContext& context, Args args) {
  const ovsdb::Row& bridge = bridge_of(context.database, args[0]);
  const ovsdb::Row* interface = interface_named(context.database, bridge, args[1]);
  if (interface == nullptr) throw Refused("bridge " + args[0] + " has no port " + args[1]);
  const VlanId vlan = vlan_in(args[2]);
  const MacAddr mac = mac_in(args[3]);
  const auto before = pinned(context, args[0], vlan, mac);
  if (!context.fdb.pin_fdb(args[0], interface->str("name"), vlan, mac))
    throw Refused("the table is full of static entries, or port " + args[1] + " is not set up yet");
  return before ? "Overriding already existing static entry on " + ofport_text(context.database, before->port)
                : "";
}

std::string del(const FdbContext& context, Args args) {
  bridge_of(context.database, args[0]);
  const VlanId vlan = vlan_in(args[1]);
  if (!context.fdb.unpin_fdb(args[0], vlan, mac_in(args[2])))
    throw Refused("could not find static mac entry");
  return "";
}

std::string stats_show(const FdbContext& context, Args args) {
  bridge_of(context.database, args[0]);
  const bridge::FdbStatistics stats = context.fdb.fdb_statistics(args[0]);
  const auto line = [](const char* what, const std::string& value) {
    return "  " + std::string(what) + ": " + value + '\n';
  };
  return "Statistics for bridge \"" + args[0] + "\":\n" +
         line("Current/maximum MAC entries in the table",
              std::to_string(stats.entries) + '/' + std::to_string(stats.capacity)) +
         line("Current static MAC entries in the table ", std::to_string(stats.pinned)) +
         line("Total number of learned MAC entries     ", std::to_string(stats.learned)) +
         line("Total number of expired MAC entries     ", std::to_string(stats.expired)) +
         line("Total number of evicted MAC entries     ", std::to_string(stats.evicted)) +
         line("Total number of port moved MAC entries  ", std::to_string(stats.moved));
}

std::string stats_clear(const FdbContext& context, Args args) {
  for_bridges(context, args,
              [&context](const std::string& bridge) { context.fdb.clear_fdb_statistics(bridge); });
  return "statistics successfully cleared";
}

}  // namespace

void add_fdb_commands(Registry& registry, const ovsdb::Database& database, bridge::FdbView& fdb) {
  const FdbContext context{database, fdb};
  registry.add("fdb/show", "bridge", 1, 1, [context](Args args) { return show_fdb(context, args); });
  registry.add("fdb/flush", "[bridge]", 0, 1, [context](Args args) { return flush(context, args); });
  registry.add("fdb/add", "bridge port vlan mac", 4, 4, [context](Args args) { return add(context, args); });
  registry.add("fdb/del", "bridge vlan mac", 3, 3, [context](Args args) { return del(context, args); });
  registry.add("fdb/stats-show", "bridge", 1, 1, [context](Args args) { return stats_show(context, args); });
  registry.add("fdb/stats-clear", "[bridge]", 0, 1,
               [context](Args args) { return stats_clear(context, args); });
}

}  // namespace vswitch::unixctl
