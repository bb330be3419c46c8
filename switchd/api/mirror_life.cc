// SPDX-License-Identifier: Apache-2.0
#include "switchd/api/mirror_life.h"

#include <charconv>

#include "switchd/api/api.h"
#include "switchd/api/errors.h"
#include "switchd/base/log.h"
#include "switchd/base/wall_clock.h"

namespace vswitch {

namespace {

using ovsdb::Datum;
using ovsdb::Row;
using ovsdb::Uuid;

const log::Module kLog{"sessions"};

/// Ends the sessions among `mirrors` that are bound to a connection and have not ended yet. Captures are removed.
void end_sessions(ovsdb::Database& database, const std::vector<Uuid>& mirrors) {
  const std::int64_t now = wall_now_ms();
  ovsdb::Transaction transaction(database);
  for (const Uuid& uuid : mirrors) {
    const Row* mirror = database.find("Mirror", uuid);
    if (mirror == nullptr) continue;
    if (mirror->boolean("capture") == true) {  // nobody can use it any more
      const Row* bridge = model::bridge_with(database, "mirrors", uuid);
      if (bridge != nullptr) transaction.remove("Bridge", bridge->uuid(), "mirrors", Datum::of(uuid));
      continue;
    }
    if (mirror->boolean("expires_with_connection") != true) continue;
    if (mirror->integer("expires_at").value_or(now) < now) continue;
    transaction.set("Mirror", uuid, "expires_at", Datum::of(now));
  }
  transaction.comment("the connection of sessions has ended");
  if (const auto error = transaction.commit())
    log::err(kLog, "sessions could not be ended with their connection: {}", error->what());
}

}  // namespace

void end_bound_sessions(ovsdb::Database& database) {
  std::vector<Uuid> mirrors;
  for (const Row& mirror : database.table("Mirror")) {
    if (mirror.boolean("expires_with_connection") == true || mirror.boolean("capture") == true)
      mirrors.push_back(mirror.uuid());
  }
  if (!mirrors.empty()) end_sessions(database, mirrors);
}

namespace api {
namespace {

std::int64_t time_of(const Json& at) {
  if (at.is_number()) return at.get<std::int64_t>();
  const auto ms = parse_iso_time(at.get<std::string>());
  if (!ms) {
    throw invalid("expires.at", at,
                  "expires.at must be a time such as 2026-01-05T08:00:00Z, or milliseconds since 1970, not " +
                      at.dump());
  }
  return *ms;
}

/// Null clears the limit; one that is not given stays.
void take_limit(const Json& expires, const char* key, std::optional<std::int64_t>& limit) {
  if (!expires.contains(key)) return;
  limit = expires[key].is_null() ? std::nullopt : std::optional(expires[key].get<std::int64_t>());
}

/// "tcp:192.0.2.1:50112#8" without the port and the suffix that distinguishes connections.
std::string address_of(const control::Client& client) {
  const std::string endpoint = client.name().substr(0, client.name().find('#'));
  return endpoint.starts_with("tcp:") ? endpoint.substr(0, endpoint.rfind(':')) : endpoint;
}

Json number_or_null(const Row& mirror, const char* key) {
  const std::string* text = mirror.value("origin", key);
  if (text == nullptr) return nullptr;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  return error == std::errc() ? Json(number) : Json();
}

}  // namespace

void apply_expires(model::MirrorSettings& session, const Json& expires) {
  const std::int64_t now = wall_now_ms();
  if (expires.is_null() || session.has_ended(now)) {  // what had ended it must not end it again
    session.expires_at = session.expires_packets = session.expires_bytes = std::nullopt;
    session.expires_with_connection = false;
  }
  if (expires.is_null()) return;
  if (expires.empty()) {
    throw invalid("expires", expires,
                  "expires is empty: give seconds, at, packets, bytes or connection, or null");
  }
  if (expires.contains("seconds") && expires.contains("at"))
    throw invalid("expires.at", expires["at"], "expires.seconds and expires.at exclude each other: give one");
  if (expires.contains("seconds")) session.expires_at = now + expires["seconds"].get<std::int64_t>() * 1000;
  if (expires.contains("at"))
    session.expires_at = expires["at"].is_null() ? std::nullopt : std::optional(time_of(expires["at"]));
  if (session.expires_at && *session.expires_at <= now) {
    throw invalid(
        "expires.at", expires.value("at", Json()),
        "expires.at is in the past: the switch's time is " + iso_time(now) + "; mirror.disable ends it now");
  }
  take_limit(expires, "packets", session.expires_packets);
  take_limit(expires, "bytes", session.expires_bytes);
  session.expires_with_connection = expires.value("connection", session.expires_with_connection);
}

void set_end(model::MirrorSettings& session, const Json& expires) {
  const auto number = [&expires](const char* key) {
    return expires.contains(key) ? std::optional(expires[key].get<std::int64_t>()) : std::nullopt;
  };
  session.expires_at = expires.contains("at") ? std::optional(time_of(expires["at"])) : std::nullopt;
  session.expires_packets = number("packets");
  session.expires_bytes = number("bytes");
}

Json expires_json(const model::MirrorSettings& session) {
  const bool never = !session.expires_at && !session.expires_packets && !session.expires_bytes &&
                     !session.expires_with_connection;
  if (never) return nullptr;
  const auto or_null = [](const std::optional<std::int64_t>& number) {
    return number ? Json(*number) : Json();
  };
  return {{"at", session.expires_at ? Json(iso_time(*session.expires_at)) : Json()},
          {"packets", or_null(session.expires_packets)},
          {"bytes", or_null(session.expires_bytes)},
          {"connection", session.expires_with_connection}};
}

Json expires_of_new_life(const model::MirrorSettings& session) {
  Json expires = Json::object();
  if (session.expires_packets) expires["packets"] = *session.expires_packets;
  if (session.expires_bytes) expires["bytes"] = *session.expires_bytes;
  return expires.empty() ? Json() : expires;
}

std::map<std::string, std::string> origin_of(const control::Client& client) {
  std::map<std::string, std::string> origin{{"created", iso_time(wall_now_ms())}};
  if (const auto& peer = client.peer()) {
    origin["owner"] = control::user_name(peer->uid);
    origin["peer_uid"] = std::to_string(peer->uid);
    origin["peer_pid"] = std::to_string(peer->pid);
  } else {
    origin["owner"] = address_of(client);
  }
  return origin;
}

Json origin_json(const Row& mirror) {
  const std::string* owner = mirror.value("origin", "owner");
  const std::string* created = mirror.value("origin", "created");
  if (owner == nullptr || created == nullptr) return nullptr;
  return {{"owner", *owner},
          {"created", *created},
          {"peer_uid", number_or_null(mirror, "peer_uid")},
          {"peer_pid", number_or_null(mirror, "peer_pid")}};
}

void BoundSessions::bind(control::Client& client, const Uuid& mirror) {
  const std::uint64_t id = client.id();
  client_of_[mirror] = id;
  struct Heard {
    bool of = false;
  };
  if (std::exchange(client.state<Heard>().of, true)) return;
  client.on_close([weak = weak_from_this(), id] {
    if (const auto bound = weak.lock()) bound->end_those_of(id);
  });
}

void BoundSessions::end_those_of(std::uint64_t client) {
  std::vector<Uuid> mirrors;
  for (const auto& [mirror, owner] : client_of_) {
    if (owner == client) mirrors.push_back(mirror);
  }
  std::erase_if(client_of_, [client](const auto& entry) { return entry.second == client; });
  end_sessions(database_, mirrors);
}

}  // namespace api
}  // namespace vswitch
