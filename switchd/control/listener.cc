// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/listener.h"

#include <arpa/inet.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <system_error>
#include <utility>

#include "switchd/control/log.h"

namespace vswitch::control {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::seconds;
using StreamSocket = asio::generic::stream_protocol::socket;

constexpr int kBacklog = 128;
constexpr int kAcceptsPerTurn = 16;
constexpr seconds kAcceptPause{1};  // if no file descriptor is left
constexpr seconds kShortestBackoff{
    1};  // between attempts to connect, doubled up to kMaxBackoff: ovsdb-server's values
constexpr seconds kMaxBackoff{8};

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// A handler may be queued, with success, when its object is destroyed: it checks here first.
class Life {
 public:
  std::weak_ptr<void> watch() const { return token_; }

 private:
  std::shared_ptr<void> token_ = std::make_shared<char>();
};

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

std::system_error failed(const std::string& what, int error = errno) {
  return {error, std::generic_category(), what};
}

Address unix_address(const std::string& path) {
  Address address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage);
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, path.c_str(), path.size() + 1);  // parse_remote() has checked the length
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

Address ip_address(const Remote& remote) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, remote.address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(remote.port);
    address.length = sizeof *v4;
  } else {
    address = {};
    inet_pton(AF_INET6, remote.address.c_str(), &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(remote.port);
    address.length = sizeof *v6;
  }
  return address;
}

Address address_of(const Remote& remote) {
  return remote.path.empty() ? ip_address(remote) : unix_address(remote.path);
}

std::string shown(Address address, bool with_tls) {
  const std::string prefix = with_tls ? "ssl:" : "tcp:";
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.family() == AF_INET) {
    const auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return prefix + text + ":" + std::to_string(ntohs(v4->sin_port));
  }
  const auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  return prefix + "[" + text + "]:" + std::to_string(ntohs(v6->sin6_port));
}

std::string shown(const Remote& remote) {
  return remote.path.empty() ? shown(ip_address(remote), remote.with_tls()) : "unix:" + remote.path;
}

Fd stream_socket(int family) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) throw failed("socket");
  return Fd(fd);
}

// A TCP peer that lost power says nothing: the kernel detects it within a minute.
void tune_tcp(int fd) {
  const auto set = [fd](int level, int option, int value) {
    ::setsockopt(fd, level, option, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

std::optional<PeerCredentials> credentials(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return std::nullopt;
  return PeerCredentials{peer.pid, peer.uid, peer.gid};
}

// ---- listening

class Listener : public OpenRemote {
 public:
  Listener(asio::io_context& io, Fd listening, int family, bool with_tls, std::string label, Admit admit,
           const std::shared_ptr<EchoThread>& echo_thread)
      : io_(io),
        family_(family),
        with_tls_(with_tls),
        label_(std::move(label)),
        admit_(std::move(admit)),
        fd_(listening.get()),
        socket_(io, listening.release()),
        pause_(io) {
    wait();
    if (echo_thread) watch_.emplace(echo_thread, fd_, [this] { return accept_some(); });
  }

 private:
  void wait() {
    socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                       [this, alive = life_.watch()](error_code error) {
                         if (!error && !alive.expired()) accept_and_wait();
                       });
  }

  // A failure, such as too little memory, must not end the listening.
  void accept_and_wait() {
    if (watch_) watch_->looked();
    try {
      accept_some();
    } catch (const std::exception& error) {
      return rest(error.what());
    }
    if (is_short_of_resources(errno)) return rest(std::strerror(errno));
    wait();
  }

  static bool is_short_of_resources(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
  }

  // Control thread or echo thread. False if there was nobody; errno says why there are no more.
  bool accept_some() {
    bool accepted = false;
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      Address peer;
      peer.length = sizeof peer.storage;
      const int fd = ::accept4(fd_, peer.get(), &peer.length, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) {
        take(fd, peer);
        accepted = true;
      } else if (errno != EINTR && errno != ECONNABORTED) {
        return accepted;
      }
    }
    errno = 0;
    return accepted;
  }

  void take(int fd, const Address& peer) {
    StreamSocket socket(io_, asio::generic::stream_protocol(family_, 0), fd);
    if (family_ == AF_UNIX) {
      admit_({std::move(socket), label_, credentials(fd)});
    } else {
      tune_tcp(fd);
      admit_({std::move(socket), shown(peer, with_tls_), std::nullopt});
    }
  }

  // The listening socket stays readable: without a pause this would spin.
  void rest(const std::string& why) {
    log::warn(kLog, "{}: cannot accept a client: {}", label_, why);
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this, alive = life_.watch()](error_code error) {
      if (!error && !alive.expired()) wait();
    });
  }

  asio::io_context& io_;
  const int family_;
  const bool with_tls_;
  const std::string label_;
  const Admit admit_;
  const int fd_;  // of socket_
  asio::posix::stream_descriptor socket_;
  asio::steady_timer pause_;
  Life life_;
  std::optional<EchoThread::Watch> watch_;  // the last: nobody stands in for half a listener
};

class TcpListener final : public Listener {
 public:
  TcpListener(asio::io_context& io, Fd listening, const Remote& remote, std::uint16_t port,
              const Admit& admit, const std::shared_ptr<EchoThread>& echo_thread)
      : Listener(io, std::move(listening), ip_address(remote).family(), remote.with_tls(), shown(remote),
                 admit, echo_thread),
        port_(port) {}
  std::uint16_t bound_port() const override { return port_; }

 private:
  std::uint16_t port_;
};

// Removes the socket file on destruction, if it is still the one it created.
class UnixListener final : public Listener {
 public:
  UnixListener(asio::io_context& io, Fd listening, const std::string& path, const Admit& admit,
               const std::shared_ptr<EchoThread>& echo_thread)
      : Listener(io, std::move(listening), AF_UNIX, false, path.substr(path.rfind('/') + 1), admit,
                 echo_thread),
        path_(path) {
    if (::stat(path_.c_str(), &made_) != 0) throw failed(path_);
  }
  ~UnixListener() override {
    struct stat now {};
    if (::stat(path_.c_str(), &now) == 0 && now.st_dev == made_.st_dev && now.st_ino == made_.st_ino) {
      ::unlink(path_.c_str());
    }
  }

 private:
  std::string path_;
  struct stat made_ {};
};

bool somebody_serves(const std::string& path) {
  const Fd probe = stream_socket(AF_UNIX);
  Address address = unix_address(path);
  return ::connect(probe.get(), address.get(), address.length) == 0 ||
         errno == EAGAIN;  // EAGAIN: its backlog is full
}

// Frees the path, or throws the reason why it cannot be used.
void remove_stale_socket(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return;
  if (!S_ISSOCK(found.st_mode)) throw std::runtime_error(path + " exists and is not a socket");
  if (somebody_serves(path)) throw std::runtime_error(path + " is served by another process");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw failed("cannot remove the stale socket " + path);
  log::info(kLog, "removed the stale socket {}", path);
}

// No client can connect before group and mode are set: the socket is created with mode 0600 and does not
// listen yet.
Fd listen_unix(const std::string& path, const RemoteOptions& options) {
  remove_stale_socket(path);
  Fd fd = stream_socket(AF_UNIX);
  Address address = unix_address(path);
  const mode_t before = ::umask(0177);
  const int bound = ::bind(fd.get(), address.get(), address.length);
  const int error = errno;
  ::umask(before);
  if (bound != 0) throw failed("cannot make the socket " + path, error);
  const gid_t group = options.group.value_or(static_cast<gid_t>(-1));
  if (::chown(path.c_str(), static_cast<uid_t>(-1), group) != 0 || ::chmod(path.c_str(), options.mode) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    const auto why = failed("cannot open the socket " + path);
    ::unlink(path.c_str());
    throw why;
  }
  return fd;
}

Fd listen_tcp(const Remote& remote) {
  Address address = ip_address(remote);
  Fd fd = stream_socket(address.family());
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), address.get(), address.length) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    throw failed("cannot listen on " + shown(remote));
  }
  return fd;
}

std::uint16_t port_of(int fd) {
  Address bound;
  bound.length = sizeof bound.storage;
  ::getsockname(fd, bound.get(), &bound.length);
  const bool v4 = bound.family() == AF_INET;
  return ntohs(v4 ? reinterpret_cast<sockaddr_in*>(&bound.storage)->sin_port
                  : reinterpret_cast<sockaddr_in6*>(&bound.storage)->sin6_port);
}

// ---- connecting

// CONNECTING -> ACTIVE while the client lives -> BACKOFF -> CONNECTING ... One client at a time.
class Connector final : public OpenRemote {
 public:
  Connector(asio::io_context& io, Remote remote, Admit admit)
      : remote_(std::move(remote)), admit_(std::move(admit)), socket_(io), timer_(io) {
    connect();
  }
  std::string state() const override {
    const std::shared_ptr<Client> client = client_.lock();
    return client && !client->established() ? "CONNECTING" : state_;
  }
  std::string last_error() const override {
    const std::shared_ptr<Client> client = client_.lock();
    return client && client->is_open() && client->established() ? "" : last_error_;
  }

 private:
  void connect() {
    state_ = "CONNECTING";
    Address address = address_of(remote_);
    const asio::generic::stream_protocol::endpoint peer(address.get(), address.length,
                                                        remote_.path.empty() ? IPPROTO_TCP : 0);
    socket_ = StreamSocket(socket_.get_executor());
    socket_.async_connect(peer, [this, alive = life_.watch()](error_code error) {
      if (alive.expired()) return;
      if (error) return failed_to_connect(error.message());
      try {
        connected();
      } catch (const std::exception& failure) {
        failed_to_connect(failure.what());
      }
    });
  }

  void failed_to_connect(const std::string& why) {
    if (why != last_error_) log::info(kLog, "{}: {}; trying again", shown(remote_), why);
    last_error_ = why;
    try_again_in(backoff_);
    backoff_ = std::min(2 * backoff_, kMaxBackoff);
  }

  void connected() {
    state_ = "ACTIVE";
    std::optional<PeerCredentials> peer;
    if (remote_.path.empty()) {
      tune_tcp(socket_.native_handle());
    } else {
      peer = credentials(socket_.native_handle());
    }
    const std::shared_ptr<Client> client = admit_({std::move(socket_), shown(remote_), peer});
    if (!client) return try_again_in(kMaxBackoff);
    client_ = client;
    if (!remote_.with_tls()) {
      last_error_.clear();
      backoff_ = kShortestBackoff;
    }
    client->on_close([this, alive = life_.watch()] {
      if (!alive.expired()) ended();
    });
  }

  // A peer that TLS does not get along with is as good as one that does not answer.
  void ended() {
    const std::shared_ptr<Client> client = client_.lock();
    client_.reset();
    if (client && (!client->established() || !client->tls_failure().empty())) {
      const std::string why = client->tls_failure();
      last_error_ = why.empty() ? "the peer ended the connection during the TLS handshake" : why;
      try_again_in(backoff_);
      backoff_ = std::min(2 * backoff_, kMaxBackoff);
      return;
    }
    last_error_.clear();
    backoff_ = kShortestBackoff;
    try_again_in(kShortestBackoff);
  }

  void try_again_in(seconds pause) {
    state_ = "BACKOFF";
    timer_.expires_after(pause);
    timer_.async_wait([this, alive = life_.watch()](error_code error) {
      if (!error && !alive.expired()) connect();
    });
  }

  Remote remote_;
  Admit admit_;
  StreamSocket socket_;
  asio::steady_timer timer_;
  seconds backoff_ = kShortestBackoff;
  std::weak_ptr<Client> client_;
  std::string state_;
  std::string last_error_;
  Life life_;
};

}  // namespace

std::unique_ptr<OpenRemote> open_remote(asio::io_context& io, const Remote& remote,
                                        const RemoteOptions& options, const Admit& admit,
                                        const std::shared_ptr<EchoThread>& echo_thread) {
  switch (remote.kind) {
    case Remote::Kind::punix:
      return std::make_unique<UnixListener>(io, listen_unix(remote.path, options), remote.path, admit,
                                            echo_thread);
    case Remote::Kind::ptcp:
    case Remote::Kind::pssl: {
      Fd fd = listen_tcp(remote);
      const std::uint16_t port = port_of(fd.get());
      return std::make_unique<TcpListener>(io, std::move(fd), remote, port, admit, echo_thread);
    }
    default:
      return std::make_unique<Connector>(io, remote, admit);
  }
}

}  // namespace vswitch::control
