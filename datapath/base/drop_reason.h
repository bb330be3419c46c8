// SPDX-License-Identifier: Apache-2.0
// Every way a frame or a copy can be lost: enum value, counter name, kind and sentence in one list, so that no
// drop is silent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vswitch {

/// What the statistics make of a reason.
enum class DropKind : std::uint8_t {
  loss,     ///< of a frame or a copy
  error,    ///< a loss that counts as an error of the interface too (rx_errors, tx_errors)
  no_loss,  ///< of a copy only: the destination has the frame, or the user asked for it
};

// X(enumerator and counter name, kind, sentence for people)
#define VSWITCH_DROP_REASONS(X) \
  X(none, loss, "not dropped") \
  X(malformed, error, \
    "shorter than an Ethernet header (14 bytes), or with an offload header that does not fit it") \
  X(receive_truncated, loss, \
    "longer than a ring slot while the queue for long frames was full: the switch was too slow") \
  X(receive_overrun, loss, "the receive memory of the port was full: the switch was too slow") \
  X(fast_path_bypassed, loss, \
    "of a flow that the kernel carries, but another program or filter on the device took it first, or ours " \
    "was gone") \
  X(congestion_mark, loss, \
    "came through a tunnel with a congestion mark (ECN), and its own sender does not know such marks") \
  X(mirror_destination, loss, "arrived on a mirror destination that may not carry normal traffic") \
  X(secure_mode, loss, "the bridge has fail_mode=secure and no controller") \
  X(vlan_not_admitted, loss, "the port does not accept the VLAN of the frame") \
  X(reserved_multicast, loss, "link-local destination address, and forward-bpdu is off") \
  X(hairpin, loss, "the destination is on the port the frame came from") \
  X(destination_is_mirror, loss, "the destination is behind a mirror destination that carries only copies") \
  X(vlan_not_carried, loss, "the destination is on a port that does not carry the VLAN") \
  X(no_recipient, loss, "no other port carries the VLAN") \
  X(protected_port, loss, "both ports are protected") \
  X(patch_unconnected, loss, "the patch port has no peer that points back") \
  X(patch_loop, loss, "crossed too many patch ports: the bridges form a loop") \
  X(port_waiting, loss, "the port has no device") \
  X(link_down, loss, "the device of the port is down") \
  X(too_big, loss, "longer than the MTU of the port's device or of the path to the endpoint") \
  X(no_buffers, loss, "the device had no room for it, or a queueing discipline or filter on it dropped it") \
  X(send_error, error, "the device refused it") \
  X(queue_full, loss, "the mirror queue was full: the mirror thread was too slow") \
  X(session_budget, loss, "the session had used up its share of the mirror queue") \
  X(cpu_budget, loss, "the session had used up its budget of processor time in the kernel") \
  X(no_route, loss, "the host has no route to the endpoint") \
  X(no_neighbour, loss, "the next hop on the path to the endpoint does not answer") \
  X(not_segmentable, loss, "a GSO packet of a kind that cannot be segmented") \
  X(reader_slow, loss, "the program that captures did not read fast enough") \
  X(reader_gone, loss, "the program that captures has ended") \
  X(switch_ended, loss, "was queued when vswitchd ended") \
  X(own_copy, loss, "is itself a copy on its way to an endpoint") \
  X(sampled_out, no_loss, "left out by the sampling of the session") \
  X(rate_limited, no_loss, "over the rate limit of the session") \
  X(duplicate, no_loss, "another session copied the same frame to the same destination")

enum class DropReason : std::uint8_t {
#define VSWITCH_X(name, kind, sentence) name,
  VSWITCH_DROP_REASONS(VSWITCH_X)
#undef VSWITCH_X
      count_
};

inline constexpr std::size_t kDropReasonCount = static_cast<std::size_t>(DropReason::count_);

constexpr std::string_view name(DropReason reason) {
  constexpr std::array<std::string_view, kDropReasonCount> names{
#define VSWITCH_X(name, kind, sentence) #name,
      VSWITCH_DROP_REASONS(VSWITCH_X)
#undef VSWITCH_X
  };
  return names[static_cast<std::size_t>(reason)];
}

constexpr std::string_view sentence(DropReason reason) {
  constexpr std::array<std::string_view, kDropReasonCount> sentences{
#define VSWITCH_X(name, kind, sentence) sentence,
      VSWITCH_DROP_REASONS(VSWITCH_X)
#undef VSWITCH_X
  };
  return sentences[static_cast<std::size_t>(reason)];
}

constexpr DropKind kind(DropReason reason) {
  constexpr std::array<DropKind, kDropReasonCount> kinds{
#define VSWITCH_X(name, kind, sentence) DropKind::kind,
      VSWITCH_DROP_REASONS(VSWITCH_X)
#undef VSWITCH_X
  };
  return kinds[static_cast<std::size_t>(reason)];
}

}  // namespace vswitch
