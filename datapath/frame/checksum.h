// SPDX-License-Identifier: Apache-2.0
// The Internet checksum (RFC 1071) and SCTP's CRC32c (RFC 9260), to finish what a sender left to its device.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/frame/frame.h"

namespace vswitch {

/// Ones' complement sum of the bytes as 16-bit words in network order, folded to 16 bits, not inverted. An
/// odd last byte counts as the upper half of a word.
std::uint16_t internet_sum(std::span<const std::uint8_t> bytes);

/// Finishes an unfinished checksum in place: `payload` is what `offload` counts from and holds the
/// pseudo-header's sum in the checksum field. Afterwards offload.needs_checksum is false. GSO packets are
/// left alone: each segment will have a checksum of its own.
void complete_checksum(std::span<std::uint8_t> payload, Offload& offload);
/// The same for a payload in two parts, the checksum field being in the first.
void complete_checksum(std::span<std::uint8_t> head, std::span<const std::uint8_t> rest, Offload& offload);

}  // namespace vswitch
