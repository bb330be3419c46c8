// SPDX-License-Identifier: Apache-2.0
#include "schemas/ovsdb/notation.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "schemas/json.h"
#include "schemas/ovsdb/error.h"

namespace vswitch::ovsdb {

namespace {

constexpr std::string_view kIntegerRange = "from -9223372036854775808 to 9223372036854775807";

/// Whole numbers may be written 1 or 1.0 or 1e3; anything beyond 64 bits signed is not an integer. -2^63 is
/// one only if it is written as an integer: the JSON parser makes a real of the same value of
/// -9223372036854775809.
std::optional<std::int64_t> integer_from_json(const Json& json) {
  if (json.is_number_unsigned()) {
    const auto value = json.get<std::uint64_t>();
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    return static_cast<std::int64_t>(value);
  }
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (!json.is_number_float()) return std::nullopt;
  const double value = json.get<double>();
  if (std::floor(value) != value || value <= -0x1p63 || value >= 0x1p63) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

/// A number that is whole but does not fit.
bool is_beyond_integers(const Json& json) {
  return json.is_number() && !integer_from_json(json) && std::floor(json.get<double>()) == json.get<double>();
}

/// ["tag", something]
bool is_tagged(const Json& json, const char* tag) {
  return json.is_array() && json.size() == 2 && json[0] == tag;
}

Uuid uuid_from_json(const Json& json, NamedUuids* names) {
  if (is_tagged(json, "uuid") && json[1].is_string()) {
    const std::string& text = json[1].get_ref<const std::string&>();
    if (const auto uuid = Uuid::parse(text)) return *uuid;
    throw syntax_error(json, "\"" + text + "\" is not a valid UUID");
  }
  if (is_tagged(json, "named-uuid") && json[1].is_string() && names) {
    const std::string& name = json[1].get_ref<const std::string&>();
    if (!is_id(name)) throw syntax_error(json, "\"" + name + "\" is not an <id>");
    return names->mention(name);
  }
  throw syntax_error(json, "expected [\"uuid\", <string>]");
}

Atom raw_atom_from_json(const Json& json, AtomicType type, NamedUuids* names) {
  switch (type) {
    case AtomicType::integer:
      if (const auto value = integer_from_json(json)) return *value;
      if (is_beyond_integers(json))
        throw syntax_error(json, "expected integer " + std::string(kIntegerRange));
      break;
    case AtomicType::real:
      if (json.is_number()) return json.get<double>();
      break;
    case AtomicType::boolean:
      if (json.is_boolean()) return json.get<bool>();
      break;
    case AtomicType::string:
      if (json.is_string()) return json.get_ref<const std::string&>();
      break;
    case AtomicType::uuid:
      return uuid_from_json(json, names);
  }
  throw syntax_error(json, "expected " + std::string(name_of(type)));
}

/// Whether a value made in code can be written as JSON: text is UTF-8 without NUL, a real is a number.
bool is_json(const Atom& atom) {
  if (const double* real = std::get_if<double>(&atom)) return std::isfinite(*real);
  const std::string* text = std::get_if<std::string>(&atom);
  if (!text) return true;
  const auto plain = [](char c) { return static_cast<signed char>(c) > 0; };
  if (std::all_of(text->begin(), text->end(), plain)) return true;
  if (text->find('\0') != text->npos) return false;
  const std::string written = Json(*text).dump(-1, ' ', true, Json::error_handler_t::replace);
  return Json::parse(written) == Json(*text);
}

std::size_t characters(const std::string& utf8) {
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
  return utf8.size() - static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), continues));
}

/// A real as Open vSwitch writes it if that loses nothing: whole numbers without a point.
Json real_to_json(double real) {
  constexpr double kAllDigits = 1e15;  // from here on both write an exponent
  const bool whole = std::floor(real) == real && std::abs(real) < kAllDigits;
  return whole ? Json(static_cast<std::int64_t>(real)) : Json(real);
}

/// Details of a value out of range; a limit at the end of its type's range counts as no limit.
template <class T>
Error out_of_range(const T& value, const T& low, const T& high, const std::string& what,
                   const std::string& unit) {
  const auto text = [](const T& number) {
    if constexpr (std::is_floating_point_v<T>) return real_to_json(number).dump();
    return Json(number).dump();
  };
  const auto infinite = [](const T& limit) {
    if constexpr (std::is_same_v<T, std::size_t>) return limit == 0 || limit == kUnlimited;
    return limit == std::numeric_limits<T>::lowest() || limit == std::numeric_limits<T>::max();
  };
  std::string details = what;
  if (!infinite(low) && !infinite(high)) {
    details += " is not in the valid range " + text(low) + " to " + text(high) + " (inclusive)";
  } else if (value < low) {
    details += " is less than minimum allowed " + unit + " " + text(low);
  } else {
    details += " is greater than maximum allowed " + unit + " " + text(high);
  }
  return Error("constraint violation", details);
}

template <class T>
void check_range(const Atom& atom, const T& low, const T& high) {
  const T& value = std::get<T>(atom);
  if (value < low || value > high) throw out_of_range(value, low, high, to_text(atom), "value");
}

void check_length(const std::string& text, const BaseType& type) {
  if (type.min_length == 0 && type.max_length == kUnlimited) return;
  const std::size_t length = characters(text);
  if (length >= type.min_length && length <= type.max_length) return;
  throw out_of_range(length, type.min_length, type.max_length,
                     to_text(text) + " length " + std::to_string(length), "length");
}

void check_enum(const Atom& atom, const BaseType& type) {
  if (type.enumeration.empty() || type.enumeration.contains(atom)) return;
  std::string allowed;
  for (const Atom& each : type.enumeration.keys()) {
    if (!allowed.empty()) allowed += ", ";
    const std::string* text = std::get_if<std::string>(&each);
    allowed += text ? *text : to_text(each);
  }
  const std::string* text = std::get_if<std::string>(&atom);
  throw Error("constraint violation",
              (text ? *text : to_text(atom)) + " is not one of the allowed values ([" + allowed + "])");
}

void check_size(std::size_t size, const ColumnType& type, const Json& json) {
  if (size >= type.min && size <= type.max) return;
  const std::string what = type.is_map() ? "map" : "set";
  throw syntax_error(json, what + " must have " + std::to_string(type.min) + " to " +
                               std::to_string(type.max) + " members but " + std::to_string(size) +
                               " are present");
}

Datum map_from_json(const Json& json, const ColumnType& type, NamedUuids* names) {
  if (!is_tagged(json, "map") || !json[1].is_array()) throw syntax_error(json, "expected [\"map\", <array>]");
  std::vector<std::pair<Atom, Atom>> pairs;
  pairs.reserve(json[1].size());
  for (const Json& pair : json[1]) {
    if (!pair.is_array() || pair.size() != 2) throw syntax_error(pair, "expected a pair [<key>, <value>]");
    pairs.emplace_back(atom_from_json(pair[0], type.key, names), atom_from_json(pair[1], *type.value, names));
  }
  const std::size_t written = pairs.size();
  Datum datum = Datum::map(std::move(pairs));
  if (datum.size() != written) throw Error("ovsdb error", "map contains duplicate key");
  return datum;
}

Datum set_from_json(const Json& json, const ColumnType& type, NamedUuids* names) {
  if (!is_tagged(json, "set")) return Datum::scalar(atom_from_json(json, type.key, names));
  if (!json[1].is_array()) throw syntax_error(json, "expected [\"set\", <array>]");
  std::vector<Atom> atoms;
  atoms.reserve(json[1].size());
  for (const Json& atom : json[1]) atoms.push_back(atom_from_json(atom, type.key, names));
  const std::size_t written = atoms.size();
  Datum datum = Datum::set(std::move(atoms));
  if (datum.size() != written) throw Error("ovsdb error", "set contains duplicate");
  return datum;
}

}  // namespace

const Uuid& NamedUuids::mention(const std::string& name) {
  const auto [at, added] = entries_.try_emplace(name);
  if (added) at->second.uuid = Uuid::random();
  return at->second.uuid;
}

const Uuid& NamedUuids::define(const std::string& name, const std::optional<Uuid>& uuid) {
  const auto [at, added] = entries_.try_emplace(name);
  Entry& entry = at->second;
  const std::string syntax = "\"" + name + "\"";
  if (entry.defined) {
    throw Error("duplicate uuid-name", "This \"uuid-name\" appeared on an earlier \"insert\" operation.",
                syntax);
  }
  if (!added && uuid && entry.uuid != *uuid) {
    throw Error("duplicate uuid-name",
                "This \"uuid-name\" was used before its \"insert\" gave it another \"uuid\".", syntax);
  }
  if (added) entry.uuid = uuid.value_or(Uuid::random());
  entry.defined = true;
  return entry.uuid;
}

bool is_id(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto follows = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !text.empty() && letter(text[0]) && std::all_of(text.begin(), text.end(), follows);
}

Atom atom_from_json(const Json& json, const BaseType& type, NamedUuids* names) {
  Atom atom = raw_atom_from_json(json, type.type, names);
  check_constraints(atom, type);
  return atom;
}

Datum datum_from_json_any_size(const Json& json, const ColumnType& type, NamedUuids* names) {
  return type.is_map() ? map_from_json(json, type, names) : set_from_json(json, type, names);
}

Datum datum_from_json(const Json& json, const ColumnType& type, NamedUuids* names) {
  Datum datum = datum_from_json_any_size(json, type, names);
  check_size(datum.size(), type, json);
  return datum;
}

Json to_json(const Atom& atom) {
  if (const Uuid* uuid = std::get_if<Uuid>(&atom)) return Json::array({"uuid", uuid->to_string()});
  if (const double* real = std::get_if<double>(&atom)) return real_to_json(*real);
  return std::visit(
      [](const auto& value) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Uuid>) {
          return nullptr;  // handled above
        } else {
          return value;
        }
      },
      atom);
}

Json to_json(const Datum& datum, const ColumnType& type) {
  const auto keys = datum.keys();
  Json elements = Json::array();
  if (type.is_map()) {
    const auto values = datum.values();
    for (std::size_t i = 0; i < values.size(); ++i)
      elements.push_back(Json::array({to_json(keys[i]), to_json(values[i])}));
    return Json::array({"map", std::move(elements)});
  }
  if (keys.size() == 1) return to_json(keys[0]);
  for (const Atom& key : keys) elements.push_back(to_json(key));
  return Json::array({"set", std::move(elements)});
}

void append_text(std::string& text, const std::string& string) {
  const auto plain = [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; };
  if (!std::all_of(string.begin(), string.end(), plain)) {
    text += Json(string).dump();
    return;
  }
  text += '"';
  text += string;
  text += '"';
}

namespace {

void append_atom(std::string& text, const Atom& atom) {
  if (const auto* string = std::get_if<std::string>(&atom)) {
    append_text(text, *string);
  } else if (const auto* uuid = std::get_if<Uuid>(&atom)) {
    text += R"(["uuid",")" + uuid->to_string() + R"("])";
  } else {
    text += to_json(atom).dump();
  }
}

}  // namespace

void append_text(std::string& text, const Datum& datum, const ColumnType& type) {
  const auto keys = datum.keys();
  const auto values = datum.values();
  if (!type.is_map() && keys.size() == 1) return append_atom(text, keys[0]);
  text += type.is_map() ? R"(["map",[)" : R"(["set",[)";
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i != 0) text += ',';
    if (type.is_map()) text += '[';
    append_atom(text, keys[i]);
    if (!type.is_map()) continue;
    text += ',';
    append_atom(text, values[i]);
    text += ']';
  }
  text += "]]";
}

void check_constraints(const Atom& atom, const BaseType& type) {
  check_enum(atom, type);
  switch (type_of(atom)) {
    case AtomicType::integer:
      return check_range(atom, type.min_integer, type.max_integer);
    case AtomicType::real:
      return check_range(atom, type.min_real, type.max_real);
    case AtomicType::string:
      return check_length(std::get<std::string>(atom), type);
    case AtomicType::boolean:
    case AtomicType::uuid:
      return;
  }
}

void check_constraints(const Datum& datum, const ColumnType& type) {
  for (const Atom& key : datum.keys()) check_constraints(key, type.key);
  if (type.value) {
    for (const Atom& value : datum.values()) check_constraints(value, *type.value);
  }
  check_number(datum.size(), type);
}

void check_number(std::size_t elements, const ColumnType& type) {
  if (elements >= type.min && elements <= type.max) return;
  throw Error("constraint violation",
              "Attempted to store " + std::to_string(elements) + " elements in " + type.to_text() + ".");
}

void check_type(const Datum& datum, const ColumnType& type) {
  const auto all_are = [](std::span<const Atom> atoms, AtomicType wanted) {
    return std::all_of(atoms.begin(), atoms.end(),
                       [wanted](const Atom& atom) { return type_of(atom) == wanted && is_json(atom); });
  };
  const bool fits =
      datum.empty() || (datum.is_map() == type.is_map() && all_are(datum.keys(), type.key.type) &&
                        (!type.value || all_are(datum.values(), type.value->type)));
  if (!fits) throw Error("constraint violation", "the value is not a " + type.to_text());
  check_constraints(datum, type);
}

}  // namespace vswitch::ovsdb
