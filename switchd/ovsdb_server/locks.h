// SPDX-License-Identifier: Apache-2.0
// The advisory locks of OVSDB (RFC 7047 section 4.1.8): a queue of clients per name, the first one owns it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vswitch::ovsdb {

class Locks {
 public:
  using ClientId = std::uint64_t;

  /// Whether the client has requested the lock and not released it, no matter if it owns it or waits.
  bool asked(const std::string& name, ClientId client) const;
  bool owns(const std::string& name, ClientId client) const;
  /// Joins the queue; true if that makes it the owner.
  bool lock(const std::string& name, ClientId client);
  /// Becomes the owner; returns the former one, which is next in the queue.
  std::optional<ClientId> steal(const std::string& name, ClientId client);
  /// Leaves the queue; returns the new owner if the owner has changed and there is one.
  std::optional<ClientId> unlock(const std::string& name, ClientId client);
  /// The locks that a client has requested.
  std::vector<std::string> names(ClientId client) const;

 private:
  std::map<std::string, std::deque<ClientId>> queues_;
};

}  // namespace vswitch::ovsdb
