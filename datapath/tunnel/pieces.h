// SPDX-License-Identifier: Apache-2.0
// Turns a frame into what is sent: whole, truncated or segmented; bare for a device, or encapsulated for an
// endpoint.
//
// Only headers are copied, into memory that the Pieces keep until clear().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "datapath/frame/frame.h"
#include "datapath/mirror/copy_shape.h"
#include "datapath/tunnel/encapsulation.h"
#include "datapath/tunnel/tunnel_endpoint.h"

namespace vswitch::tunnel {

/// Hands out consecutive pieces of memory, up to 64 KiB each, which are all given back at once.
class HeaderArena {
 public:
  std::span<std::uint8_t> take(std::size_t bytes);
  void clear();

 private:
  static constexpr std::size_t kBlock = 64 * 1024;
  std::vector<std::unique_ptr<std::uint8_t[]>> blocks_;
  std::size_t full_ = 0;  ///< blocks without room
  std::size_t used_ = 0;  ///< bytes used of the block after them
};

/// What becomes of a frame, or a segment of one, on the path to an endpoint.
struct Fit {
  std::size_t bytes = 0;     ///< of it that are sent
  bool cut_to_mtu = false;   ///< the MTU of the path leaves room for no more
  bool fragmented = false;   ///< the host sends it in several packets
  bool is_too_long = false;  ///< it is not sent
};

/// `length`: of the frame. `snaplen`: bytes of it that are wanted. `longest`: bytes that fit the MTU of the path.
Fit fit_to_path(std::size_t length, std::size_t snaplen, std::size_t longest, MtuPolicy policy);

/// For what leaves by a tunnel port.
constexpr MtuPolicy mtu_policy_of_port(const TunnelEndpointSettings& settings) {
  return settings.dont_fragment ? MtuPolicy::drop : MtuPolicy::fragment;
}

class Pieces {
 public:
  /// How one frame leaves.
  struct Shape {
    bool segment_gso = false;
    std::size_t snaplen = kWholeFrame;   ///< bytes of each piece, without encapsulation
    TunnelEndpoint* endpoint = nullptr;  ///< null: bare
    MtuPolicy mtu_policy = MtuPolicy::truncate;
    CopyFacts facts = {};  ///< with an endpoint; truncated, length and sequence are filled in here
  };

  /// Appends the pieces of a frame, whose payload must outlive them. If that fails, appends nothing and
  /// returns too_big or not_segmentable.
  DropReason add(const OutgoingFrame& frame, const Shape& shape);

  std::span<OutgoingFrame> all() { return pieces_; }
  std::size_t size() const { return pieces_.size(); }
  void clear();

 private:
  DropReason add_whole(const OutgoingFrame& frame, const Shape& shape);
  DropReason add_segments(const OutgoingFrame& frame, const Shape& shape);
  DropReason add_piece(std::span<std::uint8_t> header, std::span<const std::uint8_t> payload,
                       const Shape& shape, Offload offload);

  std::vector<OutgoingFrame> pieces_;
  HeaderArena arena_;
};

}  // namespace vswitch::tunnel
