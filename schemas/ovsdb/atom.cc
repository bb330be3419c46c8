// SPDX-License-Identifier: Apache-2.0
#include "schemas/ovsdb/atom.h"

#include "schemas/json.h"
#include "schemas/ovsdb/notation.h"

namespace vswitch::ovsdb {

std::string_view name_of(AtomicType type) {
  static constexpr std::string_view names[] = {"integer", "real", "boolean", "string", "uuid"};
  return names[static_cast<std::size_t>(type)];
}

Atom default_atom(AtomicType type) {
  switch (type) {
    case AtomicType::integer:
      return std::int64_t{0};
    case AtomicType::real:
      return 0.0;
    case AtomicType::boolean:
      return false;
    case AtomicType::string:
      return std::string();
    case AtomicType::uuid:
      break;
  }
  return Uuid();
}

std::string to_text(const Atom& atom) {
  if (const Uuid* uuid = std::get_if<Uuid>(&atom)) return uuid->to_string();
  return to_json(atom).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::size_t hash_of(const Atom& atom) {
  return std::hash<Atom>()(atom);
}

}  // namespace vswitch::ovsdb
