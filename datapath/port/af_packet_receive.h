// SPDX-License-Identifier: Apache-2.0
// The receiving half of an AF_PACKET port. Each kernel behaviour relied on here is pinned by a test in
// tests/platform/af_packet_port_test.cc.
#pragma once

#include <linux/if_packet.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "datapath/base/thread_annotations.h"
#include "datapath/base/types.h"
#include "datapath/base/unique_fd.h"
#include "datapath/frame/frame.h"
#include "datapath/port/af_packet_port.h"
#include "datapath/port/af_packet_ring.h"

namespace vswitch::af_packet {

/// The receive socket and its ring.
///
/// Most ports are idle most of the time, so a port starts with a ring of small slots; frames that do not fit
/// are handled as long frames. A large batch requests the full ring, which a background thread creates. Once
/// ready, it takes over without losing or duplicating a frame. The old ring is emptied first.
class Receiver {
 public:
  explicit Receiver(const AfPacketOptions& options);
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  /// Stays the same when the ring is replaced.
  int fd() const { return poll_.get(); }

  std::size_t receive(std::span<RawFrame> into);
  void release();

  // As in Port, and "no" or "unknown" while another thread is at work on the ring, or between receive() and release().
  bool is_drained() const;
  std::size_t most_waiting() const;

  /// Any thread.
  std::size_t memory();
  /// Any thread.
  std::uint64_t overruns();

 private:
  tpacket_stats count_overruns() REQUIRES(ring_changes_);
  bool watch(const Ring& ring) const;
  void ask_for_larger();
  void begin_handover();
  void poll_handover() REQUIRES(ring_changes_);
  void end_handover() REQUIRES(ring_changes_);

  std::size_t after(std::size_t slot) const { return slot + 1 == ring_.size().slots ? 0 : slot + 1; }
  std::uint8_t* slot_memory(std::size_t slot) const { return ring_.memory() + slot * ring_.size().slot_size; }
  tpacket2_hdr& header(std::size_t slot) const { return *reinterpret_cast<tpacket2_hdr*>(slot_memory(slot)); }
  std::uint32_t status(std::size_t slot) const;
  void set_status(std::size_t slot, std::uint32_t value) const;

  void require_ethernet() const;
  bool take(RawFrame& frame);
  bool take_from_queue(RawFrame& frame, std::size_t length);
  void clear_error() const;
  void repair_if_stuck() REQUIRES(ring_changes_);

  const std::string name_;
  const int ifindex_;
  const int filter_;
  const RingSize full_size_;
  const std::unique_ptr<std::uint8_t[]> arena_;  // long frames of the batch; uses no memory before the first
  const std::size_t arena_size_;
  std::size_t arena_used_ = 0;
  TimeNs since_1970_ = 0;  // of the steady clock's zero, at the last receive()
  const UniqueFd poll_;    // of the ring's socket, and of its successor's
  Mutex ring_changes_;     // held while ring_ is replaced
  Ring ring_;
  std::uint32_t batches_before_asking_ = 0;  // for a larger one
  std::future<std::optional<Ring>> larger_;
  std::optional<Ring> successor_;  // receives already, while ring_ is being emptied
  std::chrono::steady_clock::time_point handed_over_;
  std::future<void> closing_;
  std::size_t next_ = 0;    // next slot to take a frame from
  std::size_t oldest_ = 0;  // first slot handed out and not released
  bool last_was_empty_ = false;
  /// Held from a receive() that returned frames to its release(), and by whoever looks at the ring or replaces it.
  mutable std::atomic_flag repairing_or_in_use_;
  std::atomic<bool> without_ring_{false};  // no memory for a new one: retried
  std::uint64_t overruns_ GUARDED_BY(ring_changes_) = 0;
};

}  // namespace vswitch::af_packet
