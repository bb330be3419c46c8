// SPDX-License-Identifier: Apache-2.0
// Text for people: aligned tables and the short forms of ports, VLANs and sessions that all commands share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schemas/json.h"

namespace vswitch::ctl {

/// Columns as wide as needed, two spaces between them, none at the end of a line. Numbers (JSON) align right.
class Table {
 public:
  explicit Table(std::vector<std::string> headers) : headers_(std::move(headers)) {}
  /// One value per column: strings as they are, numbers aligned right, null and "" as "-".
  void add(std::vector<Json> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  /// The header line and the rows, each indented by `indent` spaces.
  std::string text(std::size_t indent = 0) const;

 private:
  std::vector<std::string> headers_;
  std::vector<std::vector<Json>> rows_;
};

/// The result of a command that is silent on success.
std::string render_nothing(const Json& result);
/// Replaces control characters, which a terminal would interpret, by '?'.
std::string printable(std::string_view text);
std::string join(const std::vector<std::string>& parts, std::string_view between);
/// "label value": a line of the output of show-...; an empty value becomes "-".
std::string line(std::string_view label, const std::string& value);
/// null as an empty string, which line() prints as "-".
std::string or_nothing(const Json& value);
/// [1,2,3,7] -> "1-3,7"
std::string vlan_list(const Json& vlans);
/// A port's VLAN settings: "access 10", "trunk", "native-tagged 10 trunks 1,2-9".
std::string port_vlans(const Json& port);
/// "t1, t2:from", "all ports", "all ports vlan 10-12"
std::string sources(const Json& session);
/// The same in words: "t1 (from and to), t2 (from)"
std::string sources_in_words(const Json& session);
std::string destination(const Json& session);
/// "waiting: no device t2"; the state alone when there is no reason.
std::string state(const Json& object);
/// The same, shortened for a line of a list.
std::string brief_state(const Json& object);
/// A line about what has no effect; empty if there is nothing.
std::string notice(const Json& object);
/// "1 copy", "0 copies"
std::string copies(const Json& count);

/// Copies that are not sent and not lost: a term of the account.
struct LeftOut {
  const char* counter;
  const char* label;
  const char* why;
};
inline constexpr LeftOut kLeftOut[] = {
    {"duplicate", "duplicate", "left out: another session copied the frame there"},
    {"sampled_out", "sampled out", "left out as configured"},
    {"rate_limited", "rate limited", "left out as configured"},
};
std::int64_t left_out(const Json& counters);
/// Why copies were lost: "queue_full 3, too_big 1".
std::string lost_by(const Json& counters);
/// Why copies were lost or left out: "queue_full 3, rate_limited 989".
std::string causes(const Json& counters);
/// The lines of a session list, one per session.
std::string session_table(const Json& mirrors, std::size_t indent = 0);

}  // namespace vswitch::ctl
