// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/managers.h"

#include <boost/asio/post.hpp>

#include <chrono>

#include "switchd/base/log.h"
#include "switchd/control/server.h"
#include "switchd/control/tls_identity.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"

namespace vswitch::control {
namespace {

using ovsdb::Datum;

const log::Module kManagersLog{"managers"};

constexpr std::chrono::seconds kTick{1};

/// Other keys are said to have no effect.
constexpr const char* kReadOnlyKey = "read_only";

bool is_read_only(const ovsdb::Row& manager) {
  const std::string* value = manager.value("other_config", kReadOnlyKey);
  return value != nullptr && *value == "true";
}

/// The settings of a row that we know nothing to do with.
bool has_no_effect(const ovsdb::Row& manager, const std::string& column) {
  if (column != "other_config") return !manager[column].empty();
  const auto settings = manager.map(column);
  return settings.size() > settings.count(kReadOnlyKey);
}

}  // namespace

Managers::Managers(boost::asio::io_context& io, ovsdb::Database& database, Server& server)
    : database_(database), server_(server), timer_(io) {
  // Posted, so that a client that removes its own remote gets the answer to that first.
  listener_ = database_.on_commit([this, &io](const ovsdb::Changes& changes) {
    bool touched = !changes.of("SSL").empty();
    for (const ovsdb::RowChange& row : changes.of("Manager"))
      touched = touched || row.touches("target") || row.touches("other_config");
    if (!touched) return;
    boost::asio::post(io, [this, alive = std::weak_ptr<void>(life_)] {
      if (!alive.expired()) reconcile();
    });
  });
  reconcile();
  tick();
}

Managers::~Managers() {
  database_.remove_listener(listener_);
}

wire::TlsFiles Managers::keys_of(const ovsdb::Database& database) {
  wire::TlsFiles files;
  for (const ovsdb::Row& row : database.table("SSL"))
    files = {.private_key = row.str("private_key"),
             .certificate = row.str("certificate"),
             .ca_cert = row.str("ca_cert"),
             .bootstrap_ca_cert = row.boolean("bootstrap_ca_cert").value_or(false)};
  return files;
}

void Managers::reconcile() {
  if (server_.tls() != nullptr) server_.tls()->set_table(keys_of(database_));
  std::map<std::string, bool> wanted;  // read-only?
  for (const ovsdb::Row& row : database_.table("Manager")) wanted[row.str("target")] = is_read_only(row);
  for (auto it = opened_.begin(); it != opened_.end();) {
    const auto gone = it++;
    const auto still = wanted.find(gone->first);
    if (still != wanted.end() && (still->second == gone->second.read_only || !gone->second.error.empty()))
      continue;
    if (gone->second.error.empty()) server_.close(gone->first);
    opened_.erase(gone);
  }
  for (const auto& [target, read_only] : wanted) {
    const auto known = opened_.find(target);
    const bool elsewhere =
        known == opened_.end() && server_.is_open(target);  // from the command line: not ours to close
    if (!elsewhere && (known == opened_.end() || !known->second.error.empty())) open(target, read_only);
  }
  write_status();
}

void Managers::open(const std::string& target, bool read_only) {
  Open& opened = opened_[target];
  opened.read_only = read_only;
  try {
    server_.open(target, read_only ? Access::read_only : Access::full);
    opened.error.clear();
  } catch (const std::exception& failure) {
    if (opened.error != failure.what()) log::warn(kManagersLog, "{}", failure.what());
    opened.error = failure.what();
  }
}

std::map<std::string, std::string> Managers::status_of(const std::string& target, bool& connected) const {
  const auto failed = opened_.find(target);
  if (failed != opened_.end() && !failed->second.error.empty()) {
    return {{"state", "BACKOFF"}, {"last_error", failed->second.error}};
  }
  std::map<std::string, std::string> status;
  for (const RemoteStatus& remote : server_.status()) {
    if (remote.remote != target) continue;
    connected = remote.is_connected;
    status["state"] = remote.state;
    if (!remote.last_error.empty()) status["last_error"] = remote.last_error;
    if (!remote.warning.empty()) status["warning"] = remote.warning;
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
      if (!has_no_effect(row, column)) continue;
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
