// SPDX-License-Identifier: Apache-2.0
// Any OVSDB type with one or two values in JSON, as [type, value, value]: what is taken as a value is written
// so that it reads back as the same, and differences between two values lead from one to the other.
#include "schemas/ovsdb/notation.h"

#include <cstdlib>
#include <optional>
#include <string_view>

#include "schemas/json.h"
#include "schemas/jsonrpc/stream_decoder.h"
#include "schemas/ovsdb/error.h"

namespace {

using namespace vswitch;
using ovsdb::ColumnType;
using ovsdb::Datum;

void check(bool holds) {
  if (!holds) std::abort();
}

/// As a client or the database file would bring it: without \u0000, not nested too deep.
std::optional<Json> decode(std::string_view bytes) {
  jsonrpc::StreamDecoder decoder({.message_bytes = 1 << 16, .nesting = 50});
  decoder.feed(bytes);
  try {
    return decoder.next();
  } catch (const jsonrpc::DecodeError&) {
    return std::nullopt;
  }
}

/// A column of the given type; UUIDs may refer to its table.
std::optional<ColumnType> parse_type(const Json& type) {
  const Json table = {{"columns", {{"c", {{"type", type}}}}}};
  try {
    const auto schema = ovsdb::DatabaseSchema::parse({{"name", "D"}, {"tables", {{"T", table}}}});
    return schema.at("T").columns[ovsdb::TableSchema::kDeclared].type;
  } catch (const ovsdb::Error&) {
    return std::nullopt;
  }
}

std::optional<Datum> parse_value(const Json& json, const ColumnType& type) {
  try {
    return datum_from_json(json, type);
  } catch (const ovsdb::Error&) {
    return std::nullopt;
  }
}

void check_round_trip(const Datum& datum, const ColumnType& type) {
  check_type(datum, type);  // throws when the parser took what it should not
  const Json written = to_json(datum, type);
  std::string text;
  append_text(text, datum, type);
  check(text == written.dump());
  const Datum again = datum_from_json(Json::parse(written.dump()), type);
  check(again == datum && again.hash() == datum.hash() && to_json(again, type) == written);
}

void check_difference(const Datum& a, const Datum& b, const ColumnType& type) {
  const Datum changes = difference(a, b);
  check(changes.empty() == (a == b));
  const Datum read = datum_from_json_any_size(Json::parse(to_json(changes, type).dump()), type);
  check(read == changes && with_difference(a, read) == b);
  const Datum both = united(a, b);
  const Datum rest = without(a, b);
  check(included(a, both) && excluded(rest, b) && included(rest, a));
  check(with_difference(rest, difference(rest, both)) == both);
  check((a < b) + (b < a) + (a == b) == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = decode({reinterpret_cast<const char*>(data), size});
  if (!input || !input->is_array() || input->size() < 2) return 0;
  const auto type = parse_type((*input)[0]);
  if (!type) return 0;
  const auto a = parse_value((*input)[1], *type);
  if (!a) return 0;
  check_round_trip(*a, *type);
  const auto b = input->size() > 2 ? parse_value((*input)[2], *type) : Datum();
  if (b) check_difference(*a, *b, *type);
  return 0;
}
