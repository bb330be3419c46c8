// SPDX-License-Identifier: Apache-2.0
// A real server on a socket in a temporary directory, run by a thread of its own, and blocking clients of it.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <concepts>
#include <cstring>
#include <filesystem>
#include <future>
#include <optional>
#include <string>
#include <thread>

#include "schemas/jsonrpc/message.h"
#include "schemas/jsonrpc/stream_decoder.h"
#include "switchd/control/server.h"

namespace vswitch::testing {

constexpr int kPatienceMs = 20'000;  ///< only a failing test waits this long

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/vswitch-unit-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Blocking client; -1 as descriptor when the server refused.
class TestClient {
 public:
  explicit TestClient(int fd) : fd_(fd) {}
  explicit TestClient(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) end();
  }
  TestClient(TestClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), decoder_(std::move(other.decoder_)) {}
  ~TestClient() { end(); }

  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  void end() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void end_output() { ::shutdown(fd_, SHUT_WR); }

  /// False when the server has gone away before it took everything.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  template <std::same_as<Json> J>  // and not what only converts to it
  bool send(const J& message) {
    return send(message.dump());
  }

  /// The next message; nothing at the end of the connection.
  std::optional<Json> receive() {
    for (;;) {
      if (auto message = decoder_.next()) return message;
      char buffer[65536];
      const ssize_t got = wait_readable() ? ::recv(fd_, buffer, sizeof buffer, 0) : -1;
      if (got <= 0) return std::nullopt;
      decoder_.feed({buffer, static_cast<std::size_t>(got)});
    }
  }
  /// True when the server ends the connection without another message.
  bool ended() { return !receive().has_value(); }

  Json call(const Json& request) {
    return send(request) ? receive().value_or("no answer") : Json("not sent");
  }

 private:
  bool wait_readable() const {
    pollfd waiting{fd_, POLLIN, 0};
    const bool readable = ::poll(&waiting, 1, kPatienceMs) == 1;
    EXPECT_TRUE(readable) << "the server kept silent";
    return readable;
  }

  int fd_;
  jsonrpc::StreamDecoder decoder_{{.message_bytes = std::size_t{1} << 30, .nesting = 5000}};
};

/// The control thread: everything of the server is touched only there.
class ServerThread {
 public:
  explicit ServerThread(control::ServerOptions options = {}) : options_(std::move(options)) {}
  ~ServerThread() { stop(); }

  control::Dispatcher& dispatcher() { return dispatcher_; }  ///< to be filled before start()
  std::string path(const std::string& name = "db.sock") const { return directory_ / name; }

  void start() {
    server_ = std::make_unique<control::Server>(io_, dispatcher_, options_);
    server_->open("punix:" + path());
    thread_ = std::thread([this] {
      const auto stay = boost::asio::make_work_guard(io_);
      io_.run();
    });
  }
  /// Runs on the control thread and waits for it.
  template <typename F>
  auto run(F function) {
    std::packaged_task<decltype(function())()> task(std::move(function));
    auto result = task.get_future();
    boost::asio::post(io_, [&task] { task(); });
    return result.get();
  }
  void stop() {
    if (!thread_.joinable()) return;
    run([this] { server_.reset(); });
    io_.stop();
    thread_.join();
  }
  control::Server& server() { return *server_; }  ///< inside run() only
  boost::asio::io_context& io() { return io_; }
  TestClient connect() const { return TestClient(path()); }
  std::size_t clients() {
    return run([this] { return server_->clients(); });
  }
  /// Waits until there are so many.
  bool becomes(std::size_t clients_wanted) {
    for (int i = 0; i < kPatienceMs / 5; ++i) {
      if (clients() == clients_wanted) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

 private:
  TempDir directory_;
  control::ServerOptions options_;
  control::Dispatcher dispatcher_;
  boost::asio::io_context io_{1};
  std::unique_ptr<control::Server> server_;
  std::thread thread_;
};

inline Json v1(const Json& id, const std::string& method, Json params = Json::array()) {
  return jsonrpc::make_request(jsonrpc::Version::v1, id, method, std::move(params));
}
inline Json v2(const Json& id, const std::string& method, Json params = Json::object()) {
  return jsonrpc::make_request(jsonrpc::Version::v2, id, method, std::move(params));
}

}  // namespace vswitch::testing
