// SPDX-License-Identifier: Apache-2.0
#include "switchd/history/sentence.h"

#include <map>
#include <tuple>
#include <utility>

#include "schemas/event_text.h"

namespace vswitch::history {
namespace {

const log::Module kMirrorLog{"mirror"};
const log::Module kPortLog{"port"};
const log::Module kBridgeLog{"bridge"};
const log::Module kSettingsLog{"settings"};

using Line = Sentence::Kind;

constexpr std::size_t kNamesInSummary = 10;

bool is_change(const Event& event) {
  return event.topic.ends_with(".change");
}

const log::Module& module_of(const Event& event) {
  if (event.topic.starts_with("mirror.")) return kMirrorLog;
  if (event.topic.starts_with("port.")) return kPortLog;
  if (event.topic.starts_with("bridge.")) return kBridgeLog;
  return kSettingsLog;
}

bool is_well(const Event& event) {
  const std::string state = event.data.value("state", "");
  return state == "active" || state == "disabled" || state == "expired" || state == "removed";
}

/// "root" of "root (pid 4711, vswitch-ctl)"; the whole of "tcp:192.0.2.7:50112".
std::string user_of(const std::string& by) {
  return by.substr(0, by.find(" ("));
}

log::Fields who_did_it(const Event& event) {
  const std::string by = event.data.value("by", "");
  if (by.empty()) return {};
  return {{"VSWITCH_USER", user_of(by)}, {"VSWITCH_CLIENT", by}};
}

log::Fields fields_of(const Event& event) {
  log::Fields fields = who_did_it(event);
  const auto add = [&](std::string_view field, const char* member) {
    if (const std::string value = event.data.value(member, ""); !value.empty())
      fields.emplace_back(field, value);
  };
  fields.emplace_back("VSWITCH_EVENT", event.topic);
  add("VSWITCH_BRIDGE", event.topic == kBridgeChange ? "name" : "bridge");
  if (event.topic.starts_with("mirror.")) add("VSWITCH_SESSION", "name");
  if (event.topic.starts_with("port.")) add("VSWITCH_PORT", "name");
  add("VSWITCH_STATE", "state");
  return fields;
}

Sentence sentence_of(const Event& event) {
  log::Level level = log::Level::warn;
  Line kind = Line::state;
  if (is_change(event)) {
    kind = Line::change;
    level = log::Level::info;
  } else if (event.topic == kMirrorLoss) {
    kind = Line::loss;
  } else if (event.topic == kSystemRefused) {
    kind = Line::refusal;
  } else if (is_well(event)) {
    level = log::Level::info;
  }
  return {&module_of(event), level, kind, event_text(event.topic, event.data), fields_of(event)};
}

/// Changes that differ in what they are about only, and possibly in their fields.
using ChangeKind = std::tuple<std::string, std::string, std::string>;

ChangeKind kind_of(const Event& event) {
  return {event.topic, event.data.value("action", ""), event.data.value("by", "")};
}

struct Group {
  std::size_t size = 0;
  std::string names;
};

std::map<ChangeKind, Group> groups_of(const std::vector<Event>& events) {
  std::map<ChangeKind, Group> groups;
  for (const Event& event : events) {
    if (!is_change(event) || !event.logged) continue;
    Group& group = groups[kind_of(event)];
    if (group.size++ < kNamesInSummary)
      group.names += (group.names.empty() ? "" : ", ") + event_subject(event.topic, event.data);
  }
  return groups;
}

Sentence summary_of(const Event& event, const Group& group) {
  const char* what = event.topic == kMirrorChange   ? " sessions "
                     : event.topic == kPortChange   ? " ports "
                     : event.topic == kBridgeChange ? " bridges "
                                                    : " rows ";
  const auto& [topic, action, by] = kind_of(event);
  log::Fields fields = who_did_it(event);
  fields.emplace_back("VSWITCH_EVENT", topic);
  return {&module_of(event), log::Level::info, Line::change,
          std::to_string(group.size) + what + action + " by " + by + ": " + group.names + ", ... (" +
              std::to_string(group.size - kNamesInSummary) + " more)",
          std::move(fields)};
}

}  // namespace

std::vector<Sentence> sentences_of(const std::vector<Event>& events) {
  std::map<ChangeKind, Group> groups = groups_of(events);
  std::vector<Sentence> lines;
  for (const Event& event : events) {
    if (!event.logged) continue;
    const auto group = is_change(event) ? groups.find(kind_of(event)) : groups.end();
    if (group == groups.end() || (group->second.size != 0 && group->second.size <= kMaxLinesOfCommit)) {
      lines.push_back(sentence_of(event));
    } else if (group->second.size != 0) {
      lines.push_back(summary_of(event, group->second));
      group->second.size = 0;  // said
    }
  }
  return lines;
}

void write_to_log(const std::vector<Event>& events) {
  for (const Sentence& line : sentences_of(events)) {
    // The format identifies lines that are limited together: a port that flaps must not hide who changed what.
    switch (line.kind) {
      case Sentence::Kind::change:
        log::line_about(line.fields, *line.module, line.level, "{0}", line.text);
        break;
      case Sentence::Kind::loss:
        log::line_about(line.fields, *line.module, line.level, "{:s}", line.text);
        break;
      case Sentence::Kind::refusal:
        log::line_about(line.fields, *line.module, line.level, "{0:s}", line.text);
        break;
      case Sentence::Kind::state:
        log::line_about(line.fields, *line.module, line.level, "{}", line.text);
        break;
    }
  }
}

}  // namespace vswitch::history
