// SPDX-License-Identifier: Apache-2.0
// What the daemon writes into the socket of a capture, and the tool reads from it.
//
// The socket is one end of a pair (AF_UNIX, SOCK_SEQPACKET) that the client has passed with its request (SCM_RIGHTS).
// A message is a sequence of records, each a header, the name of the source port and the bytes of the frame. Both ends
// are on one machine: numbers are in host order. Every record has all that is needed to understand it, so that
// messages may be lost, and several threads may write.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vswitch {

struct CaptureRecord {
  static constexpr std::uint8_t kFromPort = 1;  ///< what its host sends into the switch
  static constexpr std::uint8_t kToPort = 2;    ///< what the switch delivers to it

  std::int64_t unix_time_ns;  ///< when the frame was received, ns since 1970
  std::uint32_t captured;     ///< bytes of the frame that follow
  std::uint32_t length;       ///< bytes that the frame has
  std::uint16_t name_length;  ///< bytes of the name of the port, which precede those of the frame
  std::uint8_t direction;     ///< kFromPort or kToPort
  std::uint8_t reserved[5];
};
static_assert(sizeof(CaptureRecord) == 24);

/// The longest message. AF_UNIX splits longer ones, and half of one may be lost then (Linux 6.1, unix_stream_sendmsg:
/// 32 KiB and a page). A frame that does not fit is truncated: no wire has such frames, but an MTU of 64 KiB has.
inline constexpr std::size_t kCaptureMessageBytes = std::size_t{32} << 10;

}  // namespace vswitch
