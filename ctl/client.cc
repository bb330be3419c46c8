// SPDX-License-Identifier: Apache-2.0
// A blocking client with a deadline per request.
#include "ctl/client.h"

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

namespace vswitch::ctl {
namespace {

using Clock = std::chrono::steady_clock;

std::string hint_for(int error) {
  if (error == EACCES || error == EPERM)
    return "run it as root, or join the group that owns the socket (vswitchd --group)";
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
  SocketCaller(Socket socket, std::string path, std::chrono::milliseconds timeout)
      : socket_(std::move(socket)), path_(std::move(path)), timeout_(timeout) {}

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
    if (got > 0) decoder_.feed({bytes.data(), static_cast<std::size_t>(got)});
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
  std::string path_;
  std::chrono::milliseconds timeout_;
  Clock::time_point deadline_;
  jsonrpc::StreamDecoder decoder_;
  std::int64_t last_id_ = 0;
  int passed_ = -1;                 ///< pass()
  std::deque<Json> notifications_;  ///< that nobody has asked for yet
};

}  // namespace

std::unique_ptr<Caller> connect_to(const std::string& socket_path, std::chrono::milliseconds timeout) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) {
    throw NoDaemon("the socket path " + socket_path + " is longer than the " +
                       std::to_string(sizeof address.sun_path - 1) +
                       " bytes that a unix socket path may have",
                   "use a shorter one, or a relative path");
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{timeout.count() / 1000, (timeout.count() % 1000) * 1000};
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // bounds connect() too
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    throw NoDaemon("no daemon answers on " + socket_path + " (" + std::strerror(error) + ")",
                   hint_for(error));
  }
  return std::make_unique<SocketCaller>(std::move(socket), socket_path, timeout);
}

}  // namespace vswitch::ctl
