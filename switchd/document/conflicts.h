// SPDX-License-Identifier: Apache-2.0
// Conflicts among the sessions of a bridge, found by port instead of by comparing all pairs: 4,096 sessions to
// one port would be 8 million pairs.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "switchd/model/mirror.h"
#include "switchd/model/mirror_rules.h"

namespace vswitch::document {

class Conflicts {
 public:
  /// `now_ms`: ms since 1970; a session that has ended conflicts with nothing.
  explicit Conflicts(std::int64_t now_ms) : now_ms_(now_ms) {}

  /// Why `session` conflicts with one of those added, by the rules of model::problem_beside().
  std::optional<model::Problem> with(const model::MirrorSettings& session) const;
  /// `session` must outlive this.
  void add(const model::MirrorSettings& session);

 private:
  using ByPort = std::map<std::string, const model::MirrorSettings*>;

  std::int64_t now_ms_;
  ByPort reserved_;    ///< a session that makes the port copies-only; one for each port will do
  ByPort normal_io_;   ///< one that lets a destination carry its own traffic
  ByPort from_ports_;  ///< one that copies what the port's host sends, and nothing else of it
};

}  // namespace vswitch::document
