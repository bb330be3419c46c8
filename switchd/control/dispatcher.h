// SPDX-License-Identifier: Apache-2.0
// Finds the handler of a request and ensures that each request is answered exactly once, in its own dialect.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "schemas/jsonrpc/message.h"
#include "switchd/control/client.h"

namespace vswitch::control {

/// A refusal because the client may only read. Besides those of the session API (switchd/api/errors.h).
inline constexpr int kReadOnly = 1007;
/// The remedy.
inline constexpr const char* kMayWrite =
    "use the control socket db.sock, or a remote without other_config:read_only=true";

/// The answer to one request, given now or later, once. Copies share it: the first answer counts. Answering a
/// client that has gone is not an error, and answering a notification does nothing. If the last Reply of a
/// request is destroyed without an answer, the request gets an internal error, so no client waits for a
/// handler that forgot it.
class Reply {
 public:
  /// Takes the complete message; nullopt if the request was forgotten.
  using Sink = std::function<void(std::optional<Json>)>;

  Reply(const jsonrpc::Request& request, Sink sink);

  void operator()(Json result) const;
  void fail(const jsonrpc::Error& error) const;
  /// 1.0: exactly this value as the error member. In a 2.0 reply it becomes the data of an internal error.
  void fail_v1(Json error) const;
  /// There will be no answer (OVSDB `cancel`).
  void forget() const;

  bool answered() const;

 private:
  struct Slot;
  std::shared_ptr<Slot> slot_;
};

class Dispatcher {
 public:
  using Handler = std::function<void(Client&, const jsonrpc::Request&, Reply)>;
  /// A handler that always answers at once: returns the result or throws jsonrpc::Error.
  using PlainHandler = std::function<Json(Client&, const jsonrpc::Request&)>;

  /// 2.0 methods (the session API). They are called for notifications too; those answers are discarded.
  void add(const std::string& method, Handler handler);
  void add(const std::string& method, PlainHandler handler);

  /// 1.0 requests (OVSDB, operator commands).
  void add_v1(const std::string& method, Handler handler);
  void add_v1(const std::string& method, PlainHandler handler);
  /// 1.0 notifications (OVSDB `cancel`). Unknown ones are ignored, as in Open vSwitch.
  void add_v1_notification(const std::string& method, PlainHandler handler);
  /// Handles the 1.0 requests that were not added with add_v1(); without it they get the error "unknown
  /// method".
  void set_v1_fallback(Handler handler);

  /// Clients that may only read may call it. Everything else is refused to them.
  void allow_to_readers(const std::string& method) { for_readers_.insert(method); }
  void allow_to_readers_v1(const std::string& method) { for_readers_v1_.insert(method); }
  /// The 2.0 methods that they may call.
  const std::set<std::string>& for_readers() const { return for_readers_; }

  /// `echo` in both dialects: the result is the params.
  void add_echo();
  /// Whether there is `echo`; connections answer small ones themselves (echo.h). Any thread.
  bool echoes() const { return echoes_; }

  std::vector<std::string> methods() const;  ///< the 2.0 methods, sorted

  std::uint64_t requests() const { return *requests_; }  ///< since the start
  /// Counts a request that was answered without dispatch(). Any thread.
  void count_request() { ++*requests_; }

  /// Calls the handler. Its exceptions become answers: jsonrpc::Error as it is, any other std::exception as
  /// an internal error. Throws nothing itself.
  void dispatch(Client& client, const jsonrpc::Request& request, Reply reply);

 private:
  const Handler* find(const jsonrpc::Request& request) const;
  bool is_for_readers(const jsonrpc::Request& request) const;

  std::map<std::string, Handler> methods_;
  std::map<std::string, Handler> methods_v1_;
  std::map<std::string, Handler> notifications_v1_;
  Handler fallback_v1_;
  std::set<std::string> for_readers_;
  std::set<std::string> for_readers_v1_;
  bool echoes_ = false;
  std::unique_ptr<std::atomic<std::uint64_t>> requests_ = std::make_unique<std::atomic<std::uint64_t>>(0);
};

}  // namespace vswitch::control
