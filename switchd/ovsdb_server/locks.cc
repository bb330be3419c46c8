// SPDX-License-Identifier: Apache-2.0
#include "switchd/ovsdb_server/locks.h"

#include <algorithm>

namespace vswitch::ovsdb {

bool Locks::asked(const std::string& name, ClientId client) const {
  const auto queue = queues_.find(name);
  return queue != queues_.end() &&
         std::find(queue->second.begin(), queue->second.end(), client) != queue->second.end();
}

bool Locks::owns(const std::string& name, ClientId client) const {
  const auto queue = queues_.find(name);
  return queue != queues_.end() && queue->second.front() == client;
}

bool Locks::lock(const std::string& name, ClientId client) {
  std::deque<ClientId>& queue = queues_[name];
  queue.push_back(client);
  return queue.size() == 1;
}

std::optional<Locks::ClientId> Locks::steal(const std::string& name, ClientId client) {
  std::deque<ClientId>& queue = queues_[name];
  const auto former = queue.empty() ? std::nullopt : std::optional<ClientId>(queue.front());
  queue.push_front(client);
  return former;
}

std::optional<Locks::ClientId> Locks::unlock(const std::string& name, ClientId client) {
  const auto found = queues_.find(name);
  if (found == queues_.end()) return std::nullopt;
  std::deque<ClientId>& queue = found->second;
  const bool owned = queue.front() == client;
  queue.erase(std::remove(queue.begin(), queue.end(), client), queue.end());
  if (queue.empty()) {
    queues_.erase(found);
    return std::nullopt;
  }
  return owned ? std::optional<ClientId>(queue.front()) : std::nullopt;
}

std::vector<std::string> Locks::names(ClientId client) const {
  std::vector<std::string> found;
  for (const auto& [name, queue] : queues_) {
    if (std::find(queue.begin(), queue.end(), client) != queue.end()) found.push_back(name);
  }
  return found;
}

}  // namespace vswitch::ovsdb
