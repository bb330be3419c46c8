// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/session_conflicts.h"

#include <algorithm>
#include <utility>

#include "switchd/model/mirror_rules.h"

namespace vswitch::bridge {

namespace {

constexpr std::size_t kFew = 3;

bool carries_own_traffic(const SessionSpec& session) {
  return session.normal_io && !leaves_in_vlan(session);
}

/// The first of `sessions` except `self`, and how many more there are.
std::pair<const SessionSpec*, std::size_t> first_other(const std::vector<const SessionSpec*>& sessions,
                                                       const SessionSpec& self) {
  const bool has_self = std::any_of(sessions.begin(), sessions.end(),
                                    [&self](const SessionSpec* one) { return one->id == self.id; });
  const std::size_t others = sessions.size() - (has_self ? 1 : 0);
  if (others == 0) return {nullptr, 0};
  return {sessions[sessions.front()->id == self.id ? 1 : 0], others - 1};
}

/// Sentences, of which a few are kept.
class Sentences {
 public:
  void add(std::string sentence, std::size_t more_sessions) {
    if (++number_ > kFew) return;
    if (more_sessions != 0) sentence += " (the same of " + std::to_string(more_sessions) + " more sessions)";
    text_ += (text_.empty() ? "" : "; ") + sentence;
  }
  std::string text() const {
    return number_ <= kFew ? text_ : text_ + "; " + std::to_string(number_ - kFew) + " more conflicts";
  }

 private:
  std::string text_;
  std::size_t number_ = 0;
};

}  // namespace

SessionConflicts::SessionConflicts(const std::vector<SessionSpec>& sessions) {
  for (const SessionSpec& session : sessions) {
    if (!session.enabled || !reserves_destinations(session)) continue;
    for (const std::string& port : session.destinations) ports_[port].copies_only.push_back(&session);
  }
  if (ports_.empty()) return;
  const auto use = [this](const std::string& port, auto use_of, const SessionSpec& session) {
    if (const auto found = ports_.find(port); found != ports_.end())
      (found->second.*use_of).push_back(&session);
  };
  for (const SessionSpec& session : sessions) {
    if (!session.enabled) continue;
    for (const SourceSpec& source : session.sources) {
      if (source.direction == Direction::from) use(source.port, &Uses::from, session);
    }
    if (!carries_own_traffic(session)) continue;
    for (const std::string& port : session.destinations) use(port, &Uses::normal_io, session);
  }
}

std::string SessionConflicts::notice_of(const SessionSpec& session) const {
  if (!session.enabled || ports_.empty()) return "";
  Sentences sentences;
  const auto each = [&](const std::string& port, auto use_of, auto sentence) {
    const auto found = ports_.find(port);
    if (found == ports_.end()) return;
    const auto [other, more] = first_other(found->second.*use_of, session);
    if (other != nullptr) sentences.add(sentence(port, other->name), more);
  };
  const std::string& self = session.name;
  for (const std::string& destination : session.destinations) {
    if (reserves_destinations(session)) {
      each(destination, &Uses::normal_io, [&](const std::string& port, const std::string& other) {
        return model::two_uses_of_port(port, self, other);
      });
      each(destination, &Uses::from, [&](const std::string& port, const std::string& other) {
        return model::no_frame_from_port(port, self, other);
      });
    } else if (carries_own_traffic(session)) {
      each(destination, &Uses::copies_only, [&](const std::string& port, const std::string& other) {
        return model::two_uses_of_port(port, other, self);
      });
    }
  }
  for (const SourceSpec& source : session.sources) {
    if (source.direction != Direction::from) continue;
    each(source.port, &Uses::copies_only, [&](const std::string& port, const std::string& other) {
      return model::no_frame_from_port(port, other, self);
    });
  }
  return sentences.text();
}

}  // namespace vswitch::bridge
