// SPDX-License-Identifier: Apache-2.0
#include "switchd/document/conflicts.h"

namespace vswitch::document {

std::optional<model::Problem> Conflicts::with(const model::MirrorSettings& session) const {
  const auto problem = [&](const ByPort& others, const std::string& port) -> std::optional<model::Problem> {
    const auto found = others.find(port);
    if (found == others.end()) return std::nullopt;
    return model::problem_beside(session, *found->second, now_ms_);
  };
  for (const std::string& port : session.destination_ports) {
    if (session.reserves(port)) {
      if (auto found = problem(normal_io_, port)) return found;
      if (auto found = problem(from_ports_, port)) return found;
    } else if (session.normal_io) {
      if (auto found = problem(reserved_, port)) return found;
    }
  }
  for (const auto& [port, direction] : session.source_ports) {
    if (direction != "from") continue;
    if (auto found = problem(reserved_, port)) return found;
  }
  return std::nullopt;
}

void Conflicts::add(const model::MirrorSettings& session) {
  if (!session.is_alive(now_ms_)) return;
  for (const std::string& port : session.destination_ports) {
    if (session.reserves(port)) reserved_[port] = &session;
    if (session.normal_io) normal_io_[port] = &session;
  }
  for (const auto& [port, direction] : session.source_ports) {
    if (direction == "from") from_ports_[port] = &session;
  }
}

}  // namespace vswitch::document
