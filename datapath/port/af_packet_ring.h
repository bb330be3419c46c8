// SPDX-License-Identifier: Apache-2.0
// A receive socket with its TPACKET_V2 ring, and the handover from one to another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <future>
#include <optional>
#include <string>

#include "datapath/base/thread_annotations.h"
#include "datapath/base/unique_fd.h"
#include "datapath/port/af_packet_port.h"

struct sock_fprog;

namespace vswitch::af_packet {

struct RingSize {
  std::size_t slots, slot_size, queue_bytes;
  std::size_t bytes() const { return slots * slot_size; }
  bool operator==(const RingSize&) const = default;
};

RingSize first_size(const AfPacketOptions& options);
RingSize full_size(const AfPacketOptions& options);

/// A receive socket with its ring, not bound to a device at first. Once bound it belongs to a fanout group:
/// each frame goes to one socket of the group, so that one ring can take over from another without losing or
/// duplicating a frame.
///
/// Errors throw std::system_error unless the function returns bool; `device` is used in their messages.
class Ring {
 public:
  Ring(const RingSize& size, const std::string& device);
  Ring(Ring&& other) noexcept;
  Ring& operator=(Ring&& other) noexcept;  ///< swaps the two
  ~Ring();

  const UniqueFd& socket() const { return fd_; }
  const RingSize& size() const { return size_; }
  std::uint8_t* memory() const { return memory_; }  ///< null after drop(), until map() succeeds

  /// Starts to receive from the device. `filter`: AfPacketOptions::filter.
  void begin(int ifindex, int filter, const std::string& device);
  /// The same for what is sent on the device.
  void begin_outgoing(int ifindex, const std::string& device);
  /// Prepares to take over from `before`, on the same device. begin() and stand_by() take the kernel
  /// milliseconds.
  void stand_by(const Ring& before, int ifindex, int filter, const std::string& device);
  /// From now on the ring that stands by gets every frame. False if the kernel refuses.
  bool hand_over_to_second() const;
  void make_promiscuous(int ifindex, const std::string& device) const;

  /// Allocates the ring. False if there is no memory for it.
  bool map();
  /// Frees the ring; the socket stays.
  void drop();

 private:
  /// Joins a group, or a new one. False with errno on failure.
  bool join(std::optional<std::uint32_t> group) const;
  std::optional<std::uint32_t> group() const;
  void block_receive() const;
  /// Accepts only incoming frames, even if the kernel does not know PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
  /// PACKET_IGNORE_OUTGOING does not apply in a group. `filter` does the same.
  void hear(int filter) const;
  void attach(const sock_fprog& program) const;
  bool set(std::size_t bytes);

  RingSize size_;
  UniqueFd fd_;
  std::uint8_t* memory_ = nullptr;
};

}  // namespace vswitch::af_packet

namespace vswitch {

class RingStock::Impl {
 public:
  Impl() { refill(); }

  /// The ring kept ready, if it has this size, or a new one.
  af_packet::Ring take(const af_packet::RingSize& size, const std::string& device);

 private:
  std::optional<af_packet::Ring> take_spare() EXCLUDES(mutex_);
  void refill() REQUIRES(mutex_);

  Mutex mutex_;
  std::future<std::optional<af_packet::Ring>> spare_ GUARDED_BY(mutex_);
};

}  // namespace vswitch
