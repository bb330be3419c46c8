// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/server.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <system_error>
#include <utility>

#include "switchd/control/log.h"

namespace vswitch::control {
Server::Server(boost::asio::io_context& io, Dispatcher& dispatcher, ServerOptions options)
    : io_(io), dispatcher_(dispatcher), options_(std::move(options)) {}

// Clients outlive the server in the event loop's handlers, and must not call back.
Server::~Server() {
  remotes_.clear();
  if (echo_thread_) echo_thread_->stop();
  for (auto& [id, client] : std::exchange(clients_, {})) client.connection->abandon();
}

void Server::open(const std::string& remote) {
  if (remotes_.contains(remote)) return;
  Remote parsed = parse_remote(remote);
  if (!parsed.path.empty() && parsed.path.front() != '/' && !options_.directory.empty()) {
    const char* kind = parsed.passive() ? "punix:" : "unix:";
    parsed = parse_remote(kind + options_.directory + "/" + parsed.path);  // checks the length again
  }
  const Admit admit_here = [this, remote](Arrival arrival) { return admit(remote, std::move(arrival)); };
  remotes_[remote] = open_remote(io_, parsed, options_.endpoint, admit_here, echo_thread());
  const std::uint16_t port = remotes_[remote]->bound_port();
  log::info(kLog, "opened {}{}", remote, port ? " on port " + std::to_string(port) : "");
}

bool Server::close(const std::string& remote) {
  if (remotes_.erase(remote) == 0) return false;
  for (const auto& [id, client] : clients_) {
    if (client.remote == remote) client.connection->close("its remote was closed");
  }
  log::info(kLog, "closed {}", remote);
  return true;
}

void Server::disconnect_clients() {
  for (const auto& [id, client] : clients_) client.connection->close("disconnected by an operator");
}

void Server::drop_clients() {
  const auto clients = clients_;  // a copy: abandon() removes them from the map
  for (const auto& [id, client] : clients) client.connection->abandon();
}

void Server::stop() {
  remotes_.clear();
  for (const auto& [id, client] : clients_) client.connection->close("the daemon is stopping");
}

std::shared_ptr<Client> Server::admit(const std::string& remote, Arrival arrival) {
  if (static_cast<std::size_t>(sockets_.use_count()) > options_.clients) {
    log::warn(
        kLog,
        "{}: client refused: limit of {} clients reached; end idle ones, or raise the limit of open files",
        arrival.from, options_.clients);
    return nullptr;
  }
  auto connection =
      std::make_shared<Connection>(std::move(arrival.socket), arrival.from, arrival.peer, dispatcher_,
                                   options_.limits, options_.gate, options_.memory);
  connection->count_in(sockets_);
  if (echo_thread_) connection->watch(echo_thread_);
  if (echo_thread_ && echo_thread_->is_this_thread()) {
    boost::asio::post(io_, [this, alive = std::weak_ptr<void>(life_), remote, connection] {
      if (alive.expired()) return connection->abandon();
      begin(remote, connection);
      if (!remotes_.contains(remote)) connection->close("its remote was closed");
    });
  } else {
    begin(remote, connection);
  }
  return connection;
}

void Server::begin(const std::string& remote, const std::shared_ptr<Connection>& connection) {
  clients_[connection->id()] = {remote, connection};
  connection->on_close([this, id = connection->id()] { clients_.erase(id); });
  ++admitted_;
  connection->start();
}

// If there can be no thread, `echo` is answered like anything else.
std::shared_ptr<EchoThread> Server::echo_thread() {
  if (echo_thread_ || !dispatcher_.echoes()) return echo_thread_;
  try {
    echo_thread_ = std::make_shared<EchoThread>();
  } catch (const std::system_error& error) {
    log::warn(kLog, "no thread to answer echo while the daemon is busy: {}", error.what());
  }
  return echo_thread_;
}

std::vector<RemoteStatus> Server::status() const {
  std::vector<RemoteStatus> all;
  for (const auto& [remote, endpoint] : remotes_) {
    const auto clients = static_cast<std::size_t>(
        std::count_if(clients_.begin(), clients_.end(),
                      [&wanted = remote](const auto& entry) { return entry.second.remote == wanted; }));
    all.push_back(
        {remote, clients > 0, clients, endpoint->bound_port(), endpoint->state(), endpoint->last_error()});
  }
  return all;
}

std::size_t Server::backlog() const {
  std::size_t bytes = 0;
  for (const auto& [id, client] : clients_) bytes += client.connection->backlog();
  return bytes;
}

}  // namespace vswitch::control
