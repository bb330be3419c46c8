// SPDX-License-Identifier: Apache-2.0
// Tables and short forms.
#include "ctl/render.h"

#include <boost/algorithm/string/replace.hpp>
#include <libsmartcols.h>
#include <locale.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <system_error>

#include "schemas/plain_text.h"

namespace vswitch::ctl {
namespace {

std::string cell(const Json& value) {
  if (value.is_null()) return "-";
  const std::string text = value.is_string() ? printable(value.get_ref<const std::string&>()) : value.dump();
  return text.empty() ? "-" : text;
}

/// libsmartcols measures and prints text in the thread's locale; ours is UTF-8 whatever the user's is.
class Utf8 {
 public:
  Utf8() : before_(::uselocale(utf8())) {}
  ~Utf8() { ::uselocale(before_); }
  Utf8(const Utf8&) = delete;
  Utf8& operator=(const Utf8&) = delete;

 private:
  static locale_t utf8() {
    static const locale_t made = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return made;
  }
  locale_t before_;
};

template <typename Cell>
void add_line(libscols_table* table, std::size_t columns, Cell&& cell_of) {
  libscols_line* line = scols_table_new_line(table, nullptr);
  for (std::size_t i = 0; i < columns; ++i) scols_line_set_data(line, i, cell_of(i).c_str());
}

}  // namespace

std::string Table::text(std::size_t indent) const {
  const Utf8 utf8;
  const std::unique_ptr<libscols_table, decltype(&scols_unref_table)> table(scols_new_table(),
                                                                            &scols_unref_table);
  scols_table_set_termforce(table.get(), SCOLS_TERMFORCE_NEVER);  // otherwise cells are truncated
  scols_table_set_column_separator(table.get(), "  ");
  scols_table_enable_noheadings(table.get(), 1);  // they would be left out if there are no rows
  for (std::size_t i = 0; i < headers_.size(); ++i) {
    const bool numbers =
        std::any_of(rows_.begin(), rows_.end(), [i](const auto& row) { return row[i].is_number(); });
    scols_table_new_column(table.get(), headers_[i].c_str(), 0, numbers ? SCOLS_FL_RIGHT : 0);
  }
  add_line(table.get(), headers_.size(), [&](std::size_t i) { return headers_[i]; });
  for (const auto& row : rows_) {
    add_line(table.get(), headers_.size(), [&](std::size_t i) { return cell(row[i]); });
  }
  char* lines = nullptr;
  const int failed = scols_print_table_to_string(table.get(), &lines);
  const std::unique_ptr<char, decltype(&std::free)> owner(lines, &std::free);
  if (failed != 0) throw std::system_error(-failed, std::generic_category(), "cannot lay out a table");
  const std::string margin(indent, ' ');
  return margin + boost::algorithm::replace_all_copy(std::string(lines), "\n", '\n' + margin) + '\n';
}

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

std::string line(std::string_view label, const std::string& value) {
  std::string text(label);
  text.resize(14, ' ');
  return text + (value.empty() ? "-" : printable(value)) + '\n';
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

std::string notice(const Json& object) {
  const std::string text = object.value("notice", "");
  return text.empty() ? "" : line("notice", text);
}

std::string copies(const Json& count) {
  return count.dump() + (count == 1 ? " copy" : " copies");
}

std::string session_table(const Json& mirrors, std::size_t indent) {
  Table table({"BRIDGE", "SESSION", "SOURCES -> DESTINATION", "NORMAL I/O", "MATCHED", "DELIVERED", "LOST",
               "LEFT OUT", "QUEUED", "STATE"});
  for (const Json& mirror : mirrors) {
    const Json& counters = mirror["counters"];
    const std::string from = sources(mirror);
    const std::string to = destination(mirror);
    table.add({mirror["bridge"], mirror["name"],
               (from.empty() ? "-" : from) + " -> " + (to.empty() ? "-" : to),
               mirror["normal_io"] == true ? "yes" : "no", counters["matched"], counters["delivered"],
               counters["lost"], left_out(counters), counters["queued"], brief_state(mirror)});
  }
  return table.text(indent);
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
