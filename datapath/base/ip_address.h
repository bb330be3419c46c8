// SPDX-License-Identifier: Apache-2.0
// An IPv4 or IPv6 address, as a value.
#pragma once

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace vswitch {

struct IpAddress {
  bool v6 = false;
  std::array<std::uint8_t, 16> octets{};  ///< network order; IPv4 uses the first four
  std::uint32_t scope = 0;                ///< interface index of a link-local IPv6 address, else 0

  auto operator<=>(const IpAddress&) const = default;

  std::span<const std::uint8_t> bytes() const { return std::span(octets).first(v6 ? 16 : 4); }
  bool is_unspecified() const;
  /// Multicast, or the IPv4 broadcast address.
  bool is_multicast() const;
  /// A link-local IPv6 address that lacks its scope.
  bool needs_scope() const { return v6 && octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80 && scope == 0; }
  int family() const { return v6 ? AF_INET6 : AF_INET; }
  /// An IPv4-mapped IPv6 address, such as ::ffff:10.0.0.1.
  bool is_v4_mapped() const;
  /// Writes the address with port 0 to `out`. Returns the length of the sockaddr.
  socklen_t to_sockaddr(sockaddr_storage& out) const;
  /// "10.0.0.1", "2001:db8::1", "fe80::1%eth0"
  std::string to_string() const;
  /// Parses what to_string() writes. Nullopt for anything else, host names included.
  static std::optional<IpAddress> parse(const std::string& text);
  /// 4 or 16 octets in network order.
  static IpAddress from_bytes(std::span<const std::uint8_t> bytes);
};

}  // namespace vswitch
