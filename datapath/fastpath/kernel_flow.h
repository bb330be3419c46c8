// SPDX-License-Identifier: Apache-2.0
// Which verdicts the kernel can carry out by itself for all frames of a flow, and what it has to do then. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "datapath/base/counters.h"
#include "datapath/base/types.h"
#include "datapath/frame/frame.h"
#include "datapath/pipeline/verdict.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch::fastpath {

/// A tag as the maps hold it: TPID << 16 | TCI; 0 = untagged.
constexpr std::uint32_t tag_word(const VlanTag& tag) {
  return static_cast<std::uint32_t>(tag.tpid) << 16 | tag.tci;
}

struct KernelCopy {
  std::shared_ptr<DestinationCounters> account;
  PortNo port;
  std::uint32_t tag;  ///< a tag word
  bool duplicate;     ///< only counted

  auto operator<=>(const KernelCopy&) const = default;
};

struct KernelCopies {
  std::vector<KernelCopy> copies;
  std::vector<std::shared_ptr<SessionCounters>> sessions;  ///< that count the frame

  bool empty() const { return copies.empty() && sessions.empty(); }
  auto operator<=>(const KernelCopies&) const = default;
};

/// What happens to each frame of a flow.
struct KernelFlow {
  const PortConfig* in;
  const PortConfig* out;
  std::uint32_t in_tag, out_tag;  ///< tag words
  VlanId vlan;                    ///< in which the bridge knows both addresses
  KernelCopies copies;
};

/// Why a frame takes the way through user space.
enum class Obstacle : std::uint8_t {
  none,
  device,         ///< a port is no network device, or one that the kernel cannot carry frames from or to
  not_unicast,    ///< flooded, dropped, or over a patch
  tags,           ///< more than one tag before or after
  session_needs,  ///< a session selects by headers, samples, limits, truncates or encapsulates
  copy_shape,     ///< a copy needs work that only user space does
  many_copies,
};

struct Eligibility {
  Obstacle obstacle = Obstacle::none;
  std::optional<KernelFlow> flow;  ///< if there is no obstacle
};

/// Whether all frames with the port, tag and addresses of `frame` get this verdict, and the kernel can carry it out.
/// `verdict` was made with `snapshot` for a frame that arrived at port `in`.
Eligibility kernel_flow(const Snapshot& snapshot, PortNo in, const Frame& frame, const Verdict& verdict);

}  // namespace vswitch::fastpath
