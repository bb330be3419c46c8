// SPDX-License-Identifier: Apache-2.0
// A port on a network device that already exists (veth, physical, ...), through AF_PACKET sockets
// (packet(7)).
//
// Receive: one TPACKET_V2 ring of small slots. A frame too long for a slot (jumbo frame, GSO packet) is
// queued whole on the socket instead and fetched from there in order. The slots are even smaller until the
// port is busy. Send: one socket per sender, sendmmsg(2); production frames bypass the queueing discipline
// unless they are told not to.
// README.md in this folder has the reasons and the costs.
//
// The device is in promiscuous mode while the port exists. It may go down and up, change its MTU or its name,
// or vanish. A port whose device has vanished receives nothing; a device re-created under the same name needs
// a new port.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "datapath/port/port.h"

namespace vswitch {

/// Creating a ring takes the kernel 11 ms (measured), because all CPUs must respond. A ring does not depend
/// on its device, so one is kept ready here for the next port, in the network namespace of the thread that
/// created the stock. Any thread.
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
  std::string name;            ///< device name, for error messages only
  int ifindex = 0;             ///< the device
  std::size_t senders = 1;     ///< SenderId 0 .. senders-1 may send
  RingStock* stock = nullptr;  ///< source of a ring, if it has one of this size ready
  /// Number of senders, the last ones, that send copies: through the queueing discipline, so that a capture
  /// on the device of a mirror destination shows them (ovs-tcpdump captures there).
  std::size_t mirror_senders = 0;
  /// Send finished production frames by AF_XDP (xdp_sender.h) while the port is busy, if available.
  bool xdp_transmit = true;
  /// A program that decides which frames the port gets (datapath/fastpath/programs.h); -1: it gets all.
  int filter = -1;
  /// What is sent on the device, by whomever, instead of what arrives there. With slots equal to first_slots and
  /// slot_size to first_slot_size.
  bool outgoing = false;
  bool xdp_copies = false;  ///< copies too, which then bypass the queueing discipline

  // Memory (README.md in this folder has the sum).
  /// Frames waiting in the ring. slots * slot_size must be a multiple of 32 KiB.
  std::size_t slots = 1024;
  /// slots and slot_size of the ring until the port is busy. The larger ring is created in the network
  /// namespace of the thread that receives, which must be the one the port was opened in.
  std::size_t first_slots = 1024;
  std::size_t first_slot_size = 256;
  /// Bytes, a power of two from 256 to 32768. 76 of them are overhead.
  std::size_t slot_size = 2048;
  /// Bytes of long frames waiting in the socket's queue, including the kernel's overhead. A limit, which
  /// costs nothing while none wait.
  std::size_t queue_bytes = 4 * 1024 * 1024;
  /// Bytes for the long frames of one batch. A longer frame is truncated.
  std::size_t arena_bytes = 320 * 1024;
};

/// Opens a port on an existing Ethernet device. Throws std::system_error whose what() is a sentence: no such
/// device, not an Ethernet device, no permission, no memory.
std::unique_ptr<Port> open_af_packet_port(const AfPacketOptions& options);

}  // namespace vswitch
