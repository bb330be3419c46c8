// SPDX-License-Identifier: Apache-2.0
// The tool's end of the control socket: one request, one reply, with a time limit.
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "schemas/json.h"
#include "schemas/jsonrpc/message.h"
#include "wire/tls.h"

namespace vswitch::ctl {

/// No daemon answers, or not in time: exit status 3. what() is a sentence, `hint` says what to do.
struct NoDaemon : std::runtime_error {
  NoDaemon(const std::string& sentence, std::string hint_)
      : std::runtime_error(sentence), hint(std::move(hint_)) {}
  std::string hint;
};

/// Sends requests and returns their results.
class Caller {
 public:
  virtual ~Caller() = default;
  /// The result. Throws jsonrpc::Error if the daemon refuses, NoDaemon if it does not answer.
  virtual Json call(const std::string& method, const Json& params) = 0;
  /// The next call() passes this descriptor to the daemon (SCM_RIGHTS); it stays open here.
  virtual void pass(int /*descriptor*/) {}
  /// The next notification, as {"method", "params"}: one that came since the last call(), or else waits for it.
  /// Throws NoDaemon when the connection ends.
  virtual Json next_notification() = 0;
};

/// Connects to a unix stream socket by its path or unix:PATH, to tcp:ADDRESS[:PORT], or to ssl:ADDRESS[:PORT] with
/// these keys. Throws NoDaemon.
std::unique_ptr<Caller> connect_to(const std::string& daemon, std::chrono::milliseconds timeout,
                                   const wire::TlsFiles& keys = {});

}  // namespace vswitch::ctl
