// SPDX-License-Identifier: Apache-2.0
// ovsdb-server/*: the answers of ovsdb-server(1), for the embedded database server.
#include <algorithm>

#include "switchd/unixctl/commands.h"

namespace vswitch::unixctl {
namespace {

/// The objects that the commands of this file use.
struct OvsdbContext {
  ovsdb::Database& database;
  control::Server& control;  ///< the sockets of database clients
};

constexpr const char* kServerDatabase = "_Server";

void check_database(const OvsdbContext& context, const std::string& name) {
  if (name != context.database.schema().name && name != kServerDatabase)
    throw Refused("no database by that name");
}

std::string list_remotes(const OvsdbContext& context) {
  std::string text;
  for (const control::RemoteStatus& remote : context.control.status()) text += remote.remote + '\n';
  return text;
}

std::string add_remote(const OvsdbContext& context, Args args) {
  try {
    context.control.open(args[0]);
  } catch (const std::exception& error) {
    throw Refused(error.what());
  }
  return "";
}

std::string remove_remote(const OvsdbContext& context, Args args) {
  if (!context.control.close(args[0])) throw Refused("no such remote");
  return "";
}

std::string compact(const OvsdbContext& context, Args args) {
  if (!args.empty()) check_database(context, args[0]);
  try {
    context.database.compact();
  } catch (const std::exception& error) {
    throw Refused(error.what());
  }
  return "";
}

std::string storage_status(const OvsdbContext& context, Args args) {
  if (args[0] != context.database.schema().name && args[0] != kServerDatabase)
    throw Refused("Failed to find the database.");  // the message of ovsdb-server
  return context.database.trusts_disk() ? "status: ok"
                                        : "status: the disk failed, and so did writing a new file";
}

}  // namespace

void add_ovsdb_commands(Registry& registry, ovsdb::Database& database, control::Server& control) {
  const OvsdbContext context{database, control};
  registry.add("ovsdb-server/list-dbs", "", 0, 0,
               [context](Args) { return context.database.schema().name + '\n' + kServerDatabase + '\n'; });
  registry.add("ovsdb-server/list-remotes", "", 0, 0, [context](Args) { return list_remotes(context); });
  registry.add("ovsdb-server/add-remote", "REMOTE", 1, 1,
               [context](Args args) { return add_remote(context, args); });
  registry.add("ovsdb-server/remove-remote", "REMOTE", 1, 1,
               [context](Args args) { return remove_remote(context, args); });
  registry.add("ovsdb-server/compact", "[DB]", 0, 1, [context](Args args) { return compact(context, args); });
  registry.add("ovsdb-server/get-db-storage-status", "DB", 1, 1,
               [context](Args args) { return storage_status(context, args); });
  registry.add("ovsdb-server/reconnect", "", 0, 0, [context](Args) {
    context.control.disconnect_clients();
    return "";
  });
  registry.add("ovsdb-server/sync-status", "", 0, 0, [](Args) { return "state: active"; });
}

}  // namespace vswitch::unixctl
