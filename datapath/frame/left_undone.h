// SPDX-License-Identifier: Apache-2.0
// Infers from a frame alone what a local sender left to the device: packets from a tunnel's socket come
// without the offload information that a packet socket provides.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/frame/frame.h"

namespace vswitch {

/// A checksum is unfinished if its field holds only the sum of the pseudo-header, as the kernel leaves it
/// (include/linux/skbuff.h, CHECKSUM_PARTIAL). A finished checksum that has this value by chance is still
/// correct after it is recomputed. A TCP frame longer than `longest` bytes is a GSO packet, because no link
/// on the path carries it; its segments are assumed to be as long as `longest` allows. Offsets in the result
/// count from the first byte of `frame`.
Offload left_undone(std::span<const std::uint8_t> frame, std::size_t longest);

}  // namespace vswitch
