// SPDX-License-Identifier: Apache-2.0
// A device of our own to which the kernel hands frames that user space makes copies of, while it forwards the
// frames themselves (datapath/fastpath). It is a tap(4): a packet socket takes what is sent on it, and then the
// device refuses the frame, so that nothing is queued there.
//
// The device disappears with the object, however the process ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "datapath/base/thread_annotations.h"
#include "datapath/base/unique_fd.h"
#include "datapath/frame/frame.h"

namespace vswitch {

namespace af_packet {
class Receiver;
}

class CopyTap {
 public:
  /// `name`: of the device, with "%d" where a number is to be chosen. Control thread. Throws std::runtime_error whose
  /// what() is a sentence.
  explicit CopyTap(const std::string& name);
  CopyTap(const CopyTap&) = delete;
  CopyTap& operator=(const CopyTap&) = delete;
  ~CopyTap();

  int ifindex() const { return ifindex_; }

  // As those of Port. The tag of a frame is the one that it was sent with.
  int receive_fd() const REQUIRES(roles::worker);
  std::size_t receive(std::span<RawFrame> into) REQUIRES(roles::worker);
  void release() REQUIRES(roles::worker);
  bool is_drained() const REQUIRES(roles::worker);
  /// Frames that found no room since the start. Any thread.
  std::uint64_t overruns();

 private:
  UniqueFd tap_;
  int ifindex_ = 0;
  std::unique_ptr<af_packet::Receiver> receiver_;
};

}  // namespace vswitch
