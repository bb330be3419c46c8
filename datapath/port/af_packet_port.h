// SPDX-License-Identifier: Apache-2.0
// A port on a network device that already exists (veth, physical, ...), through AF_PACKET sockets
// (packet(7)).
//
// Receive: one TPACKET_V2 ring of small slots. A frame too long for a slot (jumbo frame, GSO packet) waits
// whole in the socket's queue instead and is fetched from there in its turn. The slots are small until the
// port turns out to be a busy one. Send: one socket per sender,
// sendmmsg(2), production past the queueing discipline. README.md of this room says why, and what it costs.
//
// The device is in promiscuous mode while the port exists. It may go down and up, change its MTU or its name,
// or vanish; a port whose device vanished stays silent, a device re-created under the same name needs a new
// port.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "datapath/port/port.h"

namespace vswitch {

/// Making a ring takes the kernel 11 ms (measured): it lets all processors pass. A ring does not depend on
/// its device, so one lies here ready for the next port, in the network namespace of who made the stock. Any
/// thread.
class RingStock {
 public:
  RingStock();
  RingStock(const RingStock&) = delete;
  RingStock& operator=(const RingStock&) = delete;
  ~RingStock();

  class Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

struct AfPacketOptions {
  std::string name;            ///< device name, for sentences only
  int ifindex = 0;             ///< the device
  std::size_t senders = 1;     ///< SenderId 0 .. senders-1 may send
  RingStock* stock = nullptr;  ///< where to take a ring from, if it has one of this size ready
  /// The last ones, which send copies: through the queueing discipline, so that a capture on the device of a
  /// mirror destination shows them (ovs-tcpdump captures there).
  std::size_t mirror_senders = 0;
  /// Production frames that need no work leave by AF_XDP (xdp_sender.h) while the port is busy, where that
  /// can be had.
  bool xdp_transmit = true;
  bool xdp_copies = false;  ///< copies too, past the queueing discipline then

  // Memory (README.md of this room has the sum).
  /// Frames waiting in the ring. slots * slot_size is a multiple of 32 KiB.
  std::size_t slots = 1024;
  /// The ring until the port is busy, as slots and slot_size. The larger one is made in the network namespace
  /// of the thread that receives, which has to be the one the port was opened in.
  std::size_t first_slots = 384;
  std::size_t first_slot_size = 256;
  /// Bytes, a power of two from 256 to 32768. 76 of them are not for the frame.
  std::size_t slot_size = 2048;
  /// Long frames waiting in the socket's queue, the kernel's overhead included. A limit, which costs nothing
  /// while none wait.
  std::size_t queue_bytes = 4 * 1024 * 1024;
  /// Long frames of one batch. A frame longer than this is truncated.
  std::size_t arena_bytes = 320 * 1024;
};

/// Throws std::system_error whose what() is a sentence: no such device, no permission, no memory.
std::unique_ptr<Port> open_af_packet_port(const AfPacketOptions& options);

}  // namespace vswitch
