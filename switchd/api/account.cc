// SPDX-License-Identifier: Apache-2.0
#include "switchd/api/account.h"

namespace vswitch::api {
namespace {

using ovsdb::Uuid;

/// "erspan2 10.0.0.1 session_id 5"
std::string endpoint_name(const Row& endpoint) {
  std::string text = endpoint.str("encap") + ' ' + endpoint.str("remote_ip");
  for (const char* column : {"key", "session_id", "dst_port"}) {
    if (const auto number = endpoint.integer(column))
      text += std::string(" ") + column + ' ' + std::to_string(*number);
  }
  return text;
}

}  // namespace

Json account_json(bridge::CounterMap counters) {
  constexpr std::string_view kLost = "lost_";
  Json lost_by = Json::object();
  for (const auto& [key, count] : counters) {
    if (key.starts_with(kLost) && count != 0) lost_by[key.substr(kLost.size())] = count;
  }
  Json json = {{"lost_by", lost_by}};
  for (const char* key : {"matched", "delivered", "delivered_bytes", "lost", "duplicate", "sampled_out",
                          "rate_limited", "sent_packets", "truncated", "queued"}) {
    json[key] = counters[key];
  }
  return json;
}

Account account_of(bridge::CountersView& view, const Row& mirror) {
  Account account{view.mirror_counters(mirror.uuid()), view.destination_counters(mirror.uuid())};
  if (account.of_session.empty()) account.of_session = mirror.counters("statistics");
  // Copies are counted meanwhile: both must come from the same reading.
  for (const auto& [name, counters] : account.of_destinations) {
    for (const auto& [key, count] : counters) account.of_session[key] = 0;
  }
  for (const auto& [name, counters] : account.of_destinations) {
    for (const auto& [key, count] : counters) account.of_session[key] += count;
  }
  return account;
}

Json counters_json(bridge::CounterMap counters) {
  Json json = account_json(counters);
  for (const char* key : {"tx_packets", "tx_bytes", "foreign_frames", "production_frames"})
    json[key] = counters[key];
  return json;
}

Json destinations_json(const Database& database, const Account& account) {
  Json list = Json::array();
  bridge::CounterMap
      former;  // endpoints: their rows are gone, their copies are in the account of the session
  for (const auto& [name, counters] : account.of_destinations) {
    const auto uuid = Uuid::parse(name);
    const Row* endpoint = uuid ? database.find("Mirror_Endpoint", *uuid) : nullptr;
    if (uuid && endpoint == nullptr) {
      for (const auto& [key, count] : counters) former[key] += count;
      continue;
    }
    list.push_back({{"name", endpoint == nullptr ? name : endpoint_name(*endpoint)},
                    {"counters", account_json(counters)}});
  }
  if (former["matched"] != 0)
    list.push_back({{"name", "former endpoints"}, {"counters", account_json(former)}});
  return list;
}

}  // namespace vswitch::api
