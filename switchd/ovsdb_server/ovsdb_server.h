// SPDX-License-Identifier: Apache-2.0
// The OVSDB dialect of the control socket: the methods of RFC 7047 and of ovsdb-server(7) on our database.
//
// A commit, whoever made it, reaches the clients through Database::on_commit(): each distinct view computes
// its update once, and every client with that view gets it. The reply to the client that made the commit is
// sent afterwards, as client libraries expect. Transactions that wait (operation `wait`) are retried after
// the commit, from the event loop, so that their own notifications precede their replies as well; a few per
// turn, because a client may have thousands of them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "switchd/control/dispatcher.h"
#include "switchd/db/database.h"
#include "switchd/ovsdb_server/locks.h"
#include "switchd/ovsdb_server/monitor.h"

namespace vswitch::ovsdb {

class OvsdbServer {
 public:
  /// Adds its methods to the dispatcher. Dispatcher and database must outlive it; no request may arrive after
  /// its destruction.
  OvsdbServer(boost::asio::io_context& io, control::Dispatcher& dispatcher, Database& database);
  ~OvsdbServer();
  OvsdbServer(const OvsdbServer&) = delete;
  OvsdbServer& operator=(const OvsdbServer&) = delete;

  /// Called with who asked and the reason when a transaction that writes is refused. What a client expected
  /// and did not find (`wait`, `assert`) is no refusal.
  using Refused = std::function<void(const std::string& who, const std::string& reason)>;
  void on_refused(Refused refused) { refused_ = std::move(refused); }

  // For `ovs-appctl memory/show` and tests.
  std::size_t clients() const { return clients_.size(); }
  std::size_t monitors() const;
  std::size_t distinct_views() const { return views_.size(); }
  std::size_t waiting() const { return waits_.size(); }

 private:
  using Clock = std::chrono::steady_clock;

  struct Served {
    Database* database;
    bool read_only;
    Database::ListenerId listener;
  };
  /// One view of one database, shared by the monitors that requested it in the same words.
  struct SharedView {
    View view;
    Database* database;
    const Changes* seen = nullptr;  ///< the commit that `update` describes
    std::string update;             ///< as text; empty: nothing in view changed
  };
  struct Monitor {
    Json id;
    std::shared_ptr<SharedView> view;
    control::MemoryShare memory;
  };
  struct ClientState {
    control::Client* client;
    std::vector<Monitor> monitors;
    std::map<std::string, control::MemoryShare> locks;  ///< owned, or waited for
  };
  /// A transaction that waits.
  struct Wait {
    std::uint64_t serial;
    std::uint64_t client;
    Json id;
    Served* served;
    Json params;
    control::Reply reply;
    Clock::time_point since;
    boost::asio::steady_timer timer;
    bool due = false;  ///< to be tried again: there was a commit
  };
  using Waits = std::list<Wait>;

  void add_methods(control::Dispatcher& dispatcher);
  void serve(Database& database, bool read_only);
  ClientState& client_of(control::Client& client);
  void forget(std::uint64_t client);
  /// The database named by params[0]; throws Error in Open vSwitch's words.
  Served& served_of(const jsonrpc::Request& request);

  void transact(control::Client& client, const jsonrpc::Request& request, const control::Reply& reply);
  TransactResult attempt(control::Client& client, const Served& served, const Json& params,
                         Clock::time_point since);
  void look_for_refusal(control::Client& client, const Json& operations, const TransactResult& result) const;
  void arm(Waits::iterator wait, std::int64_t after_ms);
  void expire(std::uint64_t serial);
  void retry(Waits::iterator wait);
  void retry_due();
  void schedule_retry();
  void post_retry();
  void cancel(control::Client& client, const jsonrpc::Request& request);

  Json monitor(control::Client& client, const jsonrpc::Request& request, MonitorVersion version);
  Json monitor_change(control::Client& client, const jsonrpc::Request& request);
  Json monitor_cancel(control::Client& client, const jsonrpc::Request& request);
  std::shared_ptr<SharedView> shared_view(Database& database, MonitorVersion version, const Json& requests);
  void notify(Database& database, const Changes& changes);
  void notify(ClientState& state, Database& database, const Changes& changes);
  void drop_unused_views();

  Json lock(control::Client& client, const jsonrpc::Request& request, bool steal);
  Json unlock(control::Client& client, const jsonrpc::Request& request);
  void notify_lock(const std::string& method, std::uint64_t client, const std::string& name);

  boost::asio::io_context& io_;
  std::unique_ptr<Database> server_database_;
  std::map<std::string, Served> served_;
  std::map<std::uint64_t, ClientState> clients_;
  std::map<std::string, std::weak_ptr<SharedView>> views_;  ///< by database, version and requests
  Locks locks_;
  Refused refused_;
  Waits waits_;
  std::uint64_t next_wait_ = 1;
  bool retry_posted_ = false;
  std::string server_id_;
  /// Callbacks of clients and of the event loop may arrive after destruction.
  std::shared_ptr<OvsdbServer*> alive_;
};

}  // namespace vswitch::ovsdb
