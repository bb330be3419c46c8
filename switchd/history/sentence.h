// SPDX-License-Identifier: Apache-2.0
// Events as lines of the log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "switchd/base/log.h"
#include "switchd/history/event.h"

namespace vswitch::history {

/// Changes of one kind that one commit may log one by one. More are one line, with the names of some.
inline constexpr std::size_t kMaxLinesOfCommit = 20;

struct Sentence {
  enum class Kind : std::uint8_t { state, change, loss, refusal };

  const log::Module* module;
  log::Level level;
  Kind kind;
  std::string text;
  log::Fields fields;  ///< what it is about (docs/monitoring.md has the names)
};

/// The lines for the events of one commit, in their order.
std::vector<Sentence> sentences_of(const std::vector<Event>& events);

/// Writes them. Equal kinds of lines are limited together (log.h).
void write_to_log(const std::vector<Event>& events);

}  // namespace vswitch::history
