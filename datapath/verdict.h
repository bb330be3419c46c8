// SPDX-License-Identifier: Apache-2.0
// What shall happen to one frame: the answer of decide(), carried out by the worker, printed by explain.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "datapath/drop_reason.h"
#include "datapath/frame/frame.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

/// An address to be learned.
struct Learn {
  BridgeIndex bridge;
  VlanId vlan;
  MacAddr mac;
  PortNo port;
};

/// A production frame leaving through a port.
struct Send {
  PortNo port;
  TagList tags;
  DropReason drop = DropReason::none;  ///< otherwise it should have left there, and why it does not
};

/// A session that selected the frame. Counted once per frame.
struct Match {
  SessionIndex session;
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

/// One copy per matching session and destination.
struct Copy {
  SessionIndex session;
  std::uint32_t destination;  ///< position in MirrorSession::destinations
  PortNo port;                ///< kNoPort: the destination is an endpoint
  TagList tags;
  CopyOrigin origin = {};
  DropReason drop = DropReason::none;  ///< otherwise it is lost already, and why
};

/// A frame that crossed a patch and was refused on arrival in the peer's bridge.
struct PatchDrop {
  PortNo port;
  DropReason reason;
};

struct Verdict {
  DropReason drop = DropReason::none;  ///< set if the bridge the frame arrived in forwards it nowhere
  std::vector<Learn> learns;
  std::vector<Send> sends;
  std::vector<Match> matches;
  std::vector<Copy> copies;
  std::vector<PatchDrop> patch_drops;
  std::vector<Intrusion> intrusions;

  void clear() {
    drop = DropReason::none;
    learns.clear();
    sends.clear();
    matches.clear();
    copies.clear();
    patch_drops.clear();
    intrusions.clear();
  }
};

}  // namespace vswitch
