// SPDX-License-Identifier: Apache-2.0
#include "ctl/session_arguments.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include "ctl/command.h"

namespace vswitch::ctl {
namespace {

struct Direction {
  std::string_view word;
  const char* means;  ///< in the words of the API
};
constexpr Direction kDirections[] = {
    {"from", "from"}, {"ingress", "from"}, {"rx", "from"}, {"in", "from"},  // VMware, Cisco: the switch's
    {"to", "to"},     {"egress", "to"},    {"tx", "to"},   {"out", "to"},   // point of view
    {"both", "both"},
};

std::optional<std::string> direction_of(std::string_view word) {
  for (const Direction& direction : kDirections) {
    if (direction.word == word) return direction.means;
  }
  return std::nullopt;
}

[[noreturn]] void refuse_direction(const std::string& spec) {
  throw UsageError("--source " + spec +
                   ": after the colon comes from (what the port's host sends; also rx, in, ingress), to "
                   "(what it is sent; also tx, out, egress) or both");
}

/// A MAC address as the API writes it, from 52:54:00:12:34:56, 52-54-00-12-34-56, 5254.0012.3456 (Cisco) or
/// 525400123456; nullopt for anything else.
std::optional<std::string> mac_address(std::string_view text) {
  struct Form {
    std::size_t digits;  ///< per group
    char separator;
  };
  for (const Form& form : {Form{2, ':'}, {2, '-'}, {4, '.'}, {12, '\0'}}) {
    std::string mac;
    const std::size_t step = form.digits + 1;
    bool fits = text.size() == 12 + 12 / form.digits - 1;
    for (std::size_t i = 0, digits = 0; fits && i < text.size(); ++i) {
      if (i % step == form.digits) {
        fits = text[i] == form.separator;
        continue;
      }
      fits = std::isxdigit(static_cast<unsigned char>(text[i])) != 0;
      if (digits != 0 && digits % 2 == 0) mac += ':';
      mac += text[i];
      ++digits;
    }
    if (fits) return mac;
  }
  return std::nullopt;
}

/// "iface-id=ID" and "mac=52:54:00:12:34:56", each optionally followed by a colon and a direction. Earlier
/// colons belong to the value: an ID may contain anything.
std::optional<Json> identified_source(const std::string& spec) {
  constexpr std::string_view kIfaceId = "iface-id=";
  constexpr std::string_view kMac = "mac=";
  const std::size_t colon = spec.rfind(':');
  const auto direction = colon == spec.npos ? std::nullopt : direction_of(spec.substr(colon + 1));
  const auto value = [&](std::string_view prefix) {
    return spec.substr(prefix.size(), direction ? colon - prefix.size() : spec.npos);
  };
  if (spec.starts_with(kIfaceId))
    return Json{{"iface_id", value(kIfaceId)}, {"direction", direction.value_or("both")}};
  if (!spec.starts_with(kMac)) return std::nullopt;
  if (const auto mac = mac_address(value(kMac)))
    return Json{{"mac", *mac}, {"direction", direction.value_or("both")}};
  if (colon != spec.npos && mac_address(std::string_view(spec).substr(kMac.size(), colon - kMac.size())))
    refuse_direction(spec);
  throw UsageError("--source " + spec + ": " + value(kMac) +
                   " is not a MAC address, such as 52:54:00:12:34:56 or 5254.0012.3456");
}

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

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
  if (!direction) refuse_direction(spec);
  if (name == "all") {
    sources["ports"].push_back({{"glob", "*"}, {"direction", *direction}});
  } else {
    sources["ports"].push_back({{member, name}, {"direction", *direction}});
  }
}

void add_rate(Json& rate, const std::string& text) {
  constexpr Unit kPackets[] = {{"", 1}, {"pps", 1}, {"kpps", 1000}, {"mpps", 1'000'000}};
  constexpr std::int64_t kK = 1000, kM = 1'000'000, kG = 1'000'000'000;
  constexpr Unit kBits[] = {{"bit", 1},   {"bps", 1},   {"k", kK},    {"kbit", kK}, {"kbps", kK},
                            {"kb/s", kK}, {"m", kM},    {"mbit", kM}, {"mbps", kM}, {"mb/s", kM},
                            {"g", kG},    {"gbit", kG}, {"gbps", kG}, {"gb/s", kG}};
  if (text == "none") {
    rate = nullptr;
  } else if (const auto packets = quantity(lower(text), kPackets)) {
    rate["packets"] = *packets;
  } else if (const auto bits = quantity(lower(text), kBits)) {
    rate["bits"] = *bits;
  } else {
    throw UsageError(
        "--rate takes packets per second (1000), bits per second (10kbit, 5M, 1Gbps) or none, not '" + text +
        "'");
  }
}

std::optional<std::int64_t> parse_span(const std::string& text) {
  constexpr std::int64_t kMinute = 60, kHour = 3600, kDay = 86400;
  constexpr Unit kSpans[] = {{"s", 1},       {"sec", 1},       {"second", 1},       {"seconds", 1},
                             {"m", kMinute}, {"min", kMinute}, {"minute", kMinute}, {"minutes", kMinute},
                             {"h", kHour},   {"hour", kHour},  {"hours", kHour},    {"d", kDay},
                             {"day", kDay},  {"days", kDay}};
  return quantity(text, kSpans);
}

std::optional<std::int64_t> parse_size(const std::string& text) {
  constexpr std::int64_t kK = 1000, kM = 1'000'000, kG = 1'000'000'000;
  constexpr Unit kSizes[] = {{"", 1},   {"b", 1},   {"k", kK}, {"kb", kK},
                             {"m", kM}, {"mb", kM}, {"g", kG}, {"gb", kG}};
  return quantity(lower(text), kSizes);
}

void add_record(Json& destination, const std::string& text) {
  Json bytes, seconds;
  std::string_view rest = text;
  for (bool more = true; more;) {
    const std::size_t comma = rest.find(',');
    const std::string part(rest.substr(0, comma));
    const auto span = parse_span(part);
    const auto size = span ? std::nullopt : parse_size(part);  // "5m" are minutes, "5M" are megabytes
    Json& limit = span ? seconds : bytes;
    if ((!span && !size) || !limit.is_null())
      throw UsageError("--record takes a size (64MB), a time (5min) or both (64MB,5min), not '" + text + "'");
    limit = span ? *span : *size;
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);
  }
  destination["record_bytes"] = bytes;
  destination["record_seconds"] = seconds;
}

void add_end(Json& expires, const std::string& text) {
  constexpr Unit kPackets[] = {{"packets", 1}, {"packet", 1}, {"pkts", 1}};
  constexpr Unit kBytes[] = {
      {"b", 1}, {"kb", 1000}, {"mb", 1'000'000}, {"gb", 1'000'000'000}, {"tb", 1'000'000'000'000}};
  if (text == "connection")
    throw UsageError(
        "--expires connection: the connection of this tool ends at once; use the session API instead");
  if (text == "none") {
    expires = nullptr;
  } else if (const auto span = parse_span(text)) {
    expires["seconds"] = *span;
  } else if (const auto packets = quantity(lower(text), kPackets)) {
    expires["packets"] = *packets;
  } else if (const auto bytes = quantity(lower(text), kBytes)) {
    expires["bytes"] = *bytes;
  } else {
    throw UsageError(
        "--expires takes a time (30s, 10m, 2h, 1d), a number of packets (1000packets), a volume (1gb) or "
        "none, not '" +
        text + "'");
  }
}

}  // namespace vswitch::ctl
