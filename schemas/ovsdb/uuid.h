// SPDX-License-Identifier: Apache-2.0
// 128-bit row identifiers of OVSDB.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace vswitch::ovsdb {

/// RFC 4122 UUID; `high` holds the first eight octets. The order is that of the text form.
struct Uuid {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  auto operator<=>(const Uuid&) const = default;
  bool is_zero() const { return high == 0 && low == 0; }
  /// "01234567-89ab-cdef-0123-456789abcdef"
  std::string to_string() const;
  /// The 36 characters of to_string() in either case; anything else is nullopt.
  static std::optional<Uuid> parse(std::string_view text);
  /// A version 4 UUID from a generator seeded by the system.
  static Uuid random();
};

}  // namespace vswitch::ovsdb

template <>
struct std::hash<vswitch::ovsdb::Uuid> {
  // Version 4 UUIDs are random already; the multiplication keeps handmade ones (tests, counters) apart.
  std::size_t operator()(const vswitch::ovsdb::Uuid& uuid) const noexcept {
    return static_cast<std::size_t>(uuid.high ^ uuid.low * 0x9e3779b97f4a7c15ULL);
  }
};
