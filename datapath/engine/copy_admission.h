// SPDX-License-Identifier: Apache-2.0
// Decides which of the copies in a verdict are made, and puts them into the mirror queue.
//
// decide() changes nothing, so it cannot know whether a session omits a frame: that depends on chance
// (sample) and on what was copied before (rate, quota). It is decided here, once per frame and session, and
// everything that depends on it follows: which copies continue beyond patches, what is counted, and which
// session's copy a destination gets if several sessions copy the frame to it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "datapath/base/drop_reason.h"
#include "datapath/base/thread_annotations.h"
#include "datapath/base/types.h"
#include "datapath/engine/copy_queue.h"
#include "datapath/engine/copy_sender.h"
#include "datapath/engine/mirror_thread.h"
#include "datapath/frame/frame.h"
#include "datapath/pipeline/verdict.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

/// A session that selects a frame and does not copy it.
struct Withheld {
  SessionIndex session;
  WalkNo walk;        ///< the walk on which it selects the frame
  DropReason reason;  ///< none: the session has ended
};

/// takes_place() for a copy beyond a patch.
bool copy_walk_takes_place(const Verdict& verdict, WalkNo number, std::span<const Withheld> withheld);

/// Whether walk `number` of the verdict takes place. The frame's own walk always does. A copy continues
/// beyond its patch if
/// - the walk it was made on takes place,
/// - its session does not withhold the frame there, and
/// A worker passes what the sessions withhold of the frame; explain passes nothing, so that its answer is
/// what happens to a frame that no session omits.
inline bool takes_place(const Verdict& verdict, WalkNo number, std::span<const Withheld> withheld) {
  if (number == kFrameItself) [[likely]]
    return true;
  return copy_walk_takes_place(verdict, number, withheld);
}

/// The copies that one worker admits. For each frame of a batch: note(), then takes_place() for the parts of
/// its verdict; send_marked() before and queue() after the production frames of the batch are sent.
class CopyAdmission {
 public:
  /// `queue` belongs to worker number `worker`.
  CopyAdmission(std::uint32_t worker, CopyQueue& queue)
      : sender_{worker}, worker_(worker), queue_(queue), copies_(sender_), random_(worker + 1) {}

  /// Verdicts are made with `snapshot` from now on; it must outlive its use.
  void set_snapshot(const Snapshot& snapshot) REQUIRES(roles::worker);

  /// Decides which sessions copy the frame, counts it and remembers the copies to make. The frame must stay
  /// where it is until queue(). `now` is steady time.
  void note(const Verdict& verdict, const Frame& frame, TimeNs now) REQUIRES(roles::worker) {
    withheld_.clear();
    noted_ = &frame;
    if (!verdict.selections.empty()) note_selected(verdict, frame, now);
  }
  /// For the verdict that was noted last.
  bool takes_place(const Verdict& verdict, WalkNo walk) const REQUIRES(roles::worker) {
    return vswitch::takes_place(verdict, walk, withheld_);
  }

  /// The worker is to send the copies of the frame that was noted last itself: the kernel is about to take over from it,
  /// and copies that wait would hold it up.
  void send_directly() REQUIRES(roles::worker) {
    for (auto at = pending_.rbegin(); at != pending_.rend() && at->frame == noted_; ++at)
      at->is_direct = true;
  }
  /// Sends these copies, unless others wait for the mirror thread that came before them. This is before the frames
  /// themselves are sent, so that nothing that answers them is copied first.
  void send_marked(TimeNs now, const MirrorThread& mirror_thread) REQUIRES(roles::worker);

  /// Puts the copies of all frames noted since the last call into the queue; copies without room are counted as lost. A
  /// frame counts as received when it arrived, or at `now` if that is not known, but never before
  /// one that is in the queue already. False if there is nothing new in the queue.
  bool queue(TimeNs now) REQUIRES(roles::worker);
  /// The time of reception of the last frame that was copied: later ones do not count as received before it.
  TimeNs not_before() const REQUIRES(roles::worker) { return last_received_; }

 private:
  struct PendingCopy {
    const Frame* frame;
    CopyTarget target;
    bool stand_in;  ///< another session copies the frame to the same port: used if that one cannot
    WalkNo walk;
    bool is_direct = false;  ///< send_directly()
  };

  void note_selected(const Verdict& verdict, const Frame& frame, TimeNs now) REQUIRES(roles::worker);
  void note_copy(const Verdict& verdict, const Copy& copy, const Frame& frame) REQUIRES(roles::worker);
  std::optional<DropReason> withholds(const CompiledSession& session, std::size_t bytes, TimeNs now);
  void choose_targets(const Frame& frame, std::span<const PendingCopy> pending, bool is_direct);
  std::span<const PendingCopy> of_one_frame(std::span<const PendingCopy> pending) const;
  void queue_copies_of(const Frame& frame, std::span<const PendingCopy> pending, TimeNs now)
      REQUIRES(roles::worker);
  void send_copies_of(const Frame& frame, std::span<const PendingCopy> pending,
                      std::vector<std::uint8_t>& payload, TimeNs now) REQUIRES(roles::worker);
  void count_lost(const CopyTarget& copy, DropReason reason);

  const SenderId sender_;
  const std::uint32_t worker_;
  CopyQueue& queue_;
  CopySender copies_;
  const Snapshot* snapshot_ = nullptr;
  TimeNs last_received_ = 0;
  std::int64_t session_budget_ = 0;  ///< bytes that one session may occupy in the queue
  std::uint64_t sample_seed_ = 0;
  std::minstd_rand random_;
  unsigned held_up_ = 0;  ///< batches whose marked copies had to wait for those of other workers

  std::vector<Withheld> withheld_;    ///< of the current frame
  const Frame* noted_ = nullptr;      ///< last
  std::vector<PendingCopy> pending_;  ///< of the batch, frame by frame
  // Of the frame that is being queued:
  std::vector<CopyTarget> targets_;
  std::vector<WalkNo> target_walks_;  ///< of targets_
  std::vector<CopyTarget> duplicates_;
  std::deque<std::vector<std::uint8_t>> payloads_;  ///< of the frames whose copies are being sent
};

}  // namespace vswitch
