// SPDX-License-Identifier: Apache-2.0
// system.events: the last events, which outlive the daemon.
#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "switchd/api/errors.h"
#include "switchd/api/methods.h"
#include "switchd/base/wall_clock.h"

namespace vswitch::api {
namespace {

/// Which events a request asks for.
struct Wanted {
  std::uint64_t after = 0;  ///< number
  std::int64_t since = std::numeric_limits<std::int64_t>::min();
  std::set<std::string> topics;
  std::string bridge, name;

  bool has(const history::Kept& event) const {
    return event.number > after && event.time_ms >= since &&
           (topics.empty() || topics.contains(event.topic)) &&
           (bridge.empty() || event.bridge == bridge || is_bridge(event)) &&
           (name.empty() || event.name == name);
  }

 private:
  bool is_bridge(const history::Kept& event) const {
    return event.topic == history::kBridgeChange && event.name == bridge;
  }
};

Wanted wanted(const Json& params, std::int64_t now) {
  Wanted wanted;
  wanted.after = params.value("after", std::uint64_t{0});
  wanted.topics = params.value("topics", std::set<std::string>());
  wanted.bridge = params.value("bridge", "");
  wanted.name = params.value("name", "");
  if (params.contains("since") && params.contains("seconds"))
    throw invalid("since", params["since"], "since and seconds exclude each other: give one");
  if (params.contains("seconds")) wanted.since = now - params["seconds"].get<std::int64_t>() * 1000;
  if (!params.contains("since")) return wanted;
  const auto time = parse_iso_time(params["since"].get<std::string>());
  if (!time)
    throw invalid("since", params["since"],
                  "since must be a time such as 2026-01-05T08:00:00Z, not " + params["since"].dump());
  wanted.since = *time;
  return wanted;
}

Json system_events(const history::History& history, const Json& params) {
  const Wanted asked = wanted(params, history.now_ms());
  const auto limit = params["limit"].get<std::size_t>();
  std::vector<const history::Kept*> last;
  std::size_t left_out = 0;
  for (auto event = history.events().rbegin(); event != history.events().rend(); ++event) {
    if (event->number <= asked.after) break;
    if (!asked.has(*event)) continue;
    if (last.size() < limit) {
      last.push_back(&*event);
    } else {
      ++left_out;
    }
  }
  Json events = Json::array();
  for (auto event = last.rbegin(); event != last.rend(); ++event)
    events.push_back(Json::parse((*event)->text));
  return {{"events", std::move(events)},
          {"last", history.last()},
          {"left_out", left_out},
          {"trouble", history.trouble().empty() ? Json() : Json(history.trouble())}};
}

}  // namespace

void add_event_methods(Methods& methods) {
  const Methods shared = methods;
  methods.later("system.events", [shared](control::Client&, const Json& params, const control::Reply& reply) {
    shared.history.when_loaded([shared, params, reply] {
      answer_with(reply, [&] { return system_events(shared.history, params); });
    });
  });
}

}  // namespace vswitch::api
