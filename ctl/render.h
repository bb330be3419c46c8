// SPDX-License-Identifier: Apache-2.0
// Text for people: the short forms of ports, VLANs and sessions that all commands share. Tables are in table.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctl/table.h"
#include "schemas/json.h"

namespace vswitch::ctl {

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
/// state() as it is shown: printable, and in its colour.
std::string shown_state(const Json& object);
/// line("state", ...) with it.
std::string state_line(const Json& object);
/// The column of brief_state(): the reason is cut before other text.
Column state_column();
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
std::string session_table(const Json& mirrors);
/// The same for the sessions of one bridge, which has been named.
std::string session_table_of_bridge(const Json& mirrors, std::size_t indent);

}  // namespace vswitch::ctl
