// SPDX-License-Identifier: Apache-2.0
// mirror/list, mirror/show and mirror/reset: sessions, their states and the account of their copies.
#include "switchd/model/mirror.h"

#include "switchd/model/rows.h"
#include "switchd/unixctl/commands.h"

namespace vswitch::unixctl {
namespace {

/// The objects that the commands of this file use.
struct MirrorContext {
  const ovsdb::Database& database;
  bridge::CountersView& counters;
  bridge::AppliedView& applied;
};

template <typename List>
std::string joined(const List& list) {
  std::string text;
  for (const auto& item : list) text += (text.empty() ? "" : ",") + item;
  return text.empty() ? "-" : text;
}

std::string sources(const model::MirrorSettings& session) {
  std::vector<std::string> parts;
  if (session.all) parts.push_back("all");
  for (const auto& [port, direction] : session.source_ports)
    parts.push_back(direction == "both" ? port : port + ':' + direction);
  for (const auto& [pattern, direction] : session.source_patterns)
    parts.push_back(direction == "both" ? pattern : pattern + ':' + direction);
  for (const std::int64_t vlan : session.vlans) parts.push_back("vlan" + std::to_string(vlan));
  return joined(parts);
}

std::string destination(const model::MirrorSettings& session) {
  std::vector<std::string> parts;
  if (session.output_vlan) parts.push_back("vlan" + std::to_string(*session.output_vlan));
  parts.insert(parts.end(), session.destination_ports.begin(), session.destination_ports.end());
  for (const model::MirrorEndpoint& endpoint : session.endpoints)
    parts.push_back(endpoint.encap.value_or("") + '@' + endpoint.ip.value_or(""));
  return joined(parts);
}

std::string state(const ovsdb::Row& mirror) {
  const model::MirrorState state = model::state_of_mirror(mirror);
  return state.state + (state.reason.empty() ? "" : ": " + state.reason);
}

bridge::CounterMap counters(const MirrorContext& context, const ovsdb::Row& mirror) {
  bridge::CounterMap now = context.counters.mirror_counters(mirror.uuid());
  return now.empty() ? mirror.counters("statistics") : now;
}

std::string list(const MirrorContext& context, Args args) {
  std::string text;
  if (!args.empty()) bridge_of(context.database, args[0]);
  for (const auto& [bridge_name, bridge] : model::bridges(context.database)) {
    if (!args.empty() && bridge_name != args[0]) continue;
    for (const auto& [name, mirror] : model::mirrors_of(context.database, *bridge)) {
      const model::MirrorSettings session = model::read_mirror(context.database, *mirror);
      text += bridge_name + ' ' + name + ": " + sources(session) + " -> " + destination(session) +
              (session.normal_io ? " normal-io" : "") + ", " + state(*mirror) + '\n';
    }
  }
  return text;
}

std::string show_mirror(const MirrorContext& context, const std::string& bridge, const ovsdb::Row& mirror) {
  const model::MirrorSettings session = model::read_mirror(context.database, mirror);
  std::string text = bridge + ' ' + session.name + ":\n";
  text += "  sources: " + sources(session) + '\n';
  text += "  destination: " + destination(session) + '\n';
  for (const std::string& match : session.filter) text += "  filter: " + match + '\n';
  for (const std::string& match : session.skip) text += "  skip: " + match + '\n';
  text += "  normal I/O: " + std::string(session.normal_io ? "yes" : "no") + '\n';
  text += "  state: " + state(mirror) + '\n';
  if (const std::string notice = context.counters.mirror_notice(mirror.uuid()); !notice.empty())
    text += "  notice: " + notice + '\n';
  for (const auto& [key, count] : counters(context, mirror))
    text += "  " + key + ": " + std::to_string(count) + '\n';
  return text;
}

[[noreturn]] void throw_no_session(const std::string& bridge, const std::string& session) {
  throw Refused("bridge " + bridge + " has no session " + session + "; mirror/list shows them");
}

std::string show_mirrors(const MirrorContext& context, Args args) {
  std::string text;
  const auto mirrors = model::mirrors_of(context.database, bridge_of(context.database, args[0]));
  for (const auto& [name, mirror] : mirrors) {
    if (args.size() < 2 || name == args[1]) text += show_mirror(context, args[0], *mirror);
  }
  if (text.empty() && args.size() == 2) throw_no_session(args[0], args[1]);
  return text;
}

void reset(const MirrorContext& context, Args args, const Answer& answer) {
  std::vector<ovsdb::Uuid> mirrors;
  if (!args.empty()) bridge_of(context.database, args[0]);
  for (const auto& [bridge_name, bridge] : model::bridges(context.database)) {
    if (!args.empty() && bridge_name != args[0]) continue;
    for (const auto& [name, mirror] : model::mirrors_of(context.database, *bridge)) {
      if (args.size() < 2 || name == args[1]) mirrors.push_back(mirror->uuid());
    }
  }
  if (mirrors.empty() && args.size() == 2) throw_no_session(args[0], args[1]);
  context.counters.reset_mirror_counters(mirrors);
  context.applied.when_applied([answer] { answer("statistics successfully cleared"); });
}

}  // namespace

void add_mirror_commands(Registry& registry, const ovsdb::Database& database, bridge::CountersView& counters,
                         bridge::AppliedView& applied) {
  const MirrorContext context{database, counters, applied};
  registry.add_async("mirror/reset", "[bridge [session]]", 0, 2,
                     [context](Args args, const Answer& answer) { reset(context, args, answer); });
  registry.add("mirror/list", "[bridge]", 0, 1, [context](Args args) { return list(context, args); });
  registry.add("mirror/show", "bridge [session]", 1, 2,
               [context](Args args) { return show_mirrors(context, args); });
}

}  // namespace vswitch::unixctl
