// SPDX-License-Identifier: Apache-2.0
// One client connection as handlers see it. Everything here happens on the control thread, except that the
// echo thread may create a client (echo_thread.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

#include "datapath/base/unique_fd.h"
#include "schemas/json.h"
#include "switchd/control/client_memory.h"

namespace vswitch::control {

/// The peer of a unix socket (SO_PEERCRED), as of its connect().
struct PeerCredentials {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};

/// The name of a user of this host, or the number if there is none. Remembered: the first call for a user may
/// ask a directory service.
std::string user_name(uid_t uid);

/// Handlers get a Client& that is valid during the call. To use it later, keep weak_from_this() and drop the
/// client in on_close(); a Reply may safely outlive the client.
class Client : public std::enable_shared_from_this<Client> {
 public:
  /// endpoint: where the client connected, such as "db.sock"; its name is made from it. memory: of all
  /// clients.
  Client(const std::string& endpoint, std::optional<PeerCredentials> peer,
         std::shared_ptr<ClientMemory> memory = std::make_shared<ClientMemory>());
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  virtual ~Client() = default;

  /// Unique for the life of the process.
  std::uint64_t id() const { return id_; }
  /// For log lines, such as "db.sock#7 (pid 4711)" or "tcp:127.0.0.1:50112#8".
  const std::string& name() const { return name_; }
  /// Who it is, for accounts of what was changed: "root (pid 4711, vswitch-ctl)" at the other end of a unix
  /// socket, "tcp:192.0.2.7:50112", or "anna (ssl:192.0.2.7:50112)" with the name in its certificate. The name of the program is best effort: it is that of the process
  /// that has the pid when this is first called. Control thread.
  const std::string& who();
  /// nullopt for TCP.
  const std::optional<PeerCredentials>& peer() const { return peer_; }

  bool is_open() const { return open_; }
  /// Whether it may speak yet: not before a TLS handshake is done.
  virtual bool established() const { return true; }
  /// What went wrong with TLS, as a sentence; empty if nothing did.
  virtual std::string tls_failure() const { return {}; }

  /// Whether everything that changes something is refused to it.
  bool read_only() const { return read_only_; }
  /// Before its first request.
  void set_read_only() { read_only_ = true; }

  /// Queues a message; never blocks, never fails. If the client has not read earlier messages and its backlog
  /// is at the limit, the client is disconnected instead. Does nothing after the client has ended.
  void send(const Json& message);
  /// The same with a message that is already text.
  void send_text(std::string message);

  /// Ends the client once the queued messages are sent, or at once if the peer has gone. The reason is
  /// logged.
  void close(const std::string& reason);

  /// Counts what is kept for this client until the share is destroyed, such as a monitor. Throws over_limit().
  MemoryShare keep(std::size_t bytes) { return {memory_, bytes}; }

  /// Called once, in order of registration, when the client ends; at once if it has ended already.
  void on_close(std::function<void()> callback);

  /// The descriptor that came with the client's last request (SCM_RIGHTS), or none. It is taken once; a client has one
  /// at most: another that comes before it is taken is closed.
  UniqueFd take_descriptor() { return std::exchange(descriptor_, UniqueFd()); }

  /// State of one module for this client, created with its default constructor on first use and destroyed
  /// with the client.
  template <typename T>
  T& state() {
    std::shared_ptr<void>& slot = states_[std::type_index(typeid(T))];
    if (!slot) slot = std::make_shared<T>();
    return *static_cast<T*>(slot.get());
  }

 protected:
  /// What who() returns instead of an address.
  void introduce(std::string who) { who_ = std::move(who); }
  /// The transport's part: write() takes one message as text, shut() ends the connection.
  virtual void write(std::string text) = 0;
  virtual void shut(const std::string& reason) = 0;
  /// The transport calls it when the connection is over: runs the on_close() callbacks. Later calls do
  /// nothing.
  void ended();
  const std::shared_ptr<MemoryAccount>& memory() const { return memory_; }
  /// For the transport: it has come.
  void receive_descriptor(UniqueFd descriptor) {
    if (!descriptor_) descriptor_ = std::move(descriptor);
  }

 private:
  std::uint64_t id_;
  std::string name_;
  std::string who_;  ///< made by who()
  std::optional<PeerCredentials> peer_;
  std::shared_ptr<MemoryAccount> memory_;
  UniqueFd descriptor_;
  bool open_ = true;
  bool read_only_ = false;
  std::vector<std::function<void()>> on_close_;
  std::map<std::type_index, std::shared_ptr<void>> states_;
};

}  // namespace vswitch::control
