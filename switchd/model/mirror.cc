// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/mirror.h"

#include <array>

namespace vswitch::model {
namespace {

using M = MirrorSettings;
using ovsdb::Database;
using ovsdb::Datum;
using ovsdb::Row;
using ovsdb::Uuid;

/// References to ports: read_mirror() resolves them, and names replace them.
constexpr Column<M> reference(std::string_view name, std::string_view member) {
  Column<M> column{{name, member, Effect::settings}};
  column.write = [](const M&) { return Datum(); };
  return column;
}

constexpr Column<M> select_all() {
  Column<M> column{{"select_all", "sources", Effect::settings}};
  column.write = [](const M& session) { return Datum::of(session.all || session.only_vlans()); };
  return column;
}

constexpr std::array kMirrorColumns = {
    plain<&M::name>("name", "name", Effect::settings),
    plain<&M::description>("description", "description", Effect::none),
    plain<&M::enabled>("enabled", "enabled", Effect::settings),
    stored<&M::source_ports>("source_ports", "sources", Effect::settings),
    stored<&M::source_patterns>("source_patterns", "sources", Effect::settings),
    reference("select_src_port", "sources"),
    reference("select_dst_port", "sources"),
    stored<&M::vlans>("select_vlan", "sources", Effect::settings),
    select_all(),
    plain<&M::destination_ports>("destination_ports", "destination.ports", Effect::settings),
    reference("output_port", "destination"),
    plain<&M::output_vlan>("output_vlan", "destination.vlan", Effect::settings),
    plain<&M::keep_vlan>("keep_vlan", "destination.keep_vlan", Effect::settings),
    plain<&M::strip_vlan>("strip_vlan", "destination.strip_vlan", Effect::settings),
    Column<M>{{"endpoints", "destination.endpoints", Effect::settings}},
    plain<&M::capture>("capture", "destination.capture", Effect::settings),
    plain<&M::record_bytes>("record_bytes", "destination.record_bytes", Effect::settings),
    plain<&M::record_seconds>("record_seconds", "destination.record_seconds", Effect::settings),
    plain<&M::normal_io>("normal_io", "normal_io", Effect::settings),
    plain<&M::mtu_policy>("mtu_policy", "mtu_policy", Effect::settings),
    plain<&M::superframes>("superframes", "superframes", Effect::settings),
    plain<&M::snaplen>("snaplen", "snaplen", Effect::settings),
    plain<&M::sample>("sample", "sample", Effect::settings),
    plain<&M::filter, ListOrNull>("filter", "filter", Effect::settings),
    plain<&M::skip, ListOrNull>("skip", "skip", Effect::settings),
    plain<&M::rate_packets>("rate_packets", "rate.packets", Effect::settings),
    plain<&M::rate_bits>("rate_bits", "rate.bits", Effect::settings),
    plain<&M::cpu_budget>("cpu_budget", "cpu_budget", Effect::settings),
    stored<&M::expires_at>("expires_at", "expires", Effect::settings),
    stored<&M::expires_packets>("expires_packets", "expires", Effect::settings),
    stored<&M::expires_bytes>("expires_bytes", "expires", Effect::settings),
    stored<&M::expires_with_connection>("expires_with_connection", "expires", Effect::settings),
};

/// A source that already exists with the other direction becomes one in both directions.
void add_to(std::map<std::string, std::string>& sources, const std::string& source,
            const std::string& direction) {
  auto [at, inserted] = sources.emplace(source, direction);
  if (!inserted && at->second != direction) at->second = "both";
}

/// nullptr: there is no such port.
const std::string* name_of(const Database& database, const Uuid& port, PortName which) {
  const Row* row = database.find("Port", port);
  if (row == nullptr) return nullptr;
  if (which == PortName::of_interface) {
    for (const Uuid& uuid : row->uuids("interfaces")) {
      if (const Row* interface = database.find("Interface", uuid)) return &interface->str("name");
    }
  }
  return &row->str("name");
}

/// An endpoint whose settings change keeps its row, and with it its account, as long as its address stays.
void write_endpoints(ovsdb::Transaction& transaction, const Uuid& mirror,
                     const std::set<MirrorEndpoint>& endpoints) {
  std::vector<std::pair<Uuid, MirrorEndpoint>> present;
  const Database& database = transaction.database();
  if (const Row* row = database.find("Mirror", mirror)) present = read_mirror(database, *row).endpoint_rows;
  std::vector<Uuid> uuids;
  const auto keep = [&](const auto& is_it) {
    const auto found = std::find_if(present.begin(), present.end(), is_it);
    if (found == present.end()) return false;
    uuids.push_back(found->first);
    present.erase(found);
    return true;
  };
  std::vector<MirrorEndpoint> changed;
  for (const MirrorEndpoint& endpoint : endpoints) {
    if (!keep([&](const auto& one) { return one.second == endpoint; })) changed.push_back(endpoint);
  }
  for (const MirrorEndpoint& endpoint : changed) {
    if (!keep([&](const auto& one) { return one.second.ip == endpoint.ip; }))
      uuids.push_back(transaction.insert("Mirror_Endpoint"));
    write_columns(mirror_endpoint_columns(), endpoint, members_of(mirror_endpoint_columns(), endpoint),
                  transaction, "Mirror_Endpoint", uuids.back());
  }
  transaction.set("Mirror", mirror, "endpoints", Datum::set_of(uuids));
}

}  // namespace

void MirrorSettings::add_source_port(const std::string& port, const std::string& direction) {
  add_to(source_ports, port, direction);
}

void MirrorSettings::add_source_pattern(const std::string& pattern, const std::string& direction) {
  add_to(source_patterns, pattern, direction);
}

Columns<MirrorSettings> mirror_columns() {
  return kMirrorColumns;
}

Mirror read_mirror(const Database& database, const Row& row, PortName port_name) {
  Mirror mirror;
  mirror.uuid = row.uuid();
  read_columns<MirrorSettings>(mirror_columns(), row, mirror);
  for (const auto& [column, direction] : {std::pair("select_src_port", "from"), {"select_dst_port", "to"}}) {
    for (const Uuid& port : row.uuids(column)) {
      if (const std::string* name = name_of(database, port, port_name))
        mirror.add_source_port(*name, direction);
    }
  }
  mirror.select_all = row.boolean("select_all").value_or(false);
  mirror.all = mirror.select_all && !mirror.only_vlans();
  if (const auto output = row.reference("output_port")) {
    mirror.ignores_output_vlan = mirror.output_vlan.has_value();
    mirror.output_vlan.reset();  // a port wins over a VLAN, as in Open vSwitch
    if (const std::string* name = name_of(database, *output, port_name))
      mirror.destination_ports.insert(*name);
  }
  for (const Uuid& uuid : row.uuids("endpoints")) {
    const Row* endpoint = database.find("Mirror_Endpoint", uuid);
    if (endpoint == nullptr) continue;
    mirror.endpoint_rows.emplace_back(uuid, read_mirror_endpoint(*endpoint));
    mirror.endpoints.insert(mirror.endpoint_rows.back().second);
  }
  return mirror;
}

void write_mirror(ovsdb::Transaction& transaction, const Uuid& mirror, const MirrorSettings& settings,
                  const Json& params) {
  write_columns(mirror_columns(), settings, params, transaction, "Mirror", mirror);
  if (params.contains("destination")) write_endpoints(transaction, mirror, settings.endpoints);
}

}  // namespace vswitch::model
