// SPDX-License-Identifier: Apache-2.0
// The operator commands of the switch and of the embedded database server. One file per noun; texts that
// stock scripts parse are those of Open vSwitch 3.1 (ovs-vswitchd(8), ovsdb-server(1)).
#pragma once

#include "switchd/bridge/switch_view.h"
#include "switchd/control/server.h"
#include "switchd/db/database.h"
#include "switchd/unixctl/registry.h"

namespace vswitch::unixctl {

// The objects that the commands use must outlive the registry's last command.

/// fdb.cc: fdb/*
void add_fdb_commands(Registry& registry, const ovsdb::Database& database, bridge::FdbView& fdb);
/// datapath.cc: dpif/*, dpctl/*, bridge/*, ...
void add_datapath_commands(Registry& registry, const ovsdb::Database& database,
                           bridge::CountersView& counters, bridge::DatapathView& datapath);
/// mirror.cc: mirror/*
void add_mirror_commands(Registry& registry, const ovsdb::Database& database, bridge::CountersView& counters,
                         bridge::AppliedView& applied);
/// trace.cc: ofproto/trace
void add_trace_command(Registry& registry, const ovsdb::Database& database, bridge::ExplainView& frames,
                       bridge::DatapathView& datapath);
/// tunnel.cc: ofproto/list-tunnels
void add_tunnel_commands(Registry& registry, const ovsdb::Database& database, bridge::DatapathView& datapath);
/// unsupported.cc: the commands of Open vSwitch for what there is not
void add_unsupported_commands(Registry& registry, const ovsdb::Database& database);
/// ovsdb.cc: ovsdb-server/*. `control`: the sockets of database clients.
void add_ovsdb_commands(Registry& registry, ovsdb::Database& database, control::Server& control);

/// The Bridge row. Throws Refused with the message that scripts know.
const ovsdb::Row& bridge_of(const ovsdb::Database& database, const std::string& name);

/// A port of a bridge, by its name or its OpenFlow port number, as its Interface row; nullptr if there is
/// none.
const ovsdb::Row* interface_named(const ovsdb::Database& database, const ovsdb::Row& bridge,
                                  const std::string& port);

/// "LOCAL" or the OpenFlow port number of a port; "-1" if it has none.
std::string ofport_text(const ovsdb::Database& database, const std::string& port);

/// Whether a word names the datapath, of which there is one.
bool is_datapath(const std::string& name);

}  // namespace vswitch::unixctl
