// SPDX-License-Identifier: Apache-2.0
// Commands for whoever watches over the switch: a person, Nagios, Prometheus.
#include <array>
#include <memory>

#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/program.h"
#include "ctl/render.h"
#include "ctl/screen.h"
#include "ctl/session_arguments.h"
#include "schemas/event_text.h"

namespace vswitch::ctl {
namespace {

// check

Query declare_check(CLI::App& app) {
  const auto nagios = std::make_shared<bool>(false);
  app.add_flag("--nagios", *nagios, "print what a plugin of Nagios prints: VSWITCH STATUS - text | figures");
  return [nagios] {
    return std::vector<Call>{Call{"system.check", Json::object(), 0, false, {{"nagios", *nagios}}}};
  };
}

std::string problem_lines(const Json& check, bool coloured) {
  std::string text;
  for (const Json& problem : check["problems"]) {
    const std::string line = problem["severity"].get<std::string>() + ": " +
                             printable(problem["subject"].get<std::string>()) + ": " +
                             printable(problem["text"].get<std::string>());
    text += (coloured ? in_colour(line) : line) + '\n';
  }
  if (check["left_out"] != 0) text += "... and " + check["left_out"].dump() + " more\n";
  return text;
}

/// Nagios takes what follows the first '|' for figures.
std::string without_bars(std::string text) {
  for (char& letter : text) {
    if (letter == '|') letter = '/';
  }
  return text;
}

std::string figures(const Json& check) {
  std::string text;
  for (const auto& [kind, prefix] : {std::pair("mirrors", "sessions_"), {"ports", "ports_"}}) {
    for (const auto& [state, count] : check[kind].items()) text += prefix + state + '=' + count.dump() + ' ';
  }
  return text + "lost=" + check["lost"].dump();
}

std::string upper_case(std::string text) {
  for (char& letter : text) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return text;
}

/// The first line says it all, because some show only that.
std::string render_check(const Json& check) {
  const std::string status = check["status"];
  std::string first = check["summary"];
  if (status != "ok") {
    const Json& worst = check["problems"][0];
    first = printable(worst["subject"].get<std::string>() + ": " + worst["text"].get<std::string>()) + "; " +
            first;
  }
  if (!check["nagios"].get<bool>())
    return in_colour(status + ": " + first) + '\n' + problem_lines(check, true);
  return "VSWITCH " + upper_case(status) + " - " + without_bars(first) + " | " + figures(check) + '\n' +
         without_bars(problem_lines(check, false));
}

int check_status(const Json& check) {
  constexpr std::array<const char*, 3> kStates = {"ok", "warning", "critical"};
  for (std::size_t i = 0; i < kStates.size(); ++i) {
    if (check["status"] == kStates[i]) return static_cast<int>(i);
  }
  return kNoDaemon;
}

std::string check_without_daemon(const std::string& why) {
  return "VSWITCH UNKNOWN - " + without_bars(printable(why)) + '\n';
}

// metrics

Query declare_metrics(CLI::App&) {
  return [] { return std::vector<Call>{{"system.metrics"}}; };
}

std::string render_metrics(const Json& result) {
  return result["text"];
}

/// So that a collector of text files has a fresh file that says so.
std::string metrics_without_daemon(const std::string&) {
  return "# HELP vswitch_up 1: the daemon answers.\n# TYPE vswitch_up gauge\nvswitch_up 0\n";
}

// events

Query declare_events(CLI::App& app) {
  const Params params = make_params();
  text(app, params, "bridge", "bridge", "only about this bridge, its ports and sessions")->required(false);
  text(app, params, "name", "name", "only about this port or session")->required(false);
  const auto since = std::make_shared<std::string>();
  app.add_option(
         "--since", *since,
         "only from then on: a time ago (30s, 10m, 2h, 1d), a time (2026-01-05T08:00:00Z), or the number "
         "of an event")
      ->type_name("WHEN");
  const auto topics = std::make_shared<std::vector<std::string>>();
  app.add_option("--topic", *topics, "only these, such as mirror.state or system.refused; repeatable")
      ->type_name("TOPIC")
      ->allow_extra_args(false);
  number(app, params, "--limit", "limit", "at most so many, the last ones [1000]");
  const auto follow = std::make_shared<bool>(false);
  app.add_flag("--follow,-f", *follow, "go on with what happens from now on, until interrupted");
  return [params, since, topics, follow] {
    if (!since->empty()) {
      if (const auto ago = parse_span(*since)) {
        (*params)["seconds"] = *ago;
      } else if (const auto after = parse_number(*since)) {
        (*params)["after"] = *after;
      } else {
        (*params)["since"] = *since;
      }
    }
    if (!topics->empty()) (*params)["topics"] = *topics;
    std::vector<Call> calls{{"system.events", *params}};
    if (*follow) {
      // First: what happens between the two is in both, and has a number.
      Json subscription = {{"snapshot", false}};
      if (!topics->empty()) subscription["topics"] = *topics;
      calls.insert(calls.begin(), {"subscribe", subscription});
    }
    return calls;
  };
}

std::string render_event(const Json& event) {
  return event["time"].get<std::string>() + "  " +
         printable(event_text(event["topic"].get<std::string>(), event)) + '\n';
}

std::string render_events(const Json& result) {
  std::string text;
  if (result["left_out"] != 0) text += "(" + result["left_out"].dump() + " earlier events: see --limit)\n";
  for (const Json& event : result["events"]) text += render_event(event);
  if (!result["trouble"].is_null())
    text += "(these do not outlive the daemon: " + printable(result["trouble"].get<std::string>()) + ")\n";
  return text;
}

}  // namespace

const std::vector<Command> kHealthCommands = {
    {"check", "say whether the switch is well: exit status 0 ok, 1 warning, 2 critical, 3 no daemon answers",
     "--nagios", declare_check, render_check, nullptr, nullptr, check_status, check_without_daemon},
    {"metrics", "print all counters and states as text for Prometheus", "", declare_metrics, render_metrics,
     nullptr, nullptr, nullptr, metrics_without_daemon},
    {"events", "show what has happened: who changed what, states, losses, refusals",
     "br0 span0 --since 1d\n--follow", declare_events, render_events, nullptr, nullptr, nullptr, nullptr,
     render_event},
};

}  // namespace vswitch::ctl
