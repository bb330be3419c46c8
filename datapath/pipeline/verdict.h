// SPDX-License-Identifier: Apache-2.0
// The decision about one frame: the result of decide(), carried out by the worker, printed by explain.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "datapath/base/drop_reason.h"
#include "datapath/frame/frame.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

/// The paths of one frame: its own, and those of its copies beyond patch ports.
using WalkNo = std::uint32_t;
inline constexpr WalkNo kFrameItself = 0;

/// A copy that leaves by a patch port continues in the peer's bridge as a frame: its addresses are learned,
/// it is forwarded and mirrored there, and it can cross further patches. All of that happens only if the
/// session does not omit the frame (sample, rate, quota), which is not known yet at decision time.
struct CopyWalk {
  WalkNo parent;              ///< the walk the copy was made on
  SessionIndex session;       ///< whose copy it is
  std::uint32_t destination;  ///< position of the patch port in CompiledSession::destinations
  WalkNo first;               ///< the first walk of such a copy over the same patch: only one takes place
};

/// An address to learn.
struct Learn {
  const BridgeConfig* bridge;
  VlanId vlan;
  MacAddr mac;
  PortNo port;
  WalkNo walk = kFrameItself;
};

/// A production frame leaving through a port.
struct Send {
  PortNo port;
  TagList tags;
  DropReason drop = DropReason::none;  ///< not none: why the frame does not leave there
};

/// A session that selected the frame. Counted once per frame.
struct Selection {
  SessionIndex session;
  WalkNo walk = kFrameItself;
  bool counts = true;  ///< false: other sessions copy it already to all its destinations
};

/// The frame is not a copy and came in a session's output VLAN: it leaves where copies leave.
struct Intrusion {
  SessionIndex session;
};

/// State of the frame when it was copied.
struct CopyOrigin {
  std::optional<VlanTag> tag;        ///< of its VLAN
  bool delivered = false;            ///< towards the source port; otherwise from it
  const PortConfig* port = nullptr;  ///< the source port
};

/// One copy per matching session and destination; if the destination is a patch port, one for each port
/// beyond it where the copy leaves or is lost.
struct Copy {
  SessionIndex session;
  std::uint32_t destination;  ///< position in CompiledSession::destinations
  PortNo port;                ///< kNoPort: the destination is an endpoint or a capture
  TagList tags;
  CopyOrigin origin = {};
  DropReason drop = DropReason::none;   ///< not none: why it is already lost
  std::uint32_t snaplen = kWholeFrame;  ///< maximum length in bytes, tags included
  WalkNo walk = kFrameItself;           ///< of a copy beyond a patch: its own; otherwise that of its frame
};

/// A frame that crossed a patch and was refused on arrival in the peer's bridge.
struct PatchDrop {
  PortNo port;
  DropReason reason;
  WalkNo walk = kFrameItself;
};

/// A copy crosses a patch. (For production frames, see Send.)
struct Crossing {
  PortNo port;
  WalkNo walk;
};

struct Verdict {
  DropReason drop = DropReason::none;  ///< set if the bridge where the frame arrived does not forward it
  std::vector<Learn> learns;
  std::vector<Send> sends;
  std::vector<Selection> selections;
  std::vector<Copy> copies;
  std::vector<PatchDrop> patch_drops;
  std::vector<Intrusion> intrusions;
  std::vector<CopyWalk> walks;  ///< walk n is at n - 1, after its parent
  std::vector<Crossing> crossings;

  const CopyWalk& walk(WalkNo number) const { return walks[number - 1]; }
  /// The walk on which the copy was made; for a copy beyond a patch, the one where its walk began.
  WalkNo made_on(const Copy& copy) const {
    const bool behind_patch = copy.walk != kFrameItself && walk(copy.walk).session == copy.session;
    return behind_patch ? walk(copy.walk).parent : copy.walk;
  }

  void clear() {
    drop = DropReason::none;
    learns.clear();
    sends.clear();
    selections.clear();
    copies.clear();
    patch_drops.clear();
    intrusions.clear();
    walks.clear();
    crossings.clear();
  }
};

}  // namespace vswitch
