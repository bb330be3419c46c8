// SPDX-License-Identifier: Apache-2.0
// A port: what the switch receives frames from and sends frames to.
//
// Threads. A port is received from by one thread at a time, the worker that owns it: receive(), release() and
// receive_fd() are called only there. send() is called by every worker and mirror thread, each with a
// SenderId of its own, at the same time: an implementation gives each sender a socket of its own, so that no
// lock is taken. Construction and destruction happen on the control thread, when no worker uses the port any
// more.
//
// A device that vanishes is a normal day: receive() then returns 0 and send() sets outcomes; nothing throws
// after construction.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/frame/frame.h"

namespace vswitch {

inline constexpr std::size_t kBatchSize = 64;  ///< frames taken from a port at a time

class Port {
 public:
  Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  virtual ~Port() = default;

  /// Becomes readable (level-triggered, EPOLLIN or EPOLLERR) when receive() has something to do.
  virtual int receive_fd() const = 0;

  /// Takes up to into.size() (at most kBatchSize) waiting frames, without blocking. They stay valid until
  /// release(). Returns how many; 0 when nothing waits or the device is gone or down.
  virtual std::size_t receive(std::span<RawFrame> into) = 0;

  /// Gives the memory of everything received back. Called after each receive() that returned frames.
  virtual void release() = 0;

  /// Sends without blocking, in order. For each frame `outcome` becomes none, or why the device did not take
  /// it: too_big (EMSGSIZE), link_down (ENETDOWN), no_buffers (ENOBUFS, EAGAIN), port_waiting (device gone),
  /// send_error. A refused frame does not keep those behind it from being sent.
  virtual void send(SenderId sender, std::span<OutgoingFrame> frames) = 0;

  /// Frames the device lost before receive() could see them, since the port was made (ring full, memory
  /// short).
  virtual std::uint64_t receive_overruns() = 0;

  /// Bytes of memory held for frames that come in, whether or not some are there. Any thread.
  virtual std::size_t receive_memory() { return 0; }
  /// The same for frames that go out.
  virtual std::size_t send_memory() { return 0; }
};

}  // namespace vswitch
