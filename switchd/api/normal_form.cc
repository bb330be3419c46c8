// SPDX-License-Identifier: Apache-2.0
#include "switchd/api/normal_form.h"

#include <set>

#include "switchd/api/mirror_session.h"
#include "switchd/model/mirror_endpoint.h"

namespace vswitch::api {
namespace {

void drop_equal(Json& object, const Json& defaults) {
  for (const auto& [name, value] : defaults.items()) {
    const auto found = object.find(name);
    if (found != object.end() && *found == value) object.erase(found);
  }
}

void drop_null(Json& object) {
  for (auto at = object.begin(); at != object.end();) at = at->is_null() ? object.erase(at) : std::next(at);
}

/// "t1" instead of {"name": "t1", "direction": "both"}.
Json short_source(Json source) {
  if (source["direction"] == "both") source.erase("direction");
  return source.size() == 1 && source.contains("name") ? source["name"] : source;
}

Json short_sources(const Json& full) {
  Json sources = full;
  for (Json& source : sources["ports"]) source = short_source(std::move(source));
  drop_equal(sources, {{"ports", Json::array()}, {"vlans", Json::array()}, {"all", false}});
  return sources;
}

Json short_destination(const Json& full, const model::MirrorSettings& session) {
  static const Json kDefaults = model::members_of(model::mirror_endpoint_columns(), model::MirrorEndpoint());
  Json destination = full;
  drop_equal(destination, {{"ports", Json::array()},
                           {"vlan", nullptr},
                           {"keep_vlan", false},
                           {"capture", false},
                           {"record_bytes", nullptr},
                           {"record_seconds", nullptr},
                           {"strip_vlan", strips_by_itself(session, false)}});
  for (const model::MirrorEndpoint& endpoint : session.endpoints) {
    Json one = model::members_of(model::mirror_endpoint_columns(), endpoint);
    drop_equal(one, kDefaults);
    destination["endpoints"].push_back(std::move(one));
  }
  return destination;
}

Json members_of_port(const PortSettings& settings) {
  Json full = model::members_of(model::port_columns(), settings.port);
  full.update(model::members_of(model::interface_columns(), settings.interface));
  if (full["type"] == "") full["type"] = "system";
  full.update({{"external_ids", settings.external_ids},
               {"priority_tags", settings.port.priority_tags()},
               {"qinq_ethtype", settings.port.qinq_ethtype()},
               {"transient", settings.port.transient()}});
  return full;
}

Json members_of_bridge(const model::Bridge& bridge) {
  Json full = model::members_of(model::bridge_columns(), bridge);
  full.update({{"mac_aging_time", bridge.mac_aging_seconds()},
               {"mac_table_size", bridge.mac_table_size()},
               {"forward_bpdu", bridge.forward_bpdu()}});
  return full;
}

void compare(const Json& before, const Json& after, const std::string& prefix, Json& list) {
  std::set<std::string> names;
  for (const Json* side : {&before, &after}) {
    for (const auto& [name, value] : side->items()) names.insert(name);
  }
  const Json none = Json::object();
  for (const std::string& name : names) {
    const Json was = before.value(name, Json()), is = after.value(name, Json());
    if (was == is) continue;
    if (was.is_object() || is.is_object()) {
      compare(was.is_object() ? was : none, is.is_object() ? is : none, prefix + name + '.', list);
    } else {
      list.push_back({{"member", prefix + name}, {"before", was}, {"after", is}});
    }
  }
}

}  // namespace

Json normal_form(const model::MirrorSettings& session) {
  static const Json kDefaults = settings_json(model::MirrorSettings());
  const Json full = settings_json(session);
  Json text = full;
  for (const char* group : {"name", "sources", "destination"}) text.erase(group);
  drop_equal(text, kDefaults);
  for (const char* group : {"rate", "expires"}) {
    if (!text.contains(group)) continue;
    drop_null(text[group]);
    if (text[group].value("connection", true) == false) text[group].erase("connection");
  }
  if (Json sources = short_sources(full["sources"]); !sources.empty()) text["sources"] = std::move(sources);
  if (Json destination = short_destination(full["destination"], session); !destination.empty())
    text["destination"] = std::move(destination);
  return text;
}

Json normal_form(const PortSettings& port) {
  static const Json kDefaults = members_of_port({});
  Json text = members_of_port(port);
  drop_equal(text, kDefaults);
  return text;
}

Json normal_form(const model::Bridge& bridge) {
  static const Json kDefaults = members_of_bridge({});
  Json text = members_of_bridge(bridge);
  drop_equal(text, kDefaults);
  return text;
}

Json differences(const Json& before, const Json& after) {
  Json list = Json::array();
  compare(before, after, "", list);
  return list;
}

}  // namespace vswitch::api
