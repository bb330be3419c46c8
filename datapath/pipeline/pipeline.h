// SPDX-License-Identifier: Apache-2.0
// The path of a frame through the switch: decide here, act in the worker.
//
// Decider::decide() makes no system call, takes no lock and changes nothing except its own scratch memory:
// the verdict says what to learn, send and copy. The same function serves explain (switchd), the unit tests
// and the benchmarks. There is no flow cache, so a published snapshot applies from the next frame on, to
// existing flows too.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "datapath/flow/flow_key.h"
#include "datapath/frame/frame.h"
#include "datapath/pipeline/trace.h"
#include "datapath/pipeline/verdict.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

class Decider {
 public:
  /// Decides about `frame`, received on port `in`. The verdict is valid until the next call. `trace` may be
  /// null.
  const Verdict& decide(const Snapshot& snapshot, PortNo in, const Frame& frame, TimeNs now,
                        Trace* trace = nullptr);
  /// The same as if the filter of every session selected the frame.
  const Verdict& decide_unfiltered(const Snapshot& snapshot, PortNo in, const Frame& frame, TimeNs now);

 private:
  static constexpr int kMaxPatchDepth = 32;  ///< a frame that crosses more in sequence is in a loop
  static constexpr int kMaxPatches = 1024;   ///< in total, for bridges that are joined more than once

  // pipeline.cc: production.
  void switch_frame(const PortConfig& in, const BridgeTags& tags);
  void note_intrusion(const BridgeConfig& bridge, VlanId vlan);
  DropReason choose_outputs(const PortConfig& in, const BridgeTags& tags);
  void deliver(const PortConfig& in, const PortConfig& out, const BridgeTags& tags);
  void cross_patch(const PortConfig& out, const TagList& wire);
  void dropped(DropReason reason, const PortConfig& port);

  // mirroring.cc: which sessions copy the frame, and the paths of the copies.
  void mirror(const PortConfig& source, const Candidates& candidates, const TagList& wire, bool delivered) {
    if (!candidates.empty()) mirror_wire(source, candidates, wire, delivered);
  }
  void mirror_wire(const PortConfig& source, const Candidates& candidates, const TagList& wire,
                   bool delivered);
  void mirror_tags(const PortConfig& source, const Candidates& candidates, const BridgeTags& tags,
                   bool delivered);
  void mirror_by(SessionIndex session, const PortConfig& source, const BridgeTags& tags, bool delivered);
  Trace::Result test(SessionIndex session, const BridgeTags& tags);
  const FlowKey& key_of(const BridgeTags& tags);
  void copy(SessionIndex session, const PortConfig& source, const BridgeTags& tags, bool delivered);
  bool carries_copy(const VlanPolicy& policy, const CopyTags& how, const BridgeTags& tags) const;
  bool first_there(PortNo port, const CompiledSession& session);
  void mark(std::uint64_t& done);
  std::uint32_t truncated_length(const CompiledSession& session, const TagList& wire) const;
  void copy_over_patch(SessionIndex at, std::uint32_t destination, const PortConfig& out, const TagList& wire,
                       const CopyOrigin& origin);
  void walk_as_copy(const PortConfig& out, const TagList& wire);
  void carry_out(const PortConfig& out, const TagList& wire, DropReason drop);
  bool is_copy_of(SessionIndex session) const;

  /// Adds a step to the trace. Parts are passed as values and formatted later, so that a frame without a
  /// trace only pays for a test of trace_.
  template <typename... Parts>
  void note(const Parts&... parts) {
    if (trace_ == nullptr) [[likely]]
      return;
    trace_->steps.push_back((in_words(parts) + ...));
  }

  // The current frame.
  const Snapshot* snapshot_ = nullptr;
  const Frame* frame_ = nullptr;
  TimeNs now_ = 0;
  Trace* trace_ = nullptr;
  bool unfiltered_ = false;
  VlanId customer_ = 0;
  int patch_depth_ = 0;      ///< 0 while the frame is in the bridge it arrived in
  int copies_crossed_ = 0;   ///< the same for copies, which must not use up the limit for production
  int patches_crossed_ = 0;  ///< in total, so that parallel patches cannot multiply a frame without end
  Verdict verdict_;

  // The header fields that filters test: read when the first session with a filter needs them, and again if
  // the frame has other tags at another session.
  FlowKey key_;
  BridgeTags key_tags_;
  bool key_known_ = false;

  // Memory for Candidates::visit(), by depth: a copy may be mirrored while sessions are visited.
  std::deque<std::vector<SessionIndex>> found_;
  std::size_t visits_ = 0;

  /// Null while the frame itself is processed; otherwise the copy that is.
  struct Carried {
    WalkNo walk;
    SessionIndex session;
    std::uint32_t destination;
    CopyOrigin origin;
    std::uint32_t remaining;  ///< bytes of payload that remain, or kWholeFrame
  };
  const Carried* carried_ = nullptr;
  WalkNo walk() const { return carried_ == nullptr ? kFrameItself : carried_->walk; }

  // "Already done for this frame", by session and by destination port: equal to serial_ means yes. A copy
  // that has crossed a patch is a frame of its own: it has another serial, and the values it overwrites are
  // restored.
  std::uint64_t serial_ = 0;
  std::uint64_t last_serial_ = 0;
  struct Overwritten {
    std::uint64_t* where;
    std::uint64_t what;
  };
  std::vector<Overwritten> overwritten_;
  std::vector<std::uint64_t> session_done_;
  std::vector<std::uint64_t> destination_done_;
  struct VlanDone {
    PortNo port;
    VlanId vlan;
    std::uint64_t serial;
    bool operator==(const VlanDone&) const = default;
  };
  std::vector<VlanDone> vlan_destination_done_;  ///< of this frame, with an output VLAN
};

}  // namespace vswitch
