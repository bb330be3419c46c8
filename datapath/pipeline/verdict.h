// SPDX-License-Identifier: Apache-2.0
// What shall happen to one frame: the answer of decide(), carried out by the worker, printed by explain.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "datapath/base/drop_reason.h"
#include "datapath/frame/frame.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

/// The ways of one frame: its own, and those of its copies behind patch ports.
using WalkNo = std::uint32_t;
inline constexpr WalkNo kFrameItself = 0;

/// A copy that leaves by a patch port goes on in the peer's bridge as a frame: it teaches addresses, is
/// forwarded and mirrored there, and can cross further patches. All of that happens only if the session does
/// not leave the frame out (sample, rate, quota), which is not known yet when it is decided.
struct CopyWalk {
  WalkNo parent;              ///< the walk the copy was made on
  SessionIndex session;       ///< whose copy it is
  std::uint32_t destination;  ///< position of the patch port in CompiledSession::destinations
  WalkNo first;               ///< the first walk of such a copy over the same patch: one of them takes place
};

/// An address to be learned.
struct Learn {
  BridgeIndex bridge;
  VlanId vlan;
  MacAddr mac;
  PortNo port;
  WalkNo walk = kFrameItself;
};

/// A production frame leaving through a port.
struct Send {
  PortNo port;
  TagList tags;
  DropReason drop = DropReason::none;  ///< otherwise it should have left there, and why it does not
};

/// A session that selected the frame. Counted once per frame.
struct Selection {
  SessionIndex session;
  WalkNo walk = kFrameItself;
  bool counts = true;  ///< false: other sessions copy it already to all its destinations
};

/// The frame is no copy and came in a session's output VLAN: where copies leave it does too.
struct Intrusion {
  SessionIndex session;
};

/// Where and how the frame was when it was copied.
struct CopyOrigin {
  std::optional<VlanTag> tag;  ///< of its VLAN
  bool delivered = false;      ///< on its way to the source port; otherwise from it
};

/// One copy per matching session and destination; of a destination that is a patch port, one for each port
/// behind it that the copy leaves by or is lost at.
struct Copy {
  SessionIndex session;
  std::uint32_t destination;  ///< position in CompiledSession::destinations
  PortNo port;                ///< kNoPort: the destination is an endpoint
  TagList tags;
  CopyOrigin origin = {};
  DropReason drop = DropReason::none;   ///< otherwise it is lost already, and why
  std::uint32_t snaplen = kWholeFrame;  ///< bytes it has at most, with its tags
  WalkNo walk = kFrameItself;           ///< of a copy behind a patch: its own; otherwise that of its frame
};

/// A frame that crossed a patch and was refused on arrival in the peer's bridge.
struct PatchDrop {
  PortNo port;
  DropReason reason;
  WalkNo walk = kFrameItself;
};

/// A copy crosses a patch. (Of production frames a Send says so.)
struct Crossing {
  PortNo port;
  WalkNo walk;
};

struct Verdict {
  DropReason drop = DropReason::none;  ///< set if the bridge the frame arrived in forwards it nowhere
  std::vector<Learn> learns;
  std::vector<Send> sends;
  std::vector<Selection> selections;
  std::vector<Copy> copies;
  std::vector<PatchDrop> patch_drops;
  std::vector<Intrusion> intrusions;
  std::vector<CopyWalk> walks;  ///< walk n is at n - 1, behind its parent
  std::vector<Crossing> crossings;

  const CopyWalk& walk(WalkNo number) const { return walks[number - 1]; }
  /// Where the copy was made: of one behind a patch, where its walk began.
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
