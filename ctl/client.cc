// SPDX-License-Identifier: Apache-2.0
// A blocking client with a deadline per request.
#include "ctl/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string_view>
#include <variant>

#include "schemas/jsonrpc/stream_decoder.h"
#include "wire/remote.h"

namespace vswitch::ctl {
namespace {

using Clock = std::chrono::steady_clock;

std::string hint_for(int error) {
  if (error == EACCES || error == EPERM)
    return "run it as root, or join the group that owns the socket (vswitchd --group); db-ro.sock beside it "
           "lets "
           "everybody read";
  return "is vswitchd running? Name its socket with --socket PATH or --rundir DIR";
}

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

class SocketCaller : public Caller {
 public:
  /// tls: keys, or nullptr to speak in clear.
  SocketCaller(Socket socket, std::string path, std::chrono::milliseconds timeout,
               const std::shared_ptr<const wire::TlsContext>& tls)
      : socket_(std::move(socket)), path_(std::move(path)), timeout_(timeout) {
    if (!tls) return;
    deadline_ = Clock::now() + timeout_;
    with_tls([&] { tls_ = std::make_unique<wire::TlsFilter>(tls, wire::TlsFilter::Side::client); });
    send_ciphertext();
    while (!tls_->established()) receive();
  }
  ~SocketCaller() override {
    if (!tls_) return;
    tls_->end_output();
    const std::string_view rest = tls_->output();
    ::send(socket_.fd(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  Json call(const std::string& method, const Json& params) override {
    deadline_ = Clock::now() + timeout_;
    const Json id = ++last_id_;
    send(jsonrpc::to_text(jsonrpc::make_request(jsonrpc::Version::v2, id, method, params)));
    for (;;) {
      jsonrpc::Message message = next_message();
      if (const auto* request = std::get_if<jsonrpc::Request>(&message)) remember(*request);
      auto* response = std::get_if<jsonrpc::Response>(&message);
      if (response == nullptr) continue;
      // An error without an id answers a request that could not be read: it can only be ours.
      if (response->id != id && !(response->id.is_null() && !response->error.is_null())) continue;
      if (!response->error.is_null()) throw to_error(response->error);
      return std::move(response->result);
    }
  }

  void pass(int descriptor) override { passed_ = descriptor; }

  Json next_notification() override {
    deadline_ = Clock::time_point::max();
    while (notifications_.empty()) {
      jsonrpc::Message message = next_message();
      if (const auto* request = std::get_if<jsonrpc::Request>(&message)) remember(*request);
    }
    Json first = std::move(notifications_.front());
    notifications_.pop_front();
    return first;
  }

 private:
  void remember(const jsonrpc::Request& notification) {
    notifications_.push_back({{"method", notification.method}, {"params", notification.params}});
  }

  static jsonrpc::Error to_error(const Json& error) {
    if (!error.is_object()) return {jsonrpc::kInternalError, error.dump()};
    return {error.value("code", jsonrpc::kInternalError), error.value("message", error.dump()),
            error.value("data", Json())};
  }

  void send(std::string_view text) {
    if (!tls_) return send_bytes(text);
    with_tls([&] { tls_->write(text); });
    send_ciphertext();
  }

  void send_ciphertext() {
    send_bytes(tls_->output());
    tls_->sent(tls_->output().size());
  }

  template <typename Work>
  void with_tls(Work work) {
    try {
      work();
    } catch (const wire::TlsError& error) {
      throw NoDaemon(
          "no secure connection to " + path_ + ": " + error.what(),
          "its log says what it thinks of our certificate; --private-key, --certificate and --ca-cert name "
          "the files");
    }
  }

  void send_bytes(std::string_view text) {
    while (!text.empty()) {
      wait_for(POLLOUT);
      const ssize_t sent = send_some(text);
      if (sent > 0) passed_ = -1;  // it has gone with the first byte
      if (sent > 0) text.remove_prefix(static_cast<std::size_t>(sent));
      if (sent < 0 && errno != EAGAIN && errno != EINTR) lost(errno);
    }
  }

  ssize_t send_some(std::string_view text) {
    iovec bytes{const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    if (passed_ >= 0) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* part = CMSG_FIRSTHDR(&message);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(sizeof passed_);
      std::memcpy(CMSG_DATA(part), &passed_, sizeof passed_);
    }
    return ::sendmsg(socket_.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  jsonrpc::Message next_message() {
    for (;;) {
      try {
        if (auto value = decoder_.next()) return jsonrpc::parse_message(std::move(*value));
      } catch (const std::exception& error) {
        throw NoDaemon("the program that answers on " + path_ + " does not speak JSON-RPC: " + error.what(),
                       hint_for(0));
      }
      receive();
    }
  }

  void receive() {
    wait_for(POLLIN);
    std::array<char, 65536> bytes;
    const ssize_t got = ::recv(socket_.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got == 0) lost(0);
    if (got < 0 && errno != EAGAIN && errno != EINTR) lost(errno);
    if (got <= 0) return;
    if (tls_) return decrypt({bytes.data(), static_cast<std::size_t>(got)});
    decoder_.feed({bytes.data(), static_cast<std::size_t>(got)});
  }

  void decrypt(std::string_view ciphertext) {
    std::array<char, 16384> plaintext;
    with_tls([&] {
      tls_->feed(ciphertext);
      while (const std::size_t got = tls_->read(plaintext.data(), plaintext.size()))
        decoder_.feed({plaintext.data(), got});
    });
    send_ciphertext();
    if (tls_->input_ended() && decoder_.is_empty()) lost(0);
  }

  void wait_for(short events) {
    pollfd entry{socket_.fd(), events, 0};
    if (deadline_ == Clock::time_point::max()) {
      ::poll(&entry, 1, -1);
      return;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (left.count() > 0 && (::poll(&entry, 1, static_cast<int>(left.count()) + 1) > 0 || errno == EINTR))
      return;
    throw NoDaemon(
        "the daemon on " + path_ + " took the request but did not answer within " +
            std::to_string(timeout_.count() / 1000) + " s",
        "the change may still take effect: check with `vswitch-ctl show`, or allow more time with --timeout");
  }

  [[noreturn]] void lost(int error) {
    throw NoDaemon("the daemon on " + path_ + " closed the connection before it answered" +
                       (error == 0 ? std::string() : std::string(" (") + std::strerror(error) + ")"),
                   "its log says why");
  }

  Socket socket_;
  std::unique_ptr<wire::TlsFilter> tls_;
  std::string path_;
  std::chrono::milliseconds timeout_;
  Clock::time_point deadline_;
  jsonrpc::StreamDecoder decoder_;
  std::int64_t last_id_ = 0;
  int passed_ = -1;                 ///< pass()
  std::deque<Json> notifications_;  ///< that nobody has asked for yet
};

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

Address unix_address(const std::string& path) {
  Address address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage);
  un->sun_family = AF_UNIX;
  if (path.size() >= sizeof un->sun_path) {
    throw NoDaemon("the socket path " + path + " is longer than the " +
                       std::to_string(sizeof un->sun_path - 1) + " bytes that a unix socket path may have",
                   "use a shorter one, or a relative path");
  }
  std::memcpy(un->sun_path, path.data(), path.size());
  address.length = sizeof *un;
  return address;
}

Address ip_address(const wire::Remote& remote) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, remote.address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(remote.port);
    address.length = sizeof *v4;
  } else {
    address = {};
    ::inet_pton(AF_INET6, remote.address.c_str(), &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(remote.port);
    address.length = sizeof *v6;
  }
  return address;
}

/// A text that does not begin like a remote is the path of a socket.
wire::Remote remote_of(const std::string& daemon) {
  if (daemon.starts_with("unix:")) return {wire::Remote::Kind::unix_, daemon.substr(5), "", 0};
  if (!daemon.starts_with("tcp:") && !daemon.starts_with("ssl:"))
    return {wire::Remote::Kind::unix_, daemon, "", 0};
  try {
    return wire::parse_remote(daemon);
  } catch (const std::invalid_argument& error) {
    throw NoDaemon(error.what(), "name the daemon as unix:PATH, tcp:ADDRESS[:PORT] or ssl:ADDRESS[:PORT]");
  }
}

std::shared_ptr<const wire::TlsContext> load(const wire::TlsFiles& keys) {
  try {
    return wire::TlsContext::load(keys);
  } catch (const wire::TlsError& error) {
    throw NoDaemon(error.what(), "ssl: takes --private-key, --certificate and --ca-cert, as ovs-vsctl does");
  }
}

}  // namespace

std::unique_ptr<Caller> connect_to(const std::string& daemon, std::chrono::milliseconds timeout,
                                   const wire::TlsFiles& keys) {
  const wire::Remote remote = remote_of(daemon);
  const auto tls = remote.with_tls() ? load(keys) : nullptr;
  const Address address =
      remote.kind == wire::Remote::Kind::unix_ ? unix_address(remote.path) : ip_address(remote);
  Socket socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{timeout.count() / 1000, (timeout.count() % 1000) * 1000};
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // bounds connect() too
  if (address.storage.ss_family != AF_UNIX) {
    const int on = 1;  // or a request behind the end of a handshake waits 40 ms for an acknowledgement
    ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    const int error = errno;
    throw NoDaemon("no daemon answers on " + daemon + " (" + std::strerror(error) + ")", hint_for(error));
  }
  return std::make_unique<SocketCaller>(std::move(socket), daemon, timeout, tls);
}

}  // namespace vswitch::ctl
