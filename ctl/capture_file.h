// SPDX-License-Identifier: Apache-2.0
// Takes frames out of a capture file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vswitch::ctl {

struct CapturedFrame {
  std::size_t number = 0;          ///< in the file, from 1
  std::uint64_t unix_time_ns = 0;  ///< nanoseconds since 1970
  std::size_t length = 0;          ///< when it was captured; the file may have less of it
  std::vector<std::uint8_t> bytes;
};

struct CapturedFrames {
  std::vector<CapturedFrame> frames;
  bool has_more = false;  ///< frames behind the last one
  std::string trouble;    ///< what is wrong behind the last one, as a sentence; empty: nothing
};

/// At most `most` frames of a pcap or pcapng file with Ethernet frames, from the number `first` (from 1) on. Throws
/// UsageError if there is none.
CapturedFrames frames_of_capture(const std::string& path, std::size_t first, std::size_t most);

}  // namespace vswitch::ctl
