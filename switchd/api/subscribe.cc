// SPDX-License-Identifier: Apache-2.0
// subscribe, unsubscribe, and the notifications mirror.state, port.state and mirror.loss.
//
// After each commit that touches a topic, the states in the rows are compared with those of the commit
// before, and differences are reported. So no change is missed, whatever caused it, but a state that appears
// and disappears within one commit is not reported. Without subscribers nothing is kept or compared.
#include <map>
#include <memory>
#include <set>

#include "schemas/jsonrpc/message.h"
#include "switchd/api/methods.h"
#include "switchd/api/rows.h"

namespace vswitch::api {
namespace {

constexpr const char* kMirrorState = "mirror.state";
constexpr const char* kPortState = "port.state";
constexpr const char* kMirrorLoss = "mirror.loss";

struct Observed {
  std::string bridge, name, state, reason;
  bridge::CounterMap lost;  ///< "lost" and "lost_<cause>" of a session
  auto place() const { return std::tie(bridge, name, state, reason); }
};
using ObservedRows = std::map<ovsdb::Uuid, Observed>;

ObservedRows observe_mirrors(const Database& database) {
  ObservedRows rows;
  for (const auto& [bridge_name, bridge] : model::bridges(database)) {
    for (const auto& [name, mirror] : model::mirrors_of(database, *bridge)) {
      const model::MirrorState state = model::state_of_mirror(*mirror);
      Observed& row = rows[mirror->uuid()] = {bridge_name, name, state.state, state.reason, {}};
      for (const auto& [key, count] : mirror->counters("statistics")) {
        if (key.starts_with("lost")) row.lost[key] = count;
      }
    }
  }
  return rows;
}

ObservedRows observe_ports(const Database& database) {
  ObservedRows rows;
  for (const auto& [bridge_name, bridge] : model::bridges(database)) {
    for (const auto& [name, port] : model::ports_of(database, *bridge)) {
      const Row* interface = model::interface_of(database, *port);
      if (interface == nullptr) continue;
      const model::PortState state = model::state_of(*interface);
      rows[port->uuid()] = {bridge_name, name, state.state, state.reason, {}};
    }
  }
  return rows;
}

class Notifier : public std::enable_shared_from_this<Notifier> {
 public:
  explicit Notifier(Database& database) : database_(database) {}

  Json subscribe(control::Client& session, const std::set<std::string>& topics) {
    if (subscribers_.empty()) observe();
    auto [at, inserted] = subscribers_.try_emplace(session.id(), Subscriber{session.weak_from_this(), {}});
    at->second.topics.insert(topics.begin(), topics.end());
    Json result = {{"topics", at->second.topics}};
    if (inserted) {
      session.on_close([weak = weak_from_this(), id = session.id()] {
        if (const auto notifier = weak.lock()) notifier->subscribers_.erase(id);
      });
    }
    return result;
  }

  Json unsubscribe(control::Client& session, const std::set<std::string>& topics) {
    const auto at = subscribers_.find(session.id());
    if (at == subscribers_.end()) return {{"topics", Json::array()}};
    // The entry stays, without topics: its on_close() is registered only once.
    for (const std::string& topic : topics) at->second.topics.erase(topic);
    return {{"topics", at->second.topics}};
  }

  void committed(const ovsdb::Changes& changes) {
    if (subscribers_.empty()) return;
    const bool places = !changes.of("Bridge").empty();
    if (places || !changes.of("Mirror").empty()) {
      ObservedRows now = observe_mirrors(database_);
      notify_states(kMirrorState, mirrors_, now);
      notify_losses(mirrors_, now);
      mirrors_ = std::move(now);
    }
    if (places || !changes.of("Interface").empty() || !changes.of("Port").empty()) {
      ObservedRows now = observe_ports(database_);
      notify_states(kPortState, ports_, now);
      ports_ = std::move(now);
    }
  }

 private:
  struct Subscriber {
    std::weak_ptr<control::Client> session;
    std::set<std::string> topics;
  };

  void observe() {
    mirrors_ = observe_mirrors(database_);
    ports_ = observe_ports(database_);
  }

  void notify(const char* topic, const Json& params) {
    const Json message = jsonrpc::make_notification(jsonrpc::Version::v2, topic, params);
    const auto subscribers = subscribers_;  // a full backlog closes the session, which erases its entry
    for (const auto& [id, subscriber] : subscribers) {
      if (!subscriber.topics.contains(topic)) continue;
      if (const auto session = subscriber.session.lock()) session->send(message);
    }
  }

  void notify_states(const char* topic, const ObservedRows& before, const ObservedRows& now) {
    const auto say = [&](const Observed& row, const std::string& state, const std::string& reason) {
      notify(topic, {{"bridge", row.bridge}, {"name", row.name}, {"state", state}, {"reason", reason}});
    };
    for (const auto& [uuid, row] : before) {
      if (!now.contains(uuid)) say(row, "removed", "");
    }
    for (const auto& [uuid, row] : now) {
      const auto old = before.find(uuid);
      if (old == before.end() || old->second.place() != row.place()) say(row, row.state, row.reason);
    }
  }

  void notify_losses(const ObservedRows& before, const ObservedRows& now) {
    for (const auto& [uuid, row] : now) {
      const auto old = before.find(uuid);
      Json params = {{"bridge", row.bridge}, {"name", row.name}, {"lost", 0}, {"lost_by", Json::object()}};
      for (const auto& [key, count] : row.lost) {
        const auto was = old == before.end() ? row.lost.end() : old->second.lost.find(key);
        const bool known = old != before.end() && was != old->second.lost.end();
        const std::int64_t grown = count - (known ? was->second : 0);
        if (grown <= 0) continue;
        if (key == "lost") {
          params["lost"] = grown;
        } else {
          params["lost_by"][key.substr(sizeof "lost_" - 1)] = grown;
        }
      }
      if (params["lost"] != 0) notify(kMirrorLoss, params);
    }
  }

  Database& database_;
  std::map<std::uint64_t, Subscriber> subscribers_;
  ObservedRows mirrors_, ports_;
};

}  // namespace

void add_subscriptions(Methods& methods) {
  const auto notifier = std::make_shared<Notifier>(methods.database);
  methods.database.on_commit([notifier](const ovsdb::Changes& changes) { notifier->committed(changes); });
  methods.session("subscribe", [notifier](control::Client& session, const Json& params) {
    return notifier->subscribe(session, params["topics"].get<std::set<std::string>>());
  });
  methods.session("unsubscribe", [notifier](control::Client& session, const Json& params) {
    return notifier->unsubscribe(session, params["topics"].get<std::set<std::string>>());
  });
}

}  // namespace vswitch::api
