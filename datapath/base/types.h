// SPDX-License-Identifier: Apache-2.0
// Basic types of the datapath: ports, senders, VLANs, time and MAC addresses.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace vswitch {

/// Port number inside the datapath: dense, across all bridges, reused only once no worker refers to it any
/// more. Not the OpenFlow port number (`ofport`), which belongs to the control side.
enum class PortNo : std::uint32_t {};
inline constexpr PortNo kNoPort{0xffffffffU};
constexpr std::uint32_t index(PortNo port) {
  return static_cast<std::uint32_t>(port);
}

/// Dense number of a sending thread: workers first, then mirror threads. Known when a port is created.
enum class SenderId : std::uint32_t {};
constexpr std::uint32_t index(SenderId sender) {
  return static_cast<std::uint32_t>(sender);
}

/// VLAN identifier, 0..4095. 0 stands for untagged and priority-tagged frames, as in Open vSwitch.
using VlanId = std::uint16_t;
inline constexpr VlanId kVlanCount = 4096;

/// Monotonic time in nanoseconds. Forwarding decisions never read a clock: the time is an argument.
using TimeNs = std::int64_t;
inline constexpr TimeNs kSecondNs = 1'000'000'000;

/// 48-bit Ethernet address.
struct MacAddr {
  std::array<std::uint8_t, 6> octets{};

  auto operator<=>(const MacAddr&) const = default;
  constexpr bool is_multicast() const { return (octets[0] & 1) != 0; }  // broadcast included
  constexpr std::uint64_t to_u64() const {
    std::uint64_t value = 0;
    for (std::uint8_t octet : octets) value = value << 8 | octet;
    return value;
  }
  static constexpr MacAddr from_u64(std::uint64_t value) {
    MacAddr mac;
    for (int i = 5; i >= 0; --i, value >>= 8) mac.octets[static_cast<std::size_t>(i)] = value & 0xff;
    return mac;
  }
  /// "aa:bb:cc:dd:ee:ff"
  std::string to_string() const;
  /// Six two-digit hexadecimal groups separated by ':'; anything else is nullopt.
  static std::optional<MacAddr> parse(std::string_view text);
};

}  // namespace vswitch
