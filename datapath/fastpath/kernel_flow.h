// SPDX-License-Identifier: Apache-2.0
// Which verdicts the kernel can carry out by itself for all frames of a flow, and what it has to do then. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "datapath/base/types.h"
#include "datapath/fastpath/kernel_copies.h"
#include "datapath/frame/frame.h"
#include "datapath/pipeline/verdict.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch::fastpath {

struct KernelSend {
  enum class Kind : std::uint8_t {
    sent,
    refused,  ///< it only counts: both ports are protected
    crosses,  ///< it only counts: the port is a patch port, and the frame goes on in the peer's bridge
  };
  PortNo port;
  std::uint32_t tag = 0;  ///< a tag word
  Kind kind = Kind::sent;
  PortNo peer = kNoPort;  ///< if it crosses

  auto operator<=>(const KernelSend&) const = default;
};

/// A bridge that the frame passes.
struct KernelHop {
  const BridgeConfig* bridge;
  VlanId vlan;
  PortNo in;             ///< where the bridge knows the source
  PortNo out = kNoPort;  ///< and the destination, unless it is a group
};

/// What happens to each frame of a flow.
struct KernelFlow {
  const PortConfig* in;
  std::vector<KernelHop> hops;    ///< the first is the bridge of `in`; no bridge twice
  std::vector<KernelSend> sends;  ///< the last is one where it is sent
  std::uint32_t in_tag;           ///< a tag word
  KernelCopies copies;
};

/// Why a frame takes the way through user space.
enum class Obstacle : std::uint8_t {
  none,
  device,      ///< a port is no network device, or one that the kernel cannot carry frames from or to
  path,        ///< dropped, twice through one bridge, or flooded because nobody knows the destination
  many_ports,  ///< a group address, and more ports than a list holds
  tags,        ///< more than one tag before or after
  session_needs,  ///< a session selects by headers, samples, limits, truncates or encapsulates, and there is no copy tap
  many_copies,
};

/// Why, for people: "user space carries the frame: " comes before it.
std::string_view sentence(Obstacle obstacle);

struct Eligibility {
  Obstacle obstacle = Obstacle::none;
  std::optional<KernelFlow> flow;  ///< if there is no obstacle
};

/// Whether all frames with the port, tag and addresses of `frame` get this verdict, and the kernel can carry it out.
/// `verdict` was made with `snapshot` for a frame that arrived at port `in`. `unfiltered`: empty if there are no copy
/// taps, so that user space cannot make the copies of frames that the kernel forwards.
Eligibility kernel_flow(const Snapshot& snapshot, PortNo in, const Frame& frame, const Verdict& verdict,
                        const Unfiltered& unfiltered);

}  // namespace vswitch::fastpath
