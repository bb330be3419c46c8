// SPDX-License-Identifier: Apache-2.0
// What a local sender left undone, seen from the frame alone: packets that come out of a tunnel's socket have
// lost the notes that a packet socket gives.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/frame/frame.h"

namespace vswitch {

/// An unfinished checksum is one that is the sum of the pseudo-header alone; the kernel leaves that in the
/// field (include/linux/skbuff.h, CHECKSUM_PARTIAL). One that is right by chance stays right when it is
/// computed anew. A frame of TCP longer than `longest` bytes is a GSO packet: no wire on the way carries it.
/// Its segments are taken to be as long as that allows. Counts from the first byte of `frame`.
Offload left_undone(std::span<const std::uint8_t> frame, std::size_t longest);

}  // namespace vswitch
