// SPDX-License-Identifier: Apache-2.0
#include "ctl/session_arguments.h"

#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include "ctl/command.h"

namespace vswitch::ctl {
namespace {

/// Directions in the words of the API; nullopt for any other word.
std::optional<std::string> direction_of(const std::string& word) {
  if (word == "from" || word == "to" || word == "both") return word;
  if (word == "ingress") return "from";  // VMware's word, from the switch's point of view
  if (word == "egress") return "to";
  return std::nullopt;
}

[[noreturn]] void refuse_direction(const std::string& spec) {
  throw UsageError("--source " + spec +
                   ": after the colon comes from (what the port's host sends), to (what it is "
                   "sent) or both; ingress and egress mean from and to");
}

/// "iface-id=ID" and "mac=52:54:00:12:34:56", each optionally followed by a colon and a direction. Earlier
/// colons belong to the value: an ID may contain anything.
std::optional<Json> identified_source(const std::string& spec) {
  constexpr std::string_view kIfaceId = "iface-id=";
  constexpr std::string_view kMac = "mac=";
  constexpr std::size_t kMacLength = 17;
  if (spec.starts_with(kIfaceId)) {
    const std::size_t colon = spec.rfind(':');
    const auto direction = colon == std::string::npos ? std::nullopt : direction_of(spec.substr(colon + 1));
    return Json{{"iface_id", spec.substr(kIfaceId.size(), direction ? colon - kIfaceId.size() : spec.npos)},
                {"direction", direction.value_or("both")}};
  }
  if (!spec.starts_with(kMac)) return std::nullopt;
  const std::string mac = spec.substr(kMac.size(), kMacLength);
  const std::string rest = spec.substr(kMac.size() + mac.size());
  const auto direction = rest.empty()            ? std::optional<std::string>("both")
                         : rest.starts_with(':') ? direction_of(rest.substr(1))
                                                 : std::nullopt;
  if (!direction) refuse_direction(spec);
  return Json{{"mac", mac}, {"direction", *direction}};
}

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

/// "10kbit" with units {kbit, 1000}: the number times the value of the unit. nullopt for anything else,
/// including 0 and numbers that do not fit.
std::optional<std::int64_t> quantity(std::string_view text, std::span<const Unit> units) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error != std::errc() || number <= 0) return std::nullopt;
  for (const Unit& known : units) {
    if (known.name != unit || number > std::numeric_limits<std::int64_t>::max() / known.factor) continue;
    return number * known.factor;
  }
  return std::nullopt;
}

}  // namespace

const std::string& one_port(const std::string& option, const std::string& name) {
  if (name.find(',') != std::string::npos) {
    throw UsageError(option + " " + name + ": takes one port; repeat " + option + " for several");
  }
  if (name == "none") {
    throw UsageError(option +
                     " none: a session needs at least one; use disable-mirror or del-mirror to end it");
  }
  return name;
}

void add_source(Json& params, const std::string& spec) {
  Json& sources = params["sources"];
  if (const auto source = identified_source(spec)) {
    sources["ports"].push_back(*source);
    return;
  }
  const std::size_t colon = spec.find(':');
  const std::string name = one_port("--source", spec.substr(0, colon));
  const char* member = name.find_first_of("*?[") == std::string::npos ? "name" : "glob";
  if (colon == std::string::npos) {
    if (spec == "all") {
      sources["all"] = true;
    } else {
      sources["ports"].push_back(member == std::string("name") ? Json(name) : Json{{member, name}});
    }
    return;
  }
  const auto direction = direction_of(spec.substr(colon + 1));
  if (name == "all")
    throw UsageError("--source all watches both directions and takes no '" + spec.substr(colon) + "'");
  if (!direction) refuse_direction(spec);
  sources["ports"].push_back({{member, name}, {"direction", *direction}});
}

void add_rate(Json& rate, const std::string& text) {
  constexpr Unit kPackets[] = {{"", 1}, {"pps", 1}};
  constexpr Unit kBits[] = {{"bit", 1}, {"kbit", 1000}, {"mbit", 1'000'000}, {"gbit", 1'000'000'000}};
  if (text == "none") {
    rate = nullptr;
  } else if (const auto packets = quantity(text, kPackets)) {
    rate["packets"] = *packets;
  } else if (const auto bits = quantity(text, kBits)) {
    rate["bits"] = *bits;
  } else {
    throw UsageError(
        "--rate takes packets per second (1000), bits per second (10kbit, 5mbit, 1gbit) or none, not '" +
        text + "'");
  }
}

void add_end(Json& expires, const std::string& text) {
  constexpr Unit kSpans[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  constexpr Unit kPackets[] = {{"packets", 1}, {"packet", 1}};
  constexpr Unit kBytes[] = {
      {"b", 1}, {"kb", 1000}, {"mb", 1'000'000}, {"gb", 1'000'000'000}, {"tb", 1'000'000'000'000}};
  if (text == "connection")
    throw UsageError(
        "--expires connection: the connection of this tool ends at once; use the session API instead");
  if (text == "none") {
    expires = nullptr;
  } else if (const auto span = quantity(text, kSpans)) {
    expires["seconds"] = *span;
  } else if (const auto packets = quantity(text, kPackets)) {
    expires["packets"] = *packets;
  } else if (const auto bytes = quantity(text, kBytes)) {
    expires["bytes"] = *bytes;
  } else {
    throw UsageError(
        "--expires takes a time (30s, 10m, 2h, 1d), a number of packets (1000packets), a volume (1gb) or "
        "none, not '" +
        text + "'");
  }
}

}  // namespace vswitch::ctl
