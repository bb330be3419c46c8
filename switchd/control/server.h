// SPDX-License-Identifier: Apache-2.0
// A set of remotes and the clients that came in through them, all served by one dispatcher.
#pragma once

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "switchd/base/limits.h"
#include "switchd/control/connection.h"
#include "switchd/control/listener.h"
#include "switchd/control/tls_identity.h"

namespace vswitch::control {

struct ServerOptions {
  std::string directory;  ///< relative unix paths are below it
  RemoteOptions endpoint;
  OutputGate* gate = nullptr;  ///< of all clients
  ConnectionLimits limits;
  std::shared_ptr<TlsIdentity> tls;        ///< for ssl: and pssl:; null: whoever comes there is turned away
  std::size_t clients = limits::kClients;  ///< further clients are turned away with a line in the log
  /// Of all clients, also those of other servers.
  std::shared_ptr<ClientMemory> memory = std::make_shared<ClientMemory>();
};

/// What the clients of a remote may do.
enum class Access : std::uint8_t { full, read_only };

/// What Manager.status and `system.info` report of one remote.
struct RemoteStatus {
  std::string remote;
  bool is_connected = false;  ///< has a client, with TLS one whose handshake is done
  std::size_t clients = 0;
  std::uint16_t bound_port = 0;  ///< of a TCP listener
  std::string state;             ///< ACTIVE, CONNECTING or BACKOFF
  std::string last_error;        ///< empty unless connecting fails, or something is wrong with our keys
  std::string warning;           ///< empty unless it is dangerous
};

class Server {
 public:
  /// io and dispatcher must outlive the server and the clients.
  Server(boost::asio::io_context& io, Dispatcher& dispatcher, ServerOptions options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Opens a remote in the notation of parse_remote(); does nothing if it is already open. Throws
  /// std::invalid_argument or std::runtime_error with a sentence.
  void open(const std::string& remote, Access access = Access::full);
  /// Closes the remote, and its clients after their queued messages. False if it is not open.
  bool close(const std::string& remote);
  /// Ends all clients, after their queued messages; they may connect again.
  void disconnect_clients();
  /// Ends all clients at once, without sending what was queued for them.
  void drop_clients();
  /// Closes everything, as close() does, and admits no new clients.
  void stop();

  /// nullptr if there is none.
  TlsIdentity* tls() const { return options_.tls.get(); }
  bool is_open(const std::string& remote) const { return remotes_.contains(remote); }
  std::vector<RemoteStatus> status() const;
  std::size_t clients() const { return clients_.size(); }
  std::uint64_t admitted() const { return admitted_; }  ///< clients since the start
  std::size_t backlog() const;  ///< bytes queued for clients that have not read them yet

 private:
  struct Admitted {
    std::string remote;
    std::shared_ptr<Connection> connection;
  };
  struct Opened {
    Remote remote;
    Access access;
    std::unique_ptr<OpenRemote> endpoint;
  };
  /// What an arrival needs to know of its remote.
  struct Door {
    std::string name;
    Remote::Kind kind;
    Access access;
  };
  std::shared_ptr<EchoThread> echo_thread();
  /// Control thread or echo thread.
  std::shared_ptr<Client> admit(const Door& door, Arrival arrival);
  std::unique_ptr<wire::TlsFilter> tls_for(const Door& door, const std::string& from) const;
  /// Control thread.
  void begin(const std::string& remote, const std::shared_ptr<Connection>& connection);

  boost::asio::io_context& io_;
  Dispatcher& dispatcher_;
  ServerOptions options_;
  std::map<std::string, Opened> remotes_;
  std::map<std::uint64_t, Admitted> clients_;
  /// Shared by all connections: those that have ended and still wait for their peer count, too, because each
  /// has a descriptor.
  const std::shared_ptr<void> sockets_ = std::make_shared<char>();
  const std::shared_ptr<void> handshakes_ = std::make_shared<char>();  ///< shared by those that are not done
  std::uint64_t admitted_ = 0;
  std::shared_ptr<EchoThread> echo_thread_;
  const std::shared_ptr<void> life_ = std::make_shared<char>();
};

}  // namespace vswitch::control
