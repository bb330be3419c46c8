// SPDX-License-Identifier: Apache-2.0
// Sources of clients: listening sockets, and remotes to which the daemon connects, with retries. Each turns a
// Remote into a stream of connected sockets.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "switchd/control/client.h"
#include "switchd/control/echo_thread.h"
#include "wire/remote.h"

namespace vswitch::control {

using wire::parse_remote;
using wire::Remote;

/// A connected client on its way to a Connection.
struct Arrival {
  boost::asio::generic::stream_protocol::socket socket;
  std::string from;  ///< "db.sock", "tcp:127.0.0.1:50112", "ssl:127.0.0.1:50112"
  std::optional<PeerCredentials> peer;
};

/// Takes an arrival and returns its client, or null if it was turned away. The echo thread calls it, too.
using Admit = std::function<std::shared_ptr<Client>(Arrival)>;

/// An open Remote. The destructor stops accepting clients and removes the socket file; existing clients stay
/// connected.
class OpenRemote {
 public:
  virtual ~OpenRemote() = default;
  virtual std::uint16_t bound_port() const { return 0; }  ///< of a TCP listener
  virtual std::string state() const { return "ACTIVE"; }  ///< in the words of Manager.status
  virtual std::string last_error() const { return {}; }   ///< why the last attempt to connect failed
};

struct RemoteOptions {
  mode_t mode = 0660;          ///< of a unix socket
  std::optional<gid_t> group;  ///< of a unix socket
};

/// Opens a remote. A stale socket file of a dead process is replaced; one that a process serves is not.
/// Throws std::system_error or std::runtime_error with a sentence if a listener cannot be opened; connecting
/// to a remote that does not answer is retried. echo_thread accepts clients when the control thread is late, unless
/// it is null.
std::unique_ptr<OpenRemote> open_remote(boost::asio::io_context& io, const Remote& remote,
                                        const RemoteOptions& options, const Admit& admit,
                                        const std::shared_ptr<EchoThread>& echo_thread);

}  // namespace vswitch::control
