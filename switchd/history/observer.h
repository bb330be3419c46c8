// SPDX-License-Identifier: Apache-2.0
// From a commit to events: which settings changed, and which states.
//
// Only the rows that a commit touches are looked at, so that the cost does not grow with the switch. What a
// row belongs to (the bridge of a session, the port of an interface) is remembered, because the commit that
// removes a row has removed the reference to it as well.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "switchd/db/database.h"
#include "switchd/history/event.h"

namespace vswitch::history {

/// Changes of settings that one commit may report one by one. What is beyond is counted.
inline constexpr std::size_t kMaxChangesOfCommit = 500;
/// Bytes of a value in an event; longer ones end with "...".
inline constexpr std::size_t kMaxValueBytes = 200;
/// Fields of one change; the others are counted.
inline constexpr std::size_t kMaxFields = 40;

class Observer {
 public:
  /// The rows at present are where it starts from.
  explicit Observer(const ovsdb::Database& database);

  /// What the commit changed, which is in the database already: settings first, then states, then losses.
  std::vector<Event> observe(const ovsdb::Changes& changes);

 private:
  using Uuid = ovsdb::Uuid;
  class Settings;

  /// What the row refers to and `before` did not is a part of it from now on.
  void learn(const ovsdb::Row& row, const ovsdb::Row* before);
  void forget(const ovsdb::Changes& changes);
  const std::string& bridge_of(const std::unordered_map<Uuid, Uuid>& places, const Uuid& row) const;
  void observe_mirrors(const ovsdb::Changes& changes, std::vector<Event>& events);
  void observe_interfaces(const ovsdb::Changes& changes, std::vector<Event>& events);
  void observe_ports(const ovsdb::Changes& changes, std::vector<Event>& events);

  const ovsdb::Database& database_;
  std::unordered_map<Uuid, std::string> bridges_;
  std::unordered_map<Uuid, Uuid> mirrors_, ports_;         ///< their bridges
  std::unordered_map<Uuid, Uuid> interfaces_, endpoints_;  ///< their ports, their sessions
  /// Rows that were there before this daemon, and whose state is not known yet. That they work again is no news.
  std::unordered_set<Uuid> from_before_;
};

}  // namespace vswitch::history
