// SPDX-License-Identifier: Apache-2.0
// The five atomic types of OVSDB (RFC 7047 section 3.2 <atomic-type>).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "schemas/ovsdb/uuid.h"

namespace vswitch::ovsdb {

/// In the order of the alternatives of Atom, so that type_of() is a cast.
enum class AtomicType : std::uint8_t { integer, real, boolean, string, uuid };

/// One value. Ordered within its type (false before true, strings by bytes).
using Atom = std::variant<std::int64_t, double, bool, std::string, Uuid>;

inline AtomicType type_of(const Atom& atom) {
  return static_cast<AtomicType>(atom.index());
}
/// "integer", "real", "boolean", "string", "uuid"
std::string_view name_of(AtomicType type);
/// 0, 0.0, false, "", the zero UUID
Atom default_atom(AtomicType type);
/// For messages: strings in quotes, the rest as written in JSON, UUIDs bare.
std::string to_text(const Atom& atom);
std::size_t hash_of(const Atom& atom);

}  // namespace vswitch::ovsdb
