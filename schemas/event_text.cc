// SPDX-License-Identifier: Apache-2.0
#include "schemas/event_text.h"

#include <cstdint>

namespace vswitch {
namespace {

// A newer daemon may have other events, so nothing is taken for granted.

std::string text_of(const Json& event, const char* member) {
  const auto found = event.is_object() ? event.find(member) : event.end();
  return found == event.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

std::int64_t number_of(const Json& event, const char* member) {
  const auto found = event.is_object() ? event.find(member) : event.end();
  return found == event.end() || !found->is_number_integer() ? 0 : found->get<std::int64_t>();
}

const Json& part_of(const Json& event, const char* member) {
  static const Json kNothing;
  const auto found = event.is_object() ? event.find(member) : event.end();
  return found == event.end() ? kNothing : *found;
}

std::string value_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : "none";
}

/// "snaplen none -> 96, sample 1 -> 7"; of something new only what it has.
std::string fields_text(const Json& event) {
  const bool is_new = text_of(event, "action") == "added";
  std::string text;
  for (const Json& change : part_of(event, "changes")) {
    text += (text.empty() ? "" : ", ") + text_of(change, "field");
    const Json& before = part_of(change, "before");
    const Json& after = part_of(change, "after");
    if (before.is_null() && after.is_null()) continue;
    text += ' ' + (is_new ? "" : value_text(before) + " -> ") + value_text(after);
  }
  return text;
}

std::string change_text(const std::string& subject, const Json& data) {
  const std::string fields = fields_text(data);
  return subject + ": " + text_of(data, "action") + " by " + text_of(data, "by") +
         (fields.empty() ? "" : ": " + fields);
}

std::string state_text(const std::string& subject, const Json& data) {
  const std::string reason = text_of(data, "reason");
  return subject + ": " + text_of(data, "state") + (reason.empty() ? "" : ": " + reason);
}

/// "br0/span0: 37 copies lost in 60 s: queue_full 30, no_route 7"
std::string loss_text(const std::string& subject, const Json& data) {
  const std::int64_t lost = number_of(data, "lost");
  const std::int64_t seconds = number_of(data, "seconds");
  std::string causes;
  for (const auto& [cause, count] : part_of(data, "lost_by").items())
    causes += (causes.empty() ? ": " : ", ") + cause + ' ' + count.dump();
  return subject + ": " + std::to_string(lost) + (lost == 1 ? " copy" : " copies") + " lost" +
         (seconds == 0 ? "" : " in " + std::to_string(seconds) + " s") + causes;
}

std::string refusal_text(const Json& data) {
  const std::int64_t more = number_of(data, "left_out");
  return "refused: " + text_of(data, "method") + " by " + text_of(data, "by") + ": " +
         text_of(data, "reason") +
         (more == 0 ? "" : " (" + std::to_string(more) + " refusals before this one were left out)");
}

}  // namespace

std::string event_subject(std::string_view topic, const Json& data) {
  const std::string name = text_of(data, "name");
  if (topic == "system.change") {
    const std::string table = text_of(data, "table");
    return table + (table.empty() || name.empty() ? "" : " ") + name;
  }
  const std::string bridge = text_of(data, "bridge");
  return bridge.empty() ? name : bridge + '/' + name;
}

std::string event_text(std::string_view topic, const Json& data) {
  const std::string subject = event_subject(topic, data);
  if (topic.ends_with(".change")) return change_text(subject, data);
  if (topic == "mirror.loss") return loss_text(subject, data);
  if (topic == "system.refused") return refusal_text(data);
  return state_text(topic == "system.state" ? "vswitchd" : subject, data);
}

}  // namespace vswitch
