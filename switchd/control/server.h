// SPDX-License-Identifier: Apache-2.0
// A set of endpoints and the sessions that came in through them, all served by one dispatcher.
#pragma once

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "switchd/control/connection.h"
#include "switchd/control/listener.h"

namespace vswitch {

struct ServerOptions {
  std::string directory;  ///< relative unix paths are below it
  EndpointOptions endpoint;
  OutputGate* gate = nullptr;  ///< of all sessions
  ConnectionLimits limits;
  std::size_t sessions = 4096;  ///< further clients are turned away with a line in the log
};

/// What Manager.status and `system.info` report of one remote.
struct RemoteStatus {
  std::string remote;
  bool is_connected = false;  ///< has a session
  std::size_t sessions = 0;
  std::uint16_t bound_port = 0;  ///< of a TCP listener
  std::string state;             ///< ACTIVE, CONNECTING or BACKOFF
  std::string last_error;        ///< empty unless connecting fails
};

class Server {
 public:
  /// io and dispatcher must outlive the server and the sessions.
  Server(boost::asio::io_context& io, Dispatcher& dispatcher, ServerOptions options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Opens a remote in the notation of parse_remote(); one that is open already stays as it is. Throws
  /// std::invalid_argument or std::runtime_error with a sentence.
  void open(const std::string& remote);
  /// Ends the remote and its sessions, these after their queued messages. False when it is not open.
  bool close(const std::string& remote);
  /// Ends all sessions, after their queued messages; clients may come again.
  void disconnect_clients();
  /// Ends all sessions at once: what was queued for them is not sent.
  void drop_clients();
  /// Closes everything, as close() does. No new client gets in.
  void stop();

  bool is_open(const std::string& remote) const { return endpoints_.contains(remote); }
  std::vector<RemoteStatus> status() const;
  std::size_t sessions() const { return sessions_.size(); }
  std::uint64_t admitted() const { return admitted_; }  ///< sessions since the start
  std::size_t backlog() const;                          ///< bytes that wait for clients to read them

 private:
  struct Client {
    std::string remote;
    std::shared_ptr<Connection> connection;
  };
  std::shared_ptr<Session> admit(const std::string& remote, Arrival arrival);

  boost::asio::io_context& io_;
  Dispatcher& dispatcher_;
  ServerOptions options_;
  std::map<std::string, std::unique_ptr<Endpoint>> endpoints_;
  std::map<std::uint64_t, Client> sessions_;
  std::uint64_t admitted_ = 0;
};

}  // namespace vswitch
