// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/client.h"

#include <pwd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <map>
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

/// The name of the program; empty if the process has ended, or is in a pid namespace that we do not see.
std::string program_of(pid_t pid) {
  std::string name;
  if (pid > 0) std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
  return name;
}

std::string describe_peer(const PeerCredentials& peer) {
  std::string text = user_name(peer.uid);
  if (peer.pid <= 0) return text;
  const std::string program = program_of(peer.pid);
  return text + " (pid " + std::to_string(peer.pid) + (program.empty() ? "" : ", " + program) + ')';
}

}  // namespace

std::string user_name(uid_t uid) {
  constexpr std::size_t kMaxUsers = 1024;
  static std::map<uid_t, std::string> known;
  if (const auto found = known.find(uid); found != known.end()) return found->second;
  std::array<char, 4096> buffer;
  passwd entry{};
  passwd* found = nullptr;
  const bool has_name =
      ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr;
  if (known.size() >= kMaxUsers) known.clear();
  return known[uid] = has_name ? found->pw_name : std::to_string(uid);
}

Client::Client(const std::string& endpoint, std::optional<PeerCredentials> peer,
               std::shared_ptr<ClientMemory> memory)
    : id_(next_id()),
      name_(name_for(endpoint, id_, peer)),
      peer_(peer),
      memory_(std::make_shared<MemoryAccount>(std::move(memory))) {}

const std::string& Client::who() {
  if (who_.empty()) who_ = peer_ ? describe_peer(*peer_) : name_.substr(0, name_.find('#'));
  return who_;
}

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
