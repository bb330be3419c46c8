// SPDX-License-Identifier: Apache-2.0
// A frame in words: tags, addresses, protocol and ports. What is not there, or not known, is left out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vswitch::ctl {

/// "VLAN 10, IPv4 10.0.0.1 > 10.0.0.2 TCP 1234 > 80 SYN"; "ARP who has 10.0.0.2, tell 10.0.0.1";
/// "52:54:00:00:00:01 > 01:80:c2:00:00:0e LLDP". Any bytes, such as the beginning of a longer frame.
std::string frame_text(std::span<const std::uint8_t> frame);

/// The bytes of hexadecimal digits; none if they are not.
std::vector<std::uint8_t> bytes_of_hex(std::string_view digits);

}  // namespace vswitch::ctl
