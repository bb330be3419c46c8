// SPDX-License-Identifier: Apache-2.0
// How the files of this folder add their methods.
#pragma once

#include <functional>
#include <string>

#include "schemas/json.h"
#include "switchd/bridge/switch_view.h"
#include "switchd/control/dispatcher.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"
#include "switchd/history/history.h"

namespace vswitch::api {

/// Builds the result of a change once it is in the datapath.
using Outcome = std::function<Json()>;

class Methods {
 public:
  Methods(control::Dispatcher& to, ovsdb::Database& rows, bridge::AppliedView& of_switch,
          history::History& of_changes)
      : database(rows), applied(of_switch), history(of_changes), dispatcher_(to) {}

  // All are answered when the changes made so far are in the datapath, normally at once. Handlers get checked
  // params with defaults and throw jsonrpc::Error.

  /// A method that reads. Clients that may only read may call it.
  void read(const std::string& method, std::function<Json(const Json& params)> handler);
  /// A method that changes something other than rows.
  void act(const std::string& method, std::function<Json(const Json& params)> handler);
  /// The same for a handler that needs to know the client.
  void act(const std::string& method, std::function<Json(control::Client&, const Json& params)> handler);
  /// A method that changes rows. The history has who asked, and what was refused.
  void change(const std::string& method, std::function<Outcome(const Json& params)> handler);
  /// The same for a handler that needs to know the client.
  void change(const std::string& method,
              std::function<Outcome(control::Client&, const Json& params)> handler);
  /// A method that reads and may be answered later, or not at all once its session has ended.
  void later(const std::string& method,
             std::function<void(control::Client&, const Json& params, const control::Reply& reply)> handler);
  /// A method about the connection it came on, which changes nothing else.
  void session(const std::string& method, std::function<Json(control::Client&, const Json& params)> handler);

  ovsdb::Database& database;
  bridge::AppliedView& applied;
  history::History& history;

 private:
  void add(const std::string& method, std::function<Json(control::Client&, const Json& params)> handler);

  control::Dispatcher& dispatcher_;
};

void add_bridge_methods(Methods& methods);                                // bridge.cc
void add_port_methods(Methods& methods, bridge::CountersView& counters);  // port.cc
void add_mirror_methods(Methods& methods, bridge::CountersView& counters,
                        bridge::DatapathView& datapath);  // mirror.cc
void add_explain_methods(Methods& methods, bridge::ExplainView& frames,
                         bridge::DatapathView& datapath);      // explain.cc
void add_fdb_methods(Methods& methods, bridge::FdbView& fdb);  // fdb.cc
void add_system_methods(Methods& methods, bridge::CountersView& counters,
                        bridge::DatapathView& datapath);  // system.cc
void add_health_methods(Methods& methods, bridge::CountersView& counters,
                        bridge::DatapathView& datapath);  // health.cc
void add_metrics_methods(Methods& methods, bridge::CountersView& counters,
                         bridge::DatapathView& datapath);                        // metrics.cc
void add_maintenance_methods(Methods& methods, bridge::DatapathView& datapath);  // maintenance.cc
void add_subscriptions(Methods& methods);                                        // subscribe.cc
void add_event_methods(Methods& methods);                                        // events.cc

/// Answers with what `make` returns, or with the error that it throws: for replies that are given later.
void answer_with(const control::Reply& reply, const std::function<Json()>& make);

/// Commits, or throws the database's error as an API error. Nothing has changed then.
void commit(ovsdb::Transaction& transaction);

}  // namespace vswitch::api
