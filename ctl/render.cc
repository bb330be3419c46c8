// SPDX-License-Identifier: Apache-2.0
// Short forms.
#include "ctl/render.h"

#include <algorithm>

#include "ctl/screen.h"
#include "schemas/plain_text.h"

namespace vswitch::ctl {
std::string render_nothing(const Json&) {
  return {};
}

std::string join(const std::vector<std::string>& parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += between;
    text += part;
  }
  return text;
}

std::string printable(std::string_view text) {
  return plain_text(text, '?');
}

namespace {

std::string labelled(std::string_view label, const std::string& value) {
  std::string text(label);
  text.resize(14, ' ');
  return text + value + '\n';
}

}  // namespace

std::string line(std::string_view label, const std::string& value) {
  return labelled(label, value.empty() ? "-" : printable(value));
}

std::string or_nothing(const Json& value) {
  return value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump();
}

std::string vlan_list(const Json& vlans) {
  std::vector<int> sorted = vlans.get<std::vector<int>>();
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < sorted.size();) {
    std::size_t last = i;
    while (last + 1 < sorted.size() && sorted[last + 1] == sorted[last] + 1) ++last;
    std::string part = std::to_string(sorted[i]);
    if (last != i) part += '-' + std::to_string(sorted[last]);
    parts.push_back(part);
    i = last + 1;
  }
  return join(parts, ",");
}

std::string port_vlans(const Json& port) {
  const bool tagged = !port["tag"].is_null();
  const bool implied = port["vlan_mode"].is_null();
  const std::string mode = implied ? (tagged ? "access" : "trunk") : port["vlan_mode"].get<std::string>();
  std::string text = mode;
  if (tagged && mode != "trunk") text += ' ' + port["tag"].dump();
  if (!port["trunks"].empty() && (mode == "trunk" || mode.starts_with("native"))) {
    text += (mode == "trunk" ? " " : " trunks ") + vlan_list(port["trunks"]);
  }
  if (!port["cvlans"].empty() && mode == "dot1q-tunnel") text += " cvlans " + vlan_list(port["cvlans"]);
  return text;
}

namespace {

/// A name, or the notation of --source for other kinds of source.
std::string source_name(const Json& source) {
  if (source.contains("glob")) {
    const bool one_way = source["direction"] != "both";  // --source all:from
    return source["glob"] == "*" && one_way ? Json("all") : source["glob"];
  }
  if (source.contains("iface_id")) return "iface-id=" + source["iface_id"].get<std::string>();
  if (source.contains("mac")) return "mac=" + source["mac"].get<std::string>();
  return source["name"];
}

std::string sources_with(const Json& session, std::string (*direction)(const std::string&)) {
  const Json& from = session["sources"];
  std::vector<std::string> parts;
  for (const Json& port : from["ports"]) parts.push_back(source_name(port) + direction(port["direction"]));
  std::string text = join(parts, ", ");
  if (from["all"] == true || (parts.empty() && !from["vlans"].empty())) text = "all ports";
  if (!from["vlans"].empty()) text += " vlan " + vlan_list(from["vlans"]);
  return text;
}

/// "port t2 has no device" without what goes beyond `most` characters of UTF-8.
std::string shortened(const std::string& text, std::size_t most) {
  const auto begins_character = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  std::size_t at = 0;
  for (std::size_t characters = 0; at < text.size(); ++at) {
    if (begins_character(text[at]) && characters++ == most) break;
  }
  if (at == text.size()) return text;
  const std::size_t space = text.rfind(' ', at);
  return text.substr(0, space == text.npos || space < at / 2 ? at : space) + " ...";
}

}  // namespace

std::string sources(const Json& session) {
  return sources_with(session, [](const std::string& direction) {
    return direction == "both" ? std::string() : ':' + direction;
  });
}

std::string sources_in_words(const Json& session) {
  return sources_with(session, [](const std::string& direction) {
    return direction == "both" ? std::string(" (from and to)") : " (" + direction + ')';
  });
}

namespace {

/// "a recorder of 64 MB and 300 s"; empty if there is none.
std::string recorder(const Json& destination) {
  const Json bytes = destination.value("record_bytes", Json()),
             seconds = destination.value("record_seconds", Json());
  if (bytes.is_null() && seconds.is_null()) return {};
  std::vector<std::string> limits;
  if (!bytes.is_null()) {
    const auto number = bytes.get<std::int64_t>();
    limits.push_back(number % 1'000'000 == 0 ? std::to_string(number / 1'000'000) + " MB"
                                             : bytes.dump() + " bytes");
  }
  if (!seconds.is_null()) {
    const auto number = seconds.get<std::int64_t>();
    limits.push_back(number % 60 == 0 ? std::to_string(number / 60) + " min" : seconds.dump() + " s");
  }
  return "a recorder of " + join(limits, " and ");
}

}  // namespace

std::string destination(const Json& session) {
  const Json& to = session["destination"];
  std::vector<std::string> names = to["ports"].get<std::vector<std::string>>();
  for (const Json& endpoint : to["endpoints"])
    names.push_back(endpoint["encap"].get<std::string>() + ' ' + endpoint["ip"].get<std::string>());
  if (to.value("capture", false)) names.emplace_back("a capture");
  if (const std::string ring = recorder(to); !ring.empty()) names.push_back(ring);
  std::string ports = join(names, ", ");
  if (to["vlan"].is_null()) return ports;
  return "vlan " + to["vlan"].dump() + (ports.empty() ? "" : " on " + ports);
}

std::string state(const Json& object) {
  const std::string name = object["state"];
  const std::string reason = object["reason"];
  const Json copies_only = object.value("copies_only", Json());  // of a port
  return name + (copies_only.is_null() ? "" : ", copies only (" + copies_only.get<std::string>() + ")") +
         (reason.empty() ? "" : ": " + reason);
}

std::string brief_state(const Json& object) {
  constexpr std::size_t kMost = 60;
  return shortened(state(object), kMost);
}

std::string shown_state(const Json& object) {
  return in_colour(printable(state(object)));
}

std::string state_line(const Json& object) {
  return labelled("state", shown_state(object));
}

std::string notice(const Json& object) {
  const std::string text = object.value("notice", "");
  return text.empty() ? "" : line("notice", text);
}

std::string copies(const Json& count) {
  return count.dump() + (count == 1 ? " copy" : " copies");
}

namespace {

std::string sessions_as_table(const Json& mirrors, std::size_t indent, bool with_bridge) {
  std::vector<Column> columns{"SESSION",
                              Column("SOURCES -> DESTINATION").cut(1, 16),
                              Column("NORMAL I/O").leave_out(4),
                              Column("MATCHED").leave_out(1),
                              "DELIVERED",
                              "LOST",
                              Column("LEFT OUT").leave_out(2),
                              Column("QUEUED").leave_out(3),
                              state_column()};
  if (with_bridge) columns.emplace(columns.begin(), "BRIDGE");
  Table table(columns);
  for (const Json& mirror : mirrors) {
    const Json& counters = mirror["counters"];
    const std::string from = sources(mirror);
    const std::string to = destination(mirror);
    std::vector<Json> row{mirror["name"],
                          (from.empty() ? "-" : from) + " -> " + (to.empty() ? "-" : to),
                          mirror["normal_io"] == true ? "yes" : "no",
                          counters["matched"],
                          counters["delivered"],
                          counters["lost"],
                          left_out(counters),
                          counters["queued"],
                          brief_state(mirror)};
    if (with_bridge) row.insert(row.begin(), mirror["bridge"]);
    table.add(std::move(row));
  }
  return table.text(indent);
}

}  // namespace

Column state_column() {
  constexpr std::size_t kLeastState = 16;
  return Column("STATE").cut(2, kLeastState).states();
}

std::string session_table(const Json& mirrors) {
  return sessions_as_table(mirrors, 0, true);
}

std::string session_table_of_bridge(const Json& mirrors, std::size_t indent) {
  return sessions_as_table(mirrors, indent, false);
}

std::int64_t left_out(const Json& counters) {
  std::int64_t sum = 0;
  for (const LeftOut& term : kLeftOut) sum += counters[term.counter].get<std::int64_t>();
  return sum;
}

std::string lost_by(const Json& counters) {
  std::string text;
  for (const auto& [cause, count] : counters["lost_by"].items()) {
    if (count != 0) text += (text.empty() ? "" : ", ") + cause + ' ' + count.dump();
  }
  return text;
}

std::string causes(const Json& counters) {
  std::string text = lost_by(counters);
  for (const LeftOut& term : kLeftOut) {
    const Json& count = counters[term.counter];
    if (count != 0) text += (text.empty() ? "" : ", ") + std::string(term.counter) + ' ' + count.dump();
  }
  return text;
}

}  // namespace vswitch::ctl
