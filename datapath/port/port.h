// SPDX-License-Identifier: Apache-2.0
// A port: the switch receives frames from it and sends frames to it.
//
// Threads. Of the workers, only the one that owns the port receives. Every worker and
// mirror thread may call send() at the same time, each with its own SenderId: an implementation gives each
// sender its own socket, so that no lock is taken. Construction and destruction happen on the control thread
// or on a thread that it starts, while no worker uses the port.
//
// A device may vanish at any time: receive() then returns 0 and send() sets outcomes. Nothing throws after
// construction.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/base/thread_annotations.h"
#include "datapath/frame/frame.h"

namespace vswitch {

inline constexpr std::size_t kBatchSize = 64;  ///< frames taken from a port at a time

/// What the kernel can do with frames of a network device by itself (datapath/fastpath).
struct KernelDevice {
  int ifindex = 0;            ///< 0: it is not a network device, or nothing can be sent to it
  bool is_filtered = false;   ///< the filter of the fast path decides about its frames
  bool takes_frames = false;  ///< nothing that the host has put on it may drop a frame unseen
  bool takes_copies = false;  ///< a copy that it refuses is known at once
  bool is_host = false;       ///< an internal port: the host receives what is sent there
};

class Port {
 public:
  Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  virtual ~Port() = default;

  /// Becomes readable (level-triggered, EPOLLIN or EPOLLERR) when receive() has something to do.
  virtual int receive_fd() const REQUIRES(roles::worker) = 0;

  /// Takes up to into.size() (at most kBatchSize) waiting frames, without blocking. They stay valid until
  /// release(). Returns how many; 0 if none wait or the device is gone or down.
  virtual std::size_t receive(std::span<RawFrame> into) REQUIRES(roles::worker) = 0;

  /// Gives back the memory of all received frames. Called after each receive() that returned frames.
  virtual void release() REQUIRES(roles::worker) = 0;

  /// Sends without blocking, in order. Sets `outcome` of each frame to none, or to the reason why the device
  /// did not accept it: too_big (EMSGSIZE), link_down (ENETDOWN), no_buffers (ENOBUFS, EAGAIN), port_waiting
  /// (device gone), send_error. The frames behind a refused one are still sent.
  virtual void send(SenderId sender, std::span<OutgoingFrame> frames) = 0;

  /// send() for copies: a capture on the device shows them, and its queueing discipline applies.
  virtual void send_copies(SenderId sender, std::span<OutgoingFrame> frames) { send(sender, frames); }

  /// From now on frames leave by the ordinary path of the kernel, past what the host has put on the device
  /// (queueing discipline, filters, captures), or, with false, by the fastest one again. Any thread.
  virtual void use_ordinary_path(bool /*ordinary*/) {}

  /// Whether frames sent to the device arrive somewhere, as far as is known. Where frames queue, the kernel takes those
  /// for a device without a link and drops them, without an error.
  virtual void set_link(bool /*up*/) {}

  /// Frames lost before receive() could see them, since the port was created (ring full, memory short). Call
  /// it regularly: an AF_PACKET port also detects a stuck ring here. Any thread.
  virtual std::uint64_t receive_overruns() = 0;

  /// Nothing waits: receive() has returned every frame that the kernel had put into the receive memory before this call.
  virtual bool is_drained() const REQUIRES(roles::worker) { return false; }
  /// The most frames that can wait; 0 = unknown.
  virtual std::size_t most_waiting() const REQUIRES(roles::worker) { return 0; }

  virtual KernelDevice kernel_device() const { return {}; }

  /// Bytes of memory held for incoming frames, whether or not any are waiting. Any thread.
  virtual std::size_t receive_memory() { return 0; }
  /// The same for outgoing frames.
  virtual std::size_t send_memory() { return 0; }
};

}  // namespace vswitch
