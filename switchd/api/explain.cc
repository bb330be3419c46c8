// SPDX-License-Identifier: Apache-2.0
// mirror.explain and mirror.who: why a frame is copied, and which sessions mirror a port.
#include <boost/algorithm/hex.hpp>
#include <boost/exception/get_error_info.hpp>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

#include "switchd/api/errors.h"
#include "switchd/api/methods.h"
#include "switchd/api/rows.h"
#include "switchd/base/limits.h"
#include "switchd/control/dispatcher.h"
#include "switchd/model/mirror.h"

namespace vswitch::api {
namespace {

/// The objects that the methods of this file use.
struct ExplainMethods : Methods {
  bridge::ExplainView& frames;
  bridge::DatapathView& datapath;
};

std::string to_hex(const std::vector<std::uint8_t>& bytes) {
  std::string text;
  boost::algorithm::hex_lower(bytes, std::back_inserter(text));
  return text;
}

std::vector<std::uint8_t> from_hex(const std::string& text) {
  std::vector<std::uint8_t> bytes;
  try {
    boost::algorithm::unhex(text, std::back_inserter(bytes));
  } catch (const boost::algorithm::non_hex_input& error) {
    const char wrong = *boost::get_error_info<boost::algorithm::bad_char>(error);
    throw invalid("frame", std::string(1, wrong), "frame must consist of hexadecimal digits");
  } catch (const boost::algorithm::not_enough_input&) {
    throw invalid("frame", text.size(), "frame must have an even number of hexadecimal digits");
  }
  return bytes;
}

Json explanation_json(const bridge::Explanation& explanation) {
  Json outputs = Json::array();
  for (const auto& output : explanation.outputs) {
    outputs.push_back({{"port", output.port}, {"frame", to_hex(output.frame)}});
  }
  Json copies = Json::array();
  for (const auto& copy : explanation.copies) {
    copies.push_back({{"session", copy.session}, {"port", copy.port}, {"frame", to_hex(copy.frame)}});
  }
  Json mirrors = Json::array();
  for (const auto& verdict : explanation.mirrors) {
    mirrors.push_back({{"session", verdict.session},
                       {"copied", verdict.copied},
                       {"reason", verdict.reason},
                       {"then", verdict.then}});
  }
  Json fast_path = {{"carried", explanation.fast_path.is_carried},
                    {"user_copies", explanation.fast_path.user_copies}};
  if (!explanation.fast_path.is_carried) fast_path["reason"] = explanation.fast_path.reason;
  return {{"trace", explanation.trace},
          {"outputs", outputs},
          {"copies", copies},
          {"mirrors", mirrors},
          {"fast_path", fast_path}};
}

/// Requests of one client that wait for a frame: they end with the client.
struct Waiting {
  std::set<std::uint64_t> requests;
  bool ends_with_session = false;
};

std::string seconds(double wait) {
  std::ostringstream text;
  text << wait << (wait == 1 ? " second" : " seconds");
  return text.str();
}

void explain_next(const ExplainMethods& methods, control::Client& session, const std::string& bridge,
                  const std::string& in_port, const Json& next, const control::Reply& reply) {
  if (session.read_only()) {
    throw jsonrpc::Error(control::kReadOnly,
                         "`explain --next` shows a frame of somebody else, and this connection may only read "
                         "settings and counters; " +
                             std::string(control::kMayWrite),
                         {{"reason", "read_only"}, {"field", "next"}, {"value", next}});
  }
  std::optional<Match> match;
  if (next["match"].is_string()) {
    Match::Parsed parsed = Match::parse(next["match"].get<std::string>());
    if (!parsed.match) throw invalid("next.match", next["match"], "next.match: " + parsed.trouble);
    match = std::move(parsed.match);
  }
  const double wait = next["wait"];
  const auto patience = std::chrono::milliseconds(static_cast<std::int64_t>(wait * 1000));
  // The state lives as long as the session, which is alive if it has not ended.
  auto& waiting = session.state<Waiting>();
  const auto number = std::make_shared<std::uint64_t>(0);
  const auto done = [reply, number, bridge, in_port, wait, has_match = match.has_value(),
                     client = session.weak_from_this()](std::optional<bridge::NextFrame> caught) {
    if (const auto alive = client.lock()) alive->state<Waiting>().requests.erase(*number);
    if (!caught) {
      reply.fail(unavailable(
          "no frame" + std::string(has_match ? " that fits the match" : "") + " arrived on " +
          (in_port.empty() ? "any port of " + bridge : "port " + in_port) + " within " + seconds(wait)));
    } else if (!caught->explanation) {
      reply.fail(unavailable("a frame arrived, but port " + caught->in_port + " is no longer receiving"));
    } else {
      Json result = explanation_json(*caught->explanation);
      result["in_port"] = caught->in_port;
      result["frame"] = to_hex(caught->frame);
      reply(std::move(result));
    }
  };
  if (waiting.requests.size() >= limits::kExplainNext) {
    throw unavailable("this client has " + std::to_string(limits::kExplainNext) +
                      " pending `explain --next` requests, which is its limit; wait for one of them");
  }
  const auto request = methods.frames.explain_next(bridge, in_port, std::move(match), patience, done);
  if (!request) throw unavailable("too many pending `explain --next` requests (limit 8); retry later");
  *number = *request;
  waiting.requests.insert(*request);
  if (std::exchange(waiting.ends_with_session, true)) return;
  session.on_close([frames = &methods.frames, client = &session] {
    for (const std::uint64_t one : client->state<Waiting>().requests) frames->stop_waiting(one);
  });
}

void explain(const ExplainMethods& methods, control::Client& session, const Json& params,
             const control::Reply& reply) {
  const Row& bridge = bridge_named(methods.database, params["bridge"]);
  const std::string in_port = params.value("in_port", "");
  const model::ByName ports = model::ports_of(methods.database, bridge);
  if (params.contains("in_port") && !ports.contains(in_port)) {
    throw not_found("in_port", in_port, "bridge " + bridge.str("name") + " has no port " + in_port);
  }
  const bool is_next = params.contains("next");
  if (is_next == params.contains("frame"))
    throw invalid("frame", nullptr,
                  is_next ? "frame and next exclude each other: next explains the next frame that arrives"
                          : "frame is missing: give the frame to explain, or next to wait for one");
  if (is_next) return explain_next(methods, session, bridge.str("name"), in_port, params["next"], reply);
  if (in_port.empty())
    throw invalid("in_port", nullptr, "in_port is missing: the port on which the frame arrives");
  const auto explanation = methods.frames.explain(bridge.str("name"), in_port, from_hex(params["frame"]));
  if (!explanation) throw unavailable("port " + in_port + " is not receiving: port.get shows its state");
  reply(explanation_json(*explanation));
}

struct Watcher {
  const Row& bridge;
  const Row& mirror;
  const model::MirrorSettings& session;
};

Json entry(const Watcher& watcher, const char* role, const Json& direction, const char* via) {
  return {{"bridge", watcher.bridge.str("name")},
          {"name", watcher.session.name},
          {"role", role},
          {"direction", direction},
          {"via", via},
          {"enabled", watcher.session.enabled},
          {"state", model::state_of_mirror(watcher.mirror).state}};
}

/// How a session relates to a port: as source, as destination, as both, or not at all.
void add_entries(Json& entries, const Watcher& watcher, const bridge::BoundSources& bound,
                 const std::string& port, bool on_bridge) {
  const model::MirrorSettings& session = watcher.session;
  const auto named = session.source_ports.find(port);
  if (session.all && on_bridge) {
    entries.push_back(entry(watcher, "source", "both", "all"));
  } else if (named != session.source_ports.end()) {
    entries.push_back(entry(watcher, "source", named->second, "port"));
  } else if (session.only_vlans() && on_bridge) {
    entries.push_back(entry(watcher, "source", "both", "vlan"));
  }
  for (const auto& [pattern, direction] : session.source_patterns) {
    const auto ports = bound.find(pattern);
    if (ports != bound.end() &&
        std::find(ports->second.begin(), ports->second.end(), port) != ports->second.end())
      entries.push_back(entry(watcher, "source", direction, "pattern"));
  }
  if (session.destination_ports.contains(port))
    entries.push_back(entry(watcher, "destination", nullptr, "port"));
}

Json who(const Database& database, bridge::DatapathView& datapath, const std::string& port) {
  Json entries = Json::array();
  bool exists = false;
  for (const auto& [bridge_name, bridge] : model::bridges(database)) {
    const bool on_bridge = model::ports_of(database, *bridge).contains(port);
    for (const auto& [name, mirror] : model::mirrors_of(database, *bridge)) {
      const model::MirrorSettings session = model::read_mirror(database, *mirror);
      add_entries(entries, {*bridge, *mirror, session}, datapath.bound_sources(mirror->uuid()), port,
                  on_bridge);
    }
    exists = exists || on_bridge;
  }
  if (!exists && entries.empty())
    throw not_found("port", port, "there is no port " + port + ", and no session waits for it");
  return {{"port", port}, {"sessions", entries}};
}

}  // namespace

void add_explain_methods(Methods& methods, bridge::ExplainView& frames, bridge::DatapathView& datapath) {
  const ExplainMethods shared{methods, frames, datapath};
  methods.later("mirror.explain",
                [shared](control::Client& session, const Json& params, const control::Reply& reply) {
                  explain(shared, session, params, reply);
                });
  methods.read("mirror.who", [shared](const Json& params) {
    return who(shared.database, shared.datapath, params["port"]);
  });
}

}  // namespace vswitch::api
