// SPDX-License-Identifier: Apache-2.0
// Where the copies of a capture go: a program that reads them, or a ring in memory, with what a device cannot tell
// them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "datapath/base/types.h"
#include "datapath/frame/frame.h"

namespace vswitch {

/// A copy for a capture.
struct CapturedFrame {
  OutgoingFrame* frame;   ///< whole; its outcome is set
  std::uint32_t snaplen;  ///< bytes of it that are wanted
  TimeNs unix_time_ns;    ///< when it was received, ns since 1970
  std::string_view port;  ///< the source port
  bool delivered;         ///< towards the port; otherwise from it
};

class CaptureSink {
 public:
  CaptureSink() = default;
  CaptureSink(const CaptureSink&) = delete;
  CaptureSink& operator=(const CaptureSink&) = delete;
  virtual ~CaptureSink() = default;

  /// Without blocking, in order. Sets the outcome of each frame: none, reader_slow, reader_gone or send_error. Any
  /// thread, several at the same time.
  virtual void send(std::span<const CapturedFrame> frames) = 0;

  /// The name of this destination in the account of its session: kCapture or kRecord.
  virtual const char* kind() const = 0;
  static constexpr const char* kCapture = "capture";
  static constexpr const char* kRecord = "record";
};

}  // namespace vswitch
