// SPDX-License-Identifier: Apache-2.0
// The local end of a tunnel to an IP address: frames go in, packets leave through the host's own IP stack.
//
// Packets are sent on a raw socket, so the host's routing, policy routing, source addresses, neighbours,
// fragmentation and firewall apply, and changes to them take effect by themselves. The host drops packets
// silently if there is no route or the next hop does not answer. It is therefore queried beforehand
// (switchd/netlink/route_monitor), the result is kept here as the path, and in these cases nothing is sent.
// Packets counted as sent have thus left, except those of the last milliseconds before a change.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "datapath/base/ip_address.h"
#include "datapath/base/thread_annotations.h"
#include "datapath/base/unique_fd.h"
#include "datapath/frame/frame.h"
#include "datapath/tunnel/encapsulation.h"

namespace vswitch::tunnel {

struct TunnelEndpointSettings {
  IpAddress remote;
  std::optional<IpAddress> local;  ///< nullopt: chosen by the route
  Encapsulation encapsulation;
  std::uint8_t ttl = 64;
  std::uint8_t dscp = 0;
  bool inherit_ttl = false;   ///< the TTL is that of the packet in the frame, if there is one
  bool inherit_dscp = false;  ///< the same for the DSCP
  bool inherit_ecn = false;   ///< ECN of that packet goes into the header, and back at the other end
  bool dont_fragment = true;

  /// Whether the IP headers of packets differ, see inherit.h.
  bool inherits() const { return inherit_ttl || inherit_dscp || inherit_ecn; }

  bool operator==(const TunnelEndpointSettings&) const = default;
};

class TunnelEndpoint {
 public:
  /// Throws std::system_error if a raw socket cannot be opened or configured.
  explicit TunnelEndpoint(const TunnelEndpointSettings& settings);
  TunnelEndpoint(const TunnelEndpoint&) = delete;
  TunnelEndpoint& operator=(const TunnelEndpoint&) = delete;

  const TunnelEndpointSettings& settings() const { return settings_; }

  /// Sets the state of the path, as the host reports it. `trouble` is none, no_route, no_neighbour or
  /// link_down; `mtu` is in bytes of IP packets, 0 = unknown.
  void set_path(DropReason trouble, std::uint32_t mtu) REQUIRES(roles::control);
  DropReason trouble() const { return trouble_.load(std::memory_order_relaxed); }

  /// Whether, since the last call, a packet was too long for the path although longest_frame() allowed it: a
  /// router has told the host of a smaller MTU, which the host does not announce.
  bool take_outgrown() REQUIRES(roles::control) {
    return outgrown_.exchange(false, std::memory_order_relaxed);
  }

  /// Bytes of the longest frame that fits the MTU of the path. Any thread.
  std::size_t longest_frame() const { return longest_frame_.load(std::memory_order_relaxed); }

  /// Takes the next packet's sequence number. A number that is taken but not sent is a gap that the other end
  /// can see. Any thread.
  std::uint32_t next_sequence() { return sequence_.fetch_add(1, std::memory_order_relaxed); }

  /// Sends without blocking, in order. The `header` of each packet begins with the encapsulation; with
  /// settings().inherits(), `ttl` and `tos` are those of its IP header. Sets each outcome: none, trouble(), too_big, no_buffers, send_error. Any thread.
  void send(std::span<OutgoingFrame> packets);

 private:
  std::size_t refused(int error, std::span<OutgoingFrame> packets);

  const TunnelEndpointSettings settings_;
  const UniqueFd socket_;
  const UniqueFd path_mtu_socket_;  ///< IPv6 only, see tunnel_endpoint.cc
  std::atomic<DropReason> trouble_{DropReason::no_route};
  std::atomic<std::size_t> longest_frame_;
  std::atomic<std::uint32_t> sequence_{0};
  std::atomic<bool> outgrown_{false};
};

}  // namespace vswitch::tunnel
