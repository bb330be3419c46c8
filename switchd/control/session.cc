// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/session.h"

#include <utility>

#include "schemas/jsonrpc/message.h"

namespace vswitch {
namespace {

std::uint64_t next_id() {
  static std::uint64_t last = 0;  // control thread only
  return ++last;
}

std::string name_for(const std::string& endpoint, std::uint64_t id,
                     const std::optional<PeerCredentials>& peer) {
  std::string name = endpoint + "#" + std::to_string(id);
  if (peer) name += " (pid " + std::to_string(peer->pid) + ")";
  return name;
}

}  // namespace

Session::Session(const std::string& endpoint, std::optional<PeerCredentials> peer)
    : id_(next_id()), name_(name_for(endpoint, id_, peer)), peer_(peer) {}

void Session::send(const Json& message) {
  send_text(jsonrpc::to_text(message));
}

void Session::send_text(std::string message) {
  if (open_) write(std::move(message));
}

void Session::close(const std::string& reason) {
  if (open_) shut(reason);
}

void Session::on_close(std::function<void()> callback) {
  if (open_) {
    on_close_.push_back(std::move(callback));
  } else {
    callback();
  }
}

void Session::ended() {
  if (!open_) return;
  open_ = false;
  for (const auto& callback : std::exchange(on_close_, {})) callback();
  states_
      .clear();  // not later: handlers of the event loop may keep this object beyond the life of the modules
}

}  // namespace vswitch
