// SPDX-License-Identifier: Apache-2.0
// Which of the copies that a verdict asks for are made, and how they get into the mirror queue.
//
// decide() changes nothing, so it cannot know whether a session leaves a frame out: that depends on chance
// (sample) and on what was copied before (rate, quota). It is decided here, once per frame and session, and
// everything that depends on it follows: which copies go on behind patches, what is counted, and which
// session's copy a destination gets if several sessions copy the frame to it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "datapath/base/drop_reason.h"
#include "datapath/base/types.h"
#include "datapath/engine/copy_queue.h"
#include "datapath/frame/frame.h"
#include "datapath/pipeline/verdict.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

/// A session that selects a frame and does not copy it.
struct Withheld {
  SessionIndex session;
  WalkNo walk;        ///< where it selects the frame
  DropReason reason;  ///< none: the session has ended
};

/// takes_place() of a copy behind a patch.
bool copy_walk_takes_place(const Verdict& verdict, WalkNo number, std::span<const Withheld> withheld);

/// Whether what the verdict says of walk `number` happens. The frame's own walk always takes place. A copy
/// walks on behind its patch if
/// - the walk it was made on takes place,
/// - its session does not withhold the frame there, and
/// - no earlier walk over the same patch takes place: the peer's bridge gets the frame once.
/// A worker asks with what the sessions withhold of the frame; explain asks with nothing, so that its answer
/// is what happens to a frame that no session leaves out.
inline bool takes_place(const Verdict& verdict, WalkNo number, std::span<const Withheld> withheld) {
  if (number == kFrameItself) [[likely]]
    return true;
  return copy_walk_takes_place(verdict, number, withheld);
}

/// What one worker admits. For each frame of a batch: note(), then takes_place() for the parts of its
/// verdict; queue() when the production frames of the batch have left.
class CopyAdmission {
 public:
  /// `queue` belongs to the worker with the number `worker`.
  CopyAdmission(std::uint32_t worker, CopyQueue& queue)
      : sender_{worker}, worker_(worker), queue_(queue), random_(worker + 1) {}

  /// Verdicts are made with `snapshot` from now on. It outlives its use.
  void set_snapshot(const Snapshot& snapshot);

  /// Decides which sessions copy the frame, counts it and remembers the copies that are due. The frame stays
  /// where it is until queue(). `now` is steady time.
  void note(const Verdict& verdict, const Frame& frame, TimeNs now) {
    withheld_.clear();
    if (!verdict.selections.empty()) note_selected(verdict, frame, now);
  }
  /// Of the verdict that was noted last.
  bool takes_place(const Verdict& verdict, WalkNo walk) const {
    return vswitch::takes_place(verdict, walk, withheld_);
  }

  /// Puts the copies of all frames noted since the last call into the queue, as received at `now`; what has
  /// no room is counted as lost. False if no copy was due.
  bool queue(TimeNs now);

 private:
  struct PendingCopy {
    const Frame* frame;
    CopyTarget target;
    bool stand_in;  ///< another session copies the frame to the same port: this one does if that one cannot
    WalkNo walk;
  };

  void note_selected(const Verdict& verdict, const Frame& frame, TimeNs now);
  void note_copy(const Verdict& verdict, const Copy& copy, const Frame& frame);
  std::optional<DropReason> withholds(const CompiledSession& session, std::size_t bytes, TimeNs now);
  void queue_copies_of(const Frame& frame, std::span<const PendingCopy> pending, TimeNs now);
  void count_lost(const CopyTarget& copy, DropReason reason);

  const SenderId sender_;
  const std::uint32_t worker_;
  CopyQueue& queue_;
  const Snapshot* snapshot_ = nullptr;
  std::int64_t session_budget_ = 0;  ///< bytes one session may have in the queue
  std::uint64_t sample_seed_ = 0;
  std::minstd_rand random_;

  std::vector<Withheld> withheld_;    ///< of the frame at hand
  std::vector<PendingCopy> pending_;  ///< of the batch, frame by frame
  // Of the frame that is being queued.
  std::vector<CopyTarget> targets_;
  std::vector<WalkNo> target_walks_;  ///< of targets_
  std::vector<CopyTarget> duplicates_;
};

}  // namespace vswitch
