// SPDX-License-Identifier: Apache-2.0
// Takes one frame out of a capture file.
#pragma once

#include <cstddef>
#include <string>

namespace vswitch::ctl {

/// The number-th frame (from 1) of a pcap or pcapng file with Ethernet frames, in hexadecimal. Throws
/// UsageError.
std::string frame_of_capture(const std::string& path, std::size_t number);

}  // namespace vswitch::ctl
