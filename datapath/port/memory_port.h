// SPDX-License-Identifier: Apache-2.0
// An in-memory port: the program itself injects frames and takes out those sent. Tests, fuzzers and
// benchmarks run the whole switch on such ports without root.
#pragma once

#include <deque>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "datapath/port/port.h"

namespace vswitch {

/// A frame as it would be on the wire, and what its sender left to the device.
struct MemoryFrame {
  std::vector<std::uint8_t> bytes;
  Offload offload;  ///< checksum_start counts from bytes

  bool operator==(const MemoryFrame&) const = default;
};

class MemoryPort : public Port {
 public:
  MemoryPort();
  ~MemoryPort() override;

  /// The host behind the port sends a frame into the switch. Any thread.
  void inject(MemoryFrame frame);
  void inject(std::vector<std::uint8_t> bytes) { inject(MemoryFrame{std::move(bytes), {}}); }
  /// Everything the switch has sent since the last call, in order. Any thread.
  std::vector<MemoryFrame> take_sent();
  /// From now on each frame sent here gets this outcome, and is kept only if it is none. Any thread.
  void set_outcome(DropReason outcome);
  /// What kernel_device() returns from now on. While no worker runs.
  void pass_for(const KernelDevice& device) { kernel_device_ = device; }

  int receive_fd() const override { return event_fd_; }
  std::size_t receive(std::span<RawFrame> into) override;
  void release() override;
  void send(SenderId sender, std::span<OutgoingFrame> frames) override;
  std::uint64_t receive_overruns() override { return 0; }
  KernelDevice kernel_device() const override { return kernel_device_; }

 private:
  const int event_fd_;
  KernelDevice kernel_device_;
  Mutex mutex_;
  std::deque<MemoryFrame> incoming_ GUARDED_BY(mutex_);
  std::vector<MemoryFrame> sent_ GUARDED_BY(mutex_);
  DropReason outcome_ GUARDED_BY(mutex_) = DropReason::none;
  std::vector<MemoryFrame> lent_;  ///< what receive() handed out; used only by the owning worker
};

}  // namespace vswitch
