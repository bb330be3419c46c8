// SPDX-License-Identifier: Apache-2.0
// The session API over a real database in memory and a switch that applies changes when the test says so.
#pragma once

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schemas/openrpc.h"
#include "switchd/api/api.h"
#include "switchd/api/errors.h"
#include "switchd/db/transaction.h"
#include "switchd/document/document.h"
#include "switchd/vsphere/vsphere.h"

namespace vswitch::api::test {

using ovsdb::Datum;
using ovsdb::Row;
using ovsdb::Uuid;

class FakeSwitch : public bridge::AppliedView,
                   public bridge::FdbView,
                   public bridge::CountersView,
                   public bridge::DatapathView,
                   public bridge::ExplainView {
 public:
  bridge::SwitchView parts() { return {*this, *this, *this, *this, *this}; }
  void when_applied(std::function<void()> done) override {
    if (immediate) {
      done();
    } else {
      waiting.push_back(std::move(done));
    }
  }
  void apply() {
    for (auto& done : std::exchange(waiting, {})) done();
  }
  std::vector<bridge::FdbEntry> fdb(const std::string& bridge) override {
    return bridge == "br0" ? learned : std::vector<bridge::FdbEntry>();
  }
  std::size_t flush_fdb(const std::string& bridge) override {
    flushed = bridge;
    return std::exchange(learned, {}).size();
  }
  bool pin_fdb(const std::string&, const std::string& port, VlanId vlan, const MacAddr& mac) override {
    learned.push_back({.port = port, .vlan = vlan, .mac = mac, .pinned = true});
    return true;
  }
  bool unpin_fdb(const std::string&, VlanId vlan, const MacAddr& mac) override {
    return std::erase_if(learned, [&](const bridge::FdbEntry& entry) {
             return entry.pinned && entry.vlan == vlan && entry.mac == mac;
           }) != 0;
  }
  bridge::FdbStatistics fdb_statistics(const std::string&) override { return of_fdb; }
  void clear_fdb_statistics(const std::string&) override { of_fdb = {}; }
  std::optional<std::uint32_t> datapath_number(const std::string&, const std::string& port) override {
    const auto found = numbers.find(port);
    return found == numbers.end() ? std::nullopt : std::optional(found->second);
  }
  bridge::DatapathState datapath_state() override { return of_datapath; }
  bridge::CounterMap mirror_counters(const Uuid& mirror) override { return of_mirror[mirror]; }
  std::map<std::string, bridge::CounterMap> destination_counters(const Uuid& mirror) override {
    return of_destinations[mirror];
  }
  void reset_mirror_counters(const std::vector<Uuid>& mirrors) override { reset = mirrors; }
  std::string mirror_notice(const Uuid& mirror) override { return notice_of_mirror[mirror]; }
  bridge::BoundSources bound_sources(const Uuid&) override { return bound; }
  std::string add_capture(const Uuid& mirror, UniqueFd socket) override {
    if (!socket) return "no socket";
    captured = mirror;
    return {};
  }
  std::optional<bridge::Recording> recording(const Uuid& mirror) override {
    const auto found = recordings.find(mirror);
    return found == recordings.end() ? std::nullopt : std::optional(found->second);
  }
  std::string dump_record(const Uuid& mirror, UniqueFd socket, bool clear, bridge::Recording& held) override {
    if (!socket) return "no socket";
    dumped = {mirror, clear};
    held = recordings.at(mirror);
    return {};
  }
  bridge::CounterMap interface_counters(const Uuid& interface) override { return of_interface[interface]; }
  bridge::CounterMap drops() override { return dropped; }
  std::size_t workers() override { return 3; }
  std::optional<bridge::Explanation> explain(const std::string& bridge, const std::string& in_port,
                                             std::span<const std::uint8_t> frame) override {
    explained = {bridge, in_port, std::vector<std::uint8_t>(frame.begin(), frame.end())};
    return explanation;
  }

  std::optional<std::uint64_t> explain_next(
      const std::string& bridge, const std::string& in_port, std::optional<Match> match,
      std::chrono::milliseconds patience,
      std::function<void(std::optional<bridge::NextFrame>)> done) override {
    if (!may_wait) return std::nullopt;
    waiters[++last_waiter] = {bridge, in_port, match ? match->text() : "", patience, std::move(done)};
    return last_waiter;
  }
  void stop_waiting(std::uint64_t request) override { waiters.erase(request); }
  void answer(std::uint64_t request, std::optional<bridge::NextFrame> frame) {
    const auto done = waiters.at(request).done;
    waiters.erase(request);
    done(std::move(frame));
  }

  struct Waiter {
    std::string bridge, port, match;
    std::chrono::milliseconds patience;
    std::function<void(std::optional<bridge::NextFrame>)> done;
  };
  std::map<std::uint64_t, Waiter> waiters;
  std::uint64_t last_waiter = 0;
  bool may_wait = true;
  bool immediate = true;
  std::vector<std::function<void()>> waiting;
  std::vector<bridge::FdbEntry> learned;
  std::string flushed;
  bridge::FdbStatistics of_fdb;
  std::map<std::string, std::uint32_t> numbers;
  bridge::DatapathState of_datapath;
  std::map<Uuid, std::map<std::string, bridge::CounterMap>> of_destinations;
  std::vector<Uuid> reset;
  std::optional<Uuid> captured;
  std::map<Uuid, bridge::Recording> recordings;
  std::optional<std::pair<Uuid, bool>> dumped;
  bridge::BoundSources bound;
  std::map<Uuid, bridge::CounterMap> of_mirror, of_interface;
  std::map<Uuid, std::string> notice_of_mirror;
  bridge::CounterMap dropped;
  std::optional<bridge::Explanation> explanation;
  struct Asked {
    std::string bridge, port;
    std::vector<std::uint8_t> frame;
  } explained;
};

class FakeSession : public control::Client {
 public:
  explicit FakeSession(std::optional<control::PeerCredentials> peer = std::nullopt)
      : Client(peer ? "db.sock" : "tcp:192.0.2.7:50112", peer) {}
  void hang_up() { ended(); }
  void pass(UniqueFd descriptor) { receive_descriptor(std::move(descriptor)); }
  std::vector<Json> heard;

 protected:
  void write(std::string text) override { heard.push_back(Json::parse(text)); }
  void shut(const std::string&) override {}
};

class ApiTest : public testing::Test {
 protected:
  ApiTest() {
    register_api(dispatcher, database, view.parts(), history);
    document::register_methods(dispatcher, database, view.parts().applied, history);
    vsphere::register_methods(dispatcher, database, view.parts().applied, history);
  }

  /// Sends a request; the answer may come later, then it is null for now.
  std::shared_ptr<Json> send(const std::string& method, const Json& params) {
    auto answer = std::make_shared<Json>();
    jsonrpc::Request request;
    request.id = 7;
    request.wants_reply = true;
    request.method = method;
    request.params = params;
    dispatcher.dispatch(*client, request, control::Reply(request, [answer](std::optional<Json> message) {
      *answer = *message;
    }));
    return answer;
  }

  /// The result of a request that succeeds; every one is checked against the contract.
  Json good(const std::string& method, const Json& params = Json::object()) {
    const Json answer = *send(method, params);
    EXPECT_TRUE(answer.contains("result")) << method << ' ' << params.dump() << " -> " << answer.dump();
    if (!answer.contains("result")) return nullptr;
    const auto violation = openrpc::control().check_result(method, answer["result"]);
    EXPECT_FALSE(violation) << method << " result: " << violation->sentence;
    return answer["result"];
  }

  /// The error of a request that is refused; nothing may have changed, and the data is as the contract says.
  Json refused(const std::string& method, const Json& params) {
    const std::string before = contents();
    const Json answer = *send(method, params);
    EXPECT_TRUE(answer.contains("error")) << method << ' ' << params.dump() << " -> " << answer.dump();
    EXPECT_TRUE(contents() == before) << method << " was refused and changed the database";
    if (!answer.contains("error")) return nullptr;
    const Json error = answer["error"];
    const auto strict = error["data"].contains("fault") + error["data"].contains("sessions") +
                        error["data"].contains("revision");
    EXPECT_EQ(error["data"].size(), 3u + static_cast<std::size_t>(strict));
    for (const char* member : {"reason", "field", "value"})
      EXPECT_TRUE(error["data"].contains(member)) << member;
    EXPECT_TRUE(declared(method, error["code"])) << method << " does not declare " << error.dump();
    return error;
  }

  /// "reason field: sentence"
  std::string refusal(const std::string& method, const Json& params) {
    const Json error = refused(method, params);
    if (error.is_null()) return "not refused";
    return error["data"]["reason"].get<std::string>() + ' ' + error["data"]["field"].get<std::string>() +
           ": " + error["message"].get<std::string>();
  }

  static bool declared(const std::string& method, const Json& code) {
    const Json& document = openrpc::control().document();
    for (const Json& one : document["methods"]) {
      if (one["name"] != method) continue;
      for (const Json& error : one["errors"]) {
        const std::string pointer = error["$ref"].get<std::string>().substr(1);
        if (document[Json::json_pointer(pointer)]["code"] == code) return true;
      }
    }
    return false;
  }

  /// Everything in the database as text, rows in order of their UUIDs.
  std::string contents() const {
    std::map<std::string, std::string> rows;
    for (const auto& table : database.schema().tables) {
      for (const Row& row : database.table(table.name)) {
        std::string& text = rows[table.name + ' ' + row.uuid().to_string()];
        for (std::size_t column = 0; column < table.columns.size(); ++column)
          text += to_text(row[column]) + '|';
      }
    }
    std::string all;
    for (const auto& [key, text] : rows) all += key + ": " + text + '\n';
    return all;
  }

  static std::string to_text(const Datum& datum) {
    std::string text;
    for (const auto& key : datum.keys()) text += ovsdb::to_text(key) + ' ';
    for (const auto& value : datum.values()) text += "=" + ovsdb::to_text(value) + ' ';
    return text;
  }

  const Row& row(const std::string& table, const std::string& name) {
    const Row* found = database.table(table).find("name", name);
    if (found == nullptr) throw std::out_of_range(table + " has no " + name);
    return *found;
  }
  bool has(const std::string& table, const std::string& name) {
    return database.table(table).find("name", name) != nullptr;
  }

  /// What an OVSDB client or the switch writes.
  void write(const std::string& table, const Uuid& uuid, const std::string& column, Datum datum) {
    ovsdb::Transaction transaction(database);
    transaction.set(table, uuid, column, std::move(datum));
    const auto error = transaction.commit();
    EXPECT_FALSE(error) << error->what();
  }
  /// A session as `ovs-vsctl ... create Mirror` makes it.
  Uuid insert_mirror(const std::string& bridge, const std::string& name) {
    ovsdb::Transaction transaction(database);
    const Uuid mirror = transaction.insert("Mirror");
    transaction.set("Mirror", mirror, "name", Datum::of(name));
    transaction.add("Bridge", row("Bridge", bridge).uuid(), "mirrors", Datum::of(mirror));
    EXPECT_FALSE(transaction.commit());
    return mirror;
  }
  void set_status(const std::string& table, const std::string& name,
                  std::map<std::string, std::string> status) {
    write(table, row(table, name).uuid(), "status", Datum::map_of(status));
  }

  /// br0 with t1, t2, t3 and br1 with u1.
  void build() {
    for (const char* bridge : {"br0", "br1"}) good("bridge.add", {{"name", bridge}});
    for (const char* port : {"t1", "t2", "t3"}) good("port.add", {{"bridge", "br0"}, {"name", port}});
    good("port.add", {{"bridge", "br1"}, {"name", "u1"}});
  }
  static Json span(const std::string& name, const std::vector<Json>& sources,
                   const std::vector<Json>& destinations) {
    return {{"bridge", "br0"},
            {"name", name},
            {"sources", {{"ports", sources}}},
            {"destination", {{"ports", destinations}}}};
  }
  static Json with(Json object, const Json& members) {
    object.update(members);
    return object;
  }

  boost::asio::io_context io;
  ovsdb::Database database{ovsdb::vswitch_schema()};
  std::int64_t now_ms = 1'767'600'000'000;  ///< 2026-01-05T08:00:00Z
  history::History history{io, database, "", {[this] { return now_ms; }, [this] { return now_ms; }}};
  FakeSwitch view;
  control::Dispatcher dispatcher;
  std::shared_ptr<FakeSession> client = std::make_shared<FakeSession>();
};

}  // namespace vswitch::api::test
