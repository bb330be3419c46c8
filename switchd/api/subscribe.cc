// SPDX-License-Identifier: Apache-2.0
// subscribe and unsubscribe: the events of the history as notifications.
//
// A client that subscribes gets the states at that moment with the answer, and every event after it as a
// notification, so it misses nothing and has nothing to poll. What comes about and goes away within one commit
// is not reported.
#include <map>
#include <memory>
#include <set>

#include "schemas/jsonrpc/message.h"
#include "switchd/api/methods.h"
#include "switchd/api/rows.h"
#include "switchd/base/wall_clock.h"

namespace vswitch::api {
namespace {

using Topics = std::set<std::string>;

Json state_json(const std::string& bridge, const std::string& name, const std::string& state,
                const std::string& reason) {
  return {{"bridge", bridge}, {"name", name}, {"state", state}, {"reason", reason}};
}

Json states_of_mirrors(const Database& database) {
  Json states = Json::array();
  for (const auto& [bridge_name, bridge] : model::bridges(database)) {
    for (const auto& [name, mirror] : model::mirrors_of(database, *bridge)) {
      const model::MirrorState state = model::state_of_mirror(*mirror);
      states.push_back(state_json(bridge_name, name, state.state, state.reason));
    }
  }
  return states;
}

Json states_of_ports(const Database& database) {
  Json states = Json::array();
  for (const auto& [bridge_name, bridge] : model::bridges(database)) {
    for (const auto& [name, port] : model::ports_of(database, *bridge)) {
      const Row* interface = model::interface_of(database, *port);
      if (interface == nullptr) continue;
      const model::PortState state = model::state_of(*interface);
      states.push_back(state_json(bridge_name, name, state.state, state.reason));
    }
  }
  return states;
}

class Notifier : public std::enable_shared_from_this<Notifier> {
 public:
  Notifier(Database& database, history::History& history) : database_(database), history_(history) {}

  Json subscribe(control::Client& session, const Json& params) {
    const auto topics = params["topics"].get<Topics>();
    auto [at, inserted] = subscribers_.try_emplace(session.id(), Subscriber{session.weak_from_this(), {}});
    at->second.topics.insert(topics.begin(), topics.end());
    Json result = {
        {"topics", at->second.topics}, {"time", iso_time(history_.now_ms())}, {"last", history_.last()}};
    if (inserted) {
      session.on_close([weak = weak_from_this(), id = session.id()] {
        if (const auto notifier = weak.lock()) notifier->subscribers_.erase(id);
      });
    }
    if (!params["snapshot"].get<bool>()) return result;
    result["snapshot"] = Json::object();
    if (topics.contains("mirror.state")) result["snapshot"]["mirrors"] = states_of_mirrors(database_);
    if (topics.contains("port.state")) result["snapshot"]["ports"] = states_of_ports(database_);
    return result;
  }

  Json unsubscribe(control::Client& session, const Topics& topics) {
    const auto at = subscribers_.find(session.id());
    if (at == subscribers_.end()) return {{"topics", Json::array()}};
    // The entry stays, without topics: its on_close() is registered only once.
    for (const std::string& topic : topics) at->second.topics.erase(topic);
    return {{"topics", at->second.topics}};
  }

  void notify(const std::string& topic, const Json& params) const {
    if (subscribers_.empty()) return;
    const std::string message =
        jsonrpc::to_text(jsonrpc::make_notification(jsonrpc::Version::v2, topic, params));
    const auto subscribers = subscribers_;  // a full backlog closes the session, which erases its entry
    for (const auto& [id, subscriber] : subscribers) {
      if (!subscriber.topics.contains(topic)) continue;
      if (const auto session = subscriber.session.lock()) session->send_text(message);
    }
  }

 private:
  struct Subscriber {
    std::weak_ptr<control::Client> session;
    Topics topics;
  };

  Database& database_;
  history::History& history_;
  std::map<std::uint64_t, Subscriber> subscribers_;
};

}  // namespace

void add_subscriptions(Methods& methods) {
  const auto notifier = std::make_shared<Notifier>(methods.database, methods.history);
  methods.history.on_event(
      [notifier](const std::string& topic, const Json& params) { notifier->notify(topic, params); });
  methods.session("subscribe", [notifier](control::Client& session, const Json& params) {
    return notifier->subscribe(session, params);
  });
  methods.session("unsubscribe", [notifier](control::Client& session, const Json& params) {
    return notifier->unsubscribe(session, params["topics"].get<Topics>());
  });
}

}  // namespace vswitch::api
