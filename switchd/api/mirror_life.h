// SPDX-License-Identifier: Apache-2.0
// How a session begins and ends: who created it, and what ends it other than its removal.
//
// A session that has ended copies nothing; its row stays, with its account, until it is removed, enabled
// again or given another end. Whatever ended it, `expires_at` of its row says when, so it stays ended after a
// restart of the daemon.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "switchd/api/rows.h"
#include "switchd/control/client.h"
#include "switchd/model/mirror.h"

namespace vswitch::api {

/// The parameter `expires`, checked against the contract: what it does not name stays, unless the session has
/// ended; null is never.
void apply_expires(model::MirrorSettings& session, const Json& expires);
Json expires_json(const model::MirrorSettings& session);
/// The end that a document gives (at, packets, bytes). A time that has passed is when the session ended.
void set_end(model::MirrorSettings& session, const Json& expires);
/// `expires` for a session that has ended and is to be renewed: its quota is counted from zero again.
Json expires_of_new_life(const model::MirrorSettings& session);

/// The column `origin` of a session that this client creates now: owner (the name of the user at the other
/// end of a unix socket, or tcp:ADDRESS), created (ISO 8601), peer_uid, peer_pid.
std::map<std::string, std::string> origin_of(const control::Client& client);
/// null for a session of an OVSDB client.
Json origin_json(const Row& mirror);

/// Sessions that end with the connection of a client.
class BoundSessions : public std::enable_shared_from_this<BoundSessions> {
 public:
  explicit BoundSessions(Database& database) : database_(database) {}
  /// From now on the session ends with this client, if its row still says so at that time.
  void bind(control::Client& client, const ovsdb::Uuid& mirror);

 private:
  void end_those_of(std::uint64_t client);

  Database& database_;
  std::map<ovsdb::Uuid, std::uint64_t> client_of_;
};

}  // namespace vswitch::api
