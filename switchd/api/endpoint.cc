// SPDX-License-Identifier: Apache-2.0
#include "switchd/api/endpoint.h"

#include <array>
#include <map>
#include <utility>
#include <vector>

#include "switchd/api/errors.h"
#include "switchd/bridge/tunnel_settings.h"

namespace vswitch::api {
namespace {

using ovsdb::Datum;
using ovsdb::Uuid;

struct Member {
  const char* key;
  const char* column;
};
constexpr std::array<Member, 4> kTexts = {
    {{"ip", "remote_ip"}, {"encap", "encap"}, {"local_ip", "local_ip"}, {"timestamp", "timestamp"}}};
constexpr std::array<Member, 8> kNumbers = {{{"key", "key"},
                                             {"dst_port", "dst_port"},
                                             {"session_id", "session_id"},
                                             {"index", "index"},
                                             {"cos", "cos"},
                                             {"hwid", "hwid"},
                                             {"ttl", "ttl"},
                                             {"dscp", "dscp"}}};
constexpr std::array<Member, 2> kTruths = {{{"subheader", "subheader"}, {"dont_fragment", "dont_fragment"}}};

std::vector<std::pair<const char*, Datum>> columns_of(const Json& endpoint) {
  std::vector<std::pair<const char*, Datum>> columns;
  for (const auto& [key, column] : kTexts) {
    if (!endpoint[key].is_null()) columns.emplace_back(column, Datum::of(endpoint[key].get<std::string>()));
  }
  for (const auto& [key, column] : kNumbers) {
    if (!endpoint[key].is_null()) columns.emplace_back(column, Datum::of(endpoint[key].get<std::int64_t>()));
  }
  for (const auto& [key, column] : kTruths) {
    if (!endpoint[key].is_null()) columns.emplace_back(column, Datum::of(endpoint[key].get<bool>()));
  }
  return columns;
}

Json read_endpoint(const Row& row) {
  Json endpoint;
  for (const auto& [key, column] : kTexts)
    endpoint[key] = row.str(column).empty() ? Json() : Json(row.str(column));
  for (const auto& [key, column] : kNumbers) {
    const auto number = row.integer(column);
    endpoint[key] = number ? Json(*number) : Json();
  }
  for (const auto& [key, column] : kTruths) {
    const auto truth = row.boolean(column);
    endpoint[key] = truth ? Json(*truth) : Json();
  }
  return endpoint;
}

std::map<Json, Uuid> rows_of(const Database& database, const Row& mirror) {
  std::map<Json, Uuid> rows;
  for (const Uuid& uuid : mirror.uuids("endpoints")) {
    if (const Row* row = database.find("Mirror_Endpoint", uuid)) rows.emplace(read_endpoint(*row), uuid);
  }
  return rows;
}

}  // namespace

std::set<Json> read_endpoints(const Database& database, const Row& mirror) {
  std::set<Json> endpoints;
  for (const auto& [endpoint, uuid] : rows_of(database, mirror)) endpoints.insert(endpoint);
  return endpoints;
}

void check_endpoint(const Database& database, const Json& endpoint, bool may_fragment) {
  const ovsdb::TableSchema& schema = database.table("Mirror_Endpoint").schema();
  Row row(schema, Uuid{});
  for (auto& [column, datum] : columns_of(endpoint)) row.set(schema.at(column), std::move(datum));
  const bridge::DesiredEndpoint desired =
      bridge::read_endpoint(row, may_fragment ? MtuPolicy::fragment : MtuPolicy::truncate);
  if (desired.refusal.empty()) return;
  const std::string ip = endpoint["ip"].is_null() ? "" : endpoint["ip"].get<std::string>();
  throw invalid("destination.endpoints", ip, "endpoint " + ip + ": " + desired.refusal);
}

void write_endpoints(ovsdb::Transaction& transaction, const Database& database, const Uuid& mirror,
                     const std::set<Json>& endpoints) {
  const Row* row = database.find("Mirror", mirror);
  const std::map<Json, Uuid> present = row == nullptr ? std::map<Json, Uuid>() : rows_of(database, *row);
  std::vector<Uuid> uuids;
  for (const Json& endpoint : endpoints) {
    if (const auto found = present.find(endpoint); found != present.end()) {
      uuids.push_back(found->second);
      continue;
    }
    const Uuid made = transaction.insert("Mirror_Endpoint");
    for (auto& [column, datum] : columns_of(endpoint))
      transaction.set("Mirror_Endpoint", made, column, std::move(datum));
    uuids.push_back(made);
  }
  transaction.set("Mirror", mirror, "endpoints", Datum::set_of(uuids));
}

Json endpoints_json(const Database& database, const Row& mirror) {
  Json list = Json::array();
  for (const auto& [endpoint, uuid] : rows_of(database, mirror)) {
    const auto status = database.find("Mirror_Endpoint", uuid)->map("status");
    Json json = endpoint;
    for (const char* key : {"state", "reason", "source", "device"}) {
      const auto found = status.find(key);
      json[key] = found == status.end() ? Json() : Json(found->second);
    }
    const auto mtu = status.find("mtu");
    json["mtu"] = mtu == status.end() ? Json() : Json(std::stoll(mtu->second));
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace vswitch::api
