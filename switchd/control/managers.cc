// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/managers.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <set>

#include "switchd/base/log.h"
#include "switchd/control/server.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"

namespace vswitch::control {
namespace {

using ovsdb::Datum;

const log::Module kManagersLog{"managers"};

constexpr std::chrono::seconds kTick{1};

void warn_about_tls() {
  log::warn(kManagersLog,
            "row in table SSL (set-ssl) has no effect: TLS is not supported yet, and ssl: and pssl: remotes "
            "are refused; `ovs-vsctl del-ssl` removes it");
}

/// Somebody who configures keys believes that they protect something.
bool configures_tls(const ovsdb::Changes& changes) {
  const auto& rows = changes.of("SSL");
  return std::any_of(rows.begin(), rows.end(), [](const ovsdb::RowChange& row) { return !row.deleted(); });
}

}  // namespace

Managers::Managers(boost::asio::io_context& io, ovsdb::Database& database, Server& server)
    : database_(database), server_(server), timer_(io) {
  // Posted, so that a client that removes its own remote gets the answer to that first.
  listener_ = database_.on_commit([this, &io](const ovsdb::Changes& changes) {
    if (configures_tls(changes)) warn_about_tls();
    bool touched = false;
    for (const ovsdb::RowChange& row : changes.of("Manager")) touched = touched || row.touches("target");
    if (!touched) return;
    boost::asio::post(io, [this, alive = std::weak_ptr<void>(life_)] {
      if (!alive.expired()) reconcile();
    });
  });
  if (database_.table("SSL").size() > 0) warn_about_tls();
  reconcile();
  tick();
}

Managers::~Managers() {
  database_.remove_listener(listener_);
}

void Managers::reconcile() {
  std::set<std::string> wanted;
  for (const ovsdb::Row& row : database_.table("Manager")) wanted.insert(row.str("target"));
  for (auto it = errors_.begin(); it != errors_.end();) {
    const auto gone = it++;
    if (wanted.contains(gone->first)) continue;
    if (gone->second.empty()) server_.close(gone->first);
    errors_.erase(gone);
  }
  for (const std::string& target : wanted) {
    const auto known = errors_.find(target);
    const bool elsewhere =
        known == errors_.end() && server_.is_open(target);  // from the command line: not ours to close
    if (!elsewhere && (known == errors_.end() || !known->second.empty())) open(target);
  }
  write_status();
}

void Managers::open(const std::string& target) {
  std::string& error = errors_[target];
  try {
    server_.open(target);
    error.clear();
  } catch (const std::exception& failure) {
    if (error != failure.what()) log::warn(kManagersLog, "{}", failure.what());
    error = failure.what();
  }
}

std::map<std::string, std::string> Managers::status_of(const std::string& target, bool& connected) const {
  const auto failed = errors_.find(target);
  if (failed != errors_.end() && !failed->second.empty()) {
    return {{"state", "BACKOFF"}, {"last_error", failed->second}};
  }
  std::map<std::string, std::string> status;
  for (const RemoteStatus& remote : server_.status()) {
    if (remote.remote != target) continue;
    connected = remote.is_connected;
    status["state"] = remote.state;
    if (!remote.last_error.empty()) status["last_error"] = remote.last_error;
    if (remote.bound_port) status["bound_port"] = std::to_string(remote.bound_port);
    if (remote.clients > 1) status["n_connections"] = std::to_string(remote.clients);
  }
  return status;
}

// Only what differs is written, and these columns are ephemeral: nothing of this reaches the disk.
void Managers::write_status() {
  ovsdb::Transaction transaction(database_);
  bool changed = false;
  for (const ovsdb::Row& row : database_.table("Manager")) {
    bool connected = false;
    auto status = status_of(row.str("target"), connected);
    for (const char* column : {"connection_mode", "inactivity_probe", "max_backoff", "other_config"}) {
      if (row[column].empty()) continue;
      status[column] = "no effect here";
      if (row.value("status", column) == nullptr)
        log::warn(kManagersLog, "manager {}: {} has no effect here", row.str("target"), column);
    }
    if (row.map("status") == status && row.boolean("is_connected") == connected) continue;
    changed = true;
    transaction.set("Manager", row.uuid(), "status", Datum::map_of(status));
    transaction.set("Manager", row.uuid(), "is_connected", Datum::of(connected));
  }
  if (!changed) return;
  if (const auto error = transaction.commit()) log::err(kManagersLog, "status: {}", error->what());
}

void Managers::tick() {
  timer_.expires_after(kTick);
  timer_.async_wait([this, alive = std::weak_ptr<void>(life_)](const boost::system::error_code& error) {
    if (error || alive.expired()) return;
    reconcile();
    tick();
  });
}

}  // namespace vswitch::control
