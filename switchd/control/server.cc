// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/server.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <system_error>
#include <utility>

#include "switchd/control/log.h"

namespace vswitch::control {
namespace {

std::string warning_about(const Remote& remote, Access access) {
  if (!remote.open_to_the_network()) return {};
  if (access == Access::read_only)
    return "whoever reaches this port of the network can read all settings: use pssl:, or an address of this "
           "host "
           "only";
  return "whoever reaches this port of the network can change the switch: use pssl:, or an address of this "
         "host "
         "only";
}

}  // namespace

Server::Server(boost::asio::io_context& io, Dispatcher& dispatcher, ServerOptions options)
    : io_(io), dispatcher_(dispatcher), options_(std::move(options)) {}

// Clients outlive the server in the event loop's handlers, and must not call back.
Server::~Server() {
  remotes_.clear();
  if (echo_thread_) echo_thread_->stop();
  for (auto& [id, client] : std::exchange(clients_, {})) client.connection->abandon();
}

void Server::open(const std::string& remote, Access access) {
  if (remotes_.contains(remote)) return;
  Remote parsed = parse_remote(remote);
  if (!parsed.path.empty() && parsed.path.front() != '/' && !options_.directory.empty()) {
    const char* kind = parsed.passive() ? "punix:" : "unix:";
    parsed = parse_remote(kind + options_.directory + "/" + parsed.path);  // checks the length again
  }
  const Admit admit_here = [this, door = Door{remote, parsed.kind, access}](Arrival arrival) {
    return admit(door, std::move(arrival));
  };
  std::unique_ptr<OpenRemote> endpoint =
      open_remote(io_, parsed, options_.endpoint, admit_here, echo_thread());
  const std::uint16_t port = endpoint->bound_port();
  remotes_[remote] = {parsed, access, std::move(endpoint)};
  log::info(kLog, "opened {}{}{}", remote, port ? " on port " + std::to_string(port) : "",
            access == Access::read_only ? ", read-only" : "");
  if (const std::string warning = warning_about(parsed, access); !warning.empty())
    log::warn(kLog, "{}: {}", remote, warning);
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

// Null, and a line in the log, if TLS is not possible: nothing is ever sent in clear instead.
std::unique_ptr<wire::TlsFilter> Server::tls_for(const Door& door, const std::string& from) const {
  const auto refuse = [&from](const std::string& why) {
    log::warn(kLog, "{}: client refused: {}", from, why);
    return nullptr;
  };
  const auto keys = options_.tls ? options_.tls->context() : nullptr;
  if (!keys) return refuse(options_.tls ? options_.tls->problem() : "this socket has no TLS");
  if (keys->learns_ca() && door.kind == Remote::Kind::pssl) return refuse(options_.tls->problem());
  if (static_cast<std::size_t>(handshakes_.use_count()) > limits::kHandshakes)
    return refuse("limit of " + std::to_string(limits::kHandshakes) +
                  " TLS handshakes at a time reached; connect later");
  const auto side =
      door.kind == Remote::Kind::pssl ? wire::TlsFilter::Side::server : wire::TlsFilter::Side::client;
  try {
    return std::make_unique<wire::TlsFilter>(keys, side);
  } catch (const wire::TlsError& error) {
    return refuse(error.what());
  }
}

std::shared_ptr<Client> Server::admit(const Door& door, Arrival arrival) {
  const std::string& remote = door.name;
  const bool with_tls = door.kind == Remote::Kind::pssl || door.kind == Remote::Kind::ssl;
  if (static_cast<std::size_t>(sockets_.use_count()) > options_.clients) {
    log::warn(
        kLog,
        "{}: client refused: limit of {} clients reached; end idle ones, or raise the limit of open files",
        arrival.from, options_.clients);
    return nullptr;
  }
  std::unique_ptr<wire::TlsFilter> filter;
  if (with_tls && !(filter = tls_for(door, arrival.from))) return nullptr;
  auto connection =
      std::make_shared<Connection>(std::move(arrival.socket), arrival.from, arrival.peer, dispatcher_,
                                   options_.limits, options_.gate, options_.memory);
  connection->count_in(sockets_);
  if (door.access == Access::read_only) connection->set_read_only();
  if (filter) {
    connection->encrypt(
        std::move(filter), handshakes_,
        [tls = options_.tls, from = arrival.from](const auto& pem) { tls->learn_ca(pem, from); });
  }
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
  for (const auto& [name, opened] : remotes_) {
    const auto clients = static_cast<std::size_t>(
        std::count_if(clients_.begin(), clients_.end(), [&wanted = name](const auto& entry) {
          return entry.second.remote == wanted && entry.second.connection->established();
        }));
    const OpenRemote& endpoint = *opened.endpoint;
    RemoteStatus status{.remote = name,
                        .is_connected = clients > 0,
                        .clients = clients,
                        .bound_port = endpoint.bound_port(),
                        .state = endpoint.state(),
                        .last_error = endpoint.last_error(),
                        .warning = warning_about(opened.remote, opened.access)};
    if (opened.remote.with_tls() && options_.tls) {
      if (const std::string problem = options_.tls->problem(); !problem.empty()) status.last_error = problem;
      const auto keys = options_.tls->context();
      if (clients == 0 && (!keys || (keys->learns_ca() && opened.remote.passive()))) status.state = "BACKOFF";
    }
    all.push_back(std::move(status));
  }
  return all;
}

std::size_t Server::backlog() const {
  std::size_t bytes = 0;
  for (const auto& [id, client] : clients_) bytes += client.connection->backlog();
  return bytes;
}

}  // namespace vswitch::control
