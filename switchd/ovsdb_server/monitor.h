// SPDX-License-Identifier: Apache-2.0
// The view of one client: pure functions from rows and Changes to the updates of the protocol.
//
// Three notations of the same thing (RFC 7047 section 4.1.6; ovsdb-server(7) section 4.1):
//     monitor             update   whole rows, old and new
//     monitor_cond        update2  initial, insert, modify (differences), delete; rows that meet a condition
//     monitor_cond_since  update3  as update2, with a transaction id
// The columns and conditions that a client requests are its view. Many clients have the same view, so the
// server keeps one View for all of them and computes its update once per commit.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "schemas/ovsdb/condition.h"
#include "switchd/db/database.h"

namespace vswitch::ovsdb {

enum class MonitorVersion : std::uint8_t { update, update2, update3 };

/// Kinds of change a column is reported for (RFC 7047 <monitor-select>).
struct MonitorSelect {
  bool initial = true;
  bool insert = true;
  bool remove = true;
  bool modify = true;
};

struct MonitoredColumn {
  std::size_t column;
  MonitorSelect select;
};

struct MonitoredTable {
  const TableSchema* schema = nullptr;
  std::vector<MonitoredColumn> columns;  ///< ascending
  MonitorSelect select;                  ///< of any of the requests
  Condition condition;                   ///< clauses are ORed
};

class View {
 public:
  /// <monitor-requests> of the method. Throws Error.
  View(MonitorVersion version, const DatabaseSchema& schema, const nlohmann::json& requests);

  MonitorVersion version() const { return version_; }
  /// <table-updates> of all existing rows; an empty object if there are none. Throws Error if
  /// they take too much memory.
  nlohmann::json initial(const Database& database) const;
  /// <table-updates> of a commit; null if nothing in view changed.
  nlohmann::json update(const Changes& changes) const;
  /// Takes the conditions of `monitor_cond_change`; tables that are not named keep theirs. Throws Error.
  View with_conditions(const nlohmann::json& requests) const;
  /// <table-updates> that lead from this view of the database to the other one; null if both show the same
  /// rows.
  nlohmann::json transition(const View& other, const Database& database) const;

 private:
  void parse_table(const std::string& name, const nlohmann::json& requests, const DatabaseSchema& schema);
  void parse_request(const nlohmann::json& request, MonitoredTable& table);
  nlohmann::json row_update(const MonitoredTable& table, const RowChange& change) const;
  nlohmann::json row_update_v1(const MonitoredTable& table, const RowChange& change) const;
  nlohmann::json row_update_v2(const MonitoredTable& table, const RowChange& change, bool was, bool is) const;

  MonitorVersion version_;
  std::vector<MonitoredTable> tables_;
};

/// The notification that carries updates to a client, as text: {"id": null, "method", "params"}. `updates` is
/// already text, so it is made once for all clients that share a view.
std::string update_notification(MonitorVersion version, const nlohmann::json& monitor_id,
                                const std::string& updates);

}  // namespace vswitch::ovsdb
