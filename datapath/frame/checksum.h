// SPDX-License-Identifier: Apache-2.0
// The Internet checksum (RFC 1071) and SCTP's CRC32c (RFC 9260), to finish checksums that a sender left to
// its device.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/frame/frame.h"

namespace vswitch {

/// Ones' complement sum of the bytes as 16-bit words in network order, folded to 16 bits, not inverted. An
/// odd last byte counts as the upper half of a word.
std::uint16_t internet_sum(std::span<const std::uint8_t> bytes);

/// Finishes an unfinished checksum in place. Offsets in `offload` count from the start of `payload`, whose
/// checksum field holds the pseudo-header's sum. Afterwards offload.needs_checksum is false. GSO packets are
/// left alone: each segment gets its own checksum.
void complete_checksum(std::span<std::uint8_t> payload, Offload& offload);
/// The same for a payload in two parts; the checksum field is in the first.
void complete_checksum(std::span<std::uint8_t> head, std::span<const std::uint8_t> rest, Offload& offload);

}  // namespace vswitch
