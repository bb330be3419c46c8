// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/client.h"

#include <atomic>
#include <utility>

#include "schemas/jsonrpc/message.h"

namespace vswitch::control {
namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

std::string name_for(const std::string& endpoint, std::uint64_t id,
                     const std::optional<PeerCredentials>& peer) {
  std::string name = endpoint + "#" + std::to_string(id);
  if (peer) name += " (pid " + std::to_string(peer->pid) + ")";
  return name;
}

}  // namespace

Client::Client(const std::string& endpoint, std::optional<PeerCredentials> peer,
               std::shared_ptr<ClientMemory> memory)
    : id_(next_id()),
      name_(name_for(endpoint, id_, peer)),
      peer_(peer),
      memory_(std::make_shared<MemoryAccount>(std::move(memory))) {}

void Client::send(const Json& message) {
  send_text(jsonrpc::to_text(message));
}

void Client::send_text(std::string message) {
  if (open_) write(std::move(message));
}

void Client::close(const std::string& reason) {
  if (open_) shut(reason);
}

void Client::on_close(std::function<void()> callback) {
  if (open_) {
    on_close_.push_back(std::move(callback));
  } else {
    callback();
  }
}

void Client::ended() {
  if (!open_) return;
  open_ = false;
  for (const auto& callback : std::exchange(on_close_, {})) callback();
  states_.clear();  // not later: handlers of the event loop may keep this object after the modules are gone
}

}  // namespace vswitch::control
