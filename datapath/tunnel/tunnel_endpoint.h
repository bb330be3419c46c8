// SPDX-License-Identifier: Apache-2.0
// The near end of a tunnel to an IP address: frames go in, packets leave through the host's own IP stack.
//
// Packets are handed to a raw socket, so routing, policy routing, source address, neighbour, fragmentation
// and the firewall are the host's and follow its changes without us. What the host would do silently is asked
// of it beforehand (switchd/netlink/route_monitor) and kept here as the path: where there is no route, or
// where the neighbour does not answer, nothing is sent, so that what is counted as sent left, but for the
// last ms.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "datapath/base/ip_address.h"
#include "datapath/base/unique_fd.h"
#include "datapath/frame/frame.h"
#include "datapath/tunnel/encapsulation.h"

namespace vswitch::tunnel {

struct TunnelEndpointSettings {
  IpAddress remote;
  std::optional<IpAddress> local;  ///< nullopt: as routed
  Encapsulation encapsulation;
  std::uint8_t ttl = 64;
  std::uint8_t dscp = 0;
  bool dont_fragment = true;

  bool operator==(const TunnelEndpointSettings&) const = default;
};

class TunnelEndpoint {
 public:
  /// Throws std::system_error when there is no raw socket to be had.
  explicit TunnelEndpoint(const TunnelEndpointSettings& settings);
  TunnelEndpoint(const TunnelEndpoint&) = delete;
  TunnelEndpoint& operator=(const TunnelEndpoint&) = delete;

  const TunnelEndpointSettings& settings() const { return settings_; }

  /// Control thread: what the host says of the way there. `trouble` is none, no_route, no_neighbour or
  /// link_down; `mtu` of IP packets, 0 = unknown.
  void set_path(DropReason trouble, std::uint32_t mtu);
  DropReason trouble() const { return trouble_.load(std::memory_order_relaxed); }

  /// Control thread: whether a packet was too long for the way since the last call, though longest_frame()
  /// allowed it: a router has told the host so, and the host tells nobody.
  bool take_outgrown() { return outgrown_.exchange(false, std::memory_order_relaxed); }

  /// The longest frame that fits the MTU on the way.
  std::size_t longest_frame() const { return longest_frame_.load(std::memory_order_relaxed); }

  /// The next packet's number. A number that is taken and not sent is a gap that the other end can see.
  std::uint32_t next_sequence() { return sequence_.fetch_add(1, std::memory_order_relaxed); }

  /// Sends without blocking, in order: `header` of each begins with the encapsulation. Sets each outcome:
  /// none, trouble(), too_big, no_buffers, send_error. Any thread.
  void send(std::span<OutgoingFrame> packets);

 private:
  std::size_t refused(int error, std::span<OutgoingFrame> packets);

  const TunnelEndpointSettings settings_;
  const UniqueFd socket_;
  const UniqueFd path_mtu_socket_;  ///< IPv6 only, see endpoint.cc
  std::atomic<DropReason> trouble_{DropReason::no_route};
  std::atomic<std::size_t> longest_frame_;
  std::atomic<std::uint32_t> sequence_{0};
  std::atomic<bool> outgrown_{false};
};

}  // namespace vswitch::tunnel
