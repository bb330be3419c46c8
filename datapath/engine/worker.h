// SPDX-License-Identifier: Apache-2.0
// A worker carries out verdicts: it receives from the ports it owns, sends on any port, and hands copies to
// the mirror queue.
//
// Order within a batch: decide all frames, send the production frames, and only then queue the copies. (Copies that
// the worker sends itself, while the kernel takes a flow over, leave first: CopyAdmission::send_marked.)
// Settings are read once per batch: between the turns of two bridges the worker takes the published snapshot,
// and reports that, so that the control thread knows when an old snapshot is no longer in use.
//
// Bridges take turns. A broadcast on 500 ports is 500 sends, so a turn is measured in sends and not in
// frames: a bridge whose hosts flood it makes the ports of other bridges, and the control thread, wait for one
// turn of about a millisecond. The ports of a bridge are served in the order in which they became ready; one
// whose frames exceed the turn goes to the end of the line with the rest of its batch.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "datapath/engine/copy_admission.h"
#include "datapath/engine/copy_queue.h"
#include "datapath/engine/gather.h"
#include "datapath/engine/mirror_thread.h"
#include "datapath/engine/next_frame.h"
#include "datapath/engine/spin.h"
#include "datapath/engine/threads.h"
#include "datapath/fastpath/fast_path.h"
#include "datapath/pipeline/pipeline.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

using Clock = std::function<TimeNs()>;

struct WorkerCounters {
  Counter wakeups;  ///< waits that ended with something to do
  Counter batches, frames, busy_ns;
  Counter unwatched_ports;  ///< times a port could not be added to the epoll set
};

class Worker {
 public:
  /// `published` holds the latest snapshot. `mirror_thread` reads `copies`.
  /// `fast_path` may be null.
  Worker(std::uint32_t number, const std::atomic<const Snapshot*>& published, CopyQueue& copies,
         MirrorThread& mirror_thread, NextFrames& next_frames, fastpath::FastPath* fast_path, Clock clock);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  void start() REQUIRES(roles::control);
  /// Makes the worker read the published snapshot (or stop) now. Any thread.
  void wake();
  /// Waits up to `timeout_ms` (-1 = for ever) and handles pending events. False if there was nothing to
  /// receive. Before start(), or without it, any thread may take the role and call this.
  bool step(int timeout_ms) REQUIRES(roles::worker);

  /// The generation of the snapshot in use: this worker does not touch older ones any more.
  std::uint64_t seen() const { return seen_.load(std::memory_order_acquire); }
  void wait_seen(std::uint64_t generation) const REQUIRES(roles::control);
  const WorkerCounters& counters() const { return counters_; }
  /// Processor time of the thread, including the kernel's work for it.
  std::uint64_t cpu_ns() const { return cpu_time(thread_); }
  /// Readable (poll(2)) while frames wait at its ports.
  int ready_fd() const { return epoll_fd_; }
  /// The thread, for processor placement; not started if DatapathOptions::threads == false.
  std::thread& thread() { return thread_; }

 private:
  struct HeaderBytes {
    std::array<std::uint8_t, kMaxHeaderLength> bytes;
  };
  /// The ports of a bridge that have something to receive.
  struct Line {
    const BridgeConfig* bridge = nullptr;  ///< null: nobody's, to be used again
    std::deque<PortNo> ports = {};
  };
  struct PortTurn {
    bool in_line = false;
    std::vector<RawFrame> rest =
        {};  ///< of a batch that exceeded the turn; the device still holds its memory
  };

  void run();
  void take_wake() REQUIRES(roles::worker);
  bool refresh() REQUIRES(roles::worker);
  bool is_mine(PortNo number, const std::shared_ptr<Port>& device) const REQUIRES(roles::worker);
  void line_up(PortNo number) REQUIRES(roles::worker);
  Line& line_of(const BridgeConfig* bridge) REQUIRES(roles::worker);
  void arrange_lines() REQUIRES(roles::worker);
  bool anybody_waits() const REQUIRES(roles::worker);
  bool serve(Line& line) REQUIRES(roles::worker);
  std::size_t serve_port(const PortConfig& in, std::size_t room) REQUIRES(roles::worker);
  std::size_t handle_some(const PortConfig& in, std::span<const RawFrame>& frames, std::size_t room)
      REQUIRES(roles::worker);
  std::size_t handle(const PortConfig& in, const RawFrame& raw, std::size_t at) REQUIRES(roles::worker);
  void learn(const Verdict& verdict) REQUIRES(roles::worker);
  void queue_sends(const PortConfig& in, const Verdict& verdict, const Frame& frame) REQUIRES(roles::worker);
  void count_crossing(const PortConfig& out, const Frame& frame, bool is_copy) REQUIRES(roles::worker);
  void flush_sends() REQUIRES(roles::worker);
  void offer(const PortConfig& in, const Frame& frame, const Verdict& verdict) REQUIRES(roles::worker);
  void settle(const PortConfig& in) REQUIRES(roles::worker);
  bool has_tap() REQUIRES(roles::worker);
  bool serve_tap() REQUIRES(roles::worker);
  void catch_up(TimeNs time) REQUIRES(roles::worker);
  void finish_tapped() REQUIRES(roles::worker);
  bool copy_tapped() REQUIRES(roles::worker);
  bool is_ahead(const fastpath::TappedFrames& tapped) const REQUIRES(roles::worker);
  bool handle_tapped(fastpath::TappedFrames& tapped, const RawFrame& raw, Frame& frame)
      REQUIRES(roles::worker);
  void report_tap(TimeNs taken_until) REQUIRES(roles::worker);

  // What epoll_wait() reports besides numbers of ports.
  static constexpr std::uint64_t kWakeToken = ~std::uint64_t{0};
  static constexpr std::uint64_t kTapToken = kWakeToken - 1;

  const SenderId sender_;
  const std::uint32_t number_;
  const std::atomic<const Snapshot*>& published_;
  CopyQueue& copies_;
  MirrorThread& mirror_thread_;
  NextFrames& next_frames_;
  fastpath::FastPath* const fast_path_;
  const Clock clock_;
  int epoll_fd_;
  int wake_fd_;

  const Snapshot* snapshot_ GUARDED_BY(roles::worker) = nullptr;
  /// Devices in the epoll set, by PortNo.
  std::unordered_map<std::uint32_t, std::shared_ptr<Port>> received_from_ GUARDED_BY(roles::worker);
  Decider decider_ GUARDED_BY(roles::worker);
  CopyAdmission admission_;
  TimeNs now_ GUARDED_BY(roles::worker) = 0;
  /// All frames that arrived before this are handled once the lines are empty.
  TimeNs handled_until_ GUARDED_BY(roles::worker) = 0;
  Spin spin_ GUARDED_BY(roles::worker);
  Gather gather_ GUARDED_BY(roles::worker);
  std::vector<Line> lines_ GUARDED_BY(roles::worker);
  std::vector<PortTurn> turns_ GUARDED_BY(roles::worker);  ///< by PortNo
  std::array<RawFrame, kBatchSize> raw_ GUARDED_BY(roles::worker);
  std::array<Frame, kBatchSize> frames_ GUARDED_BY(roles::worker);
  std::vector<std::vector<OutgoingFrame>> sends_ GUARDED_BY(roles::worker);  ///< by PortNo
  std::vector<std::uint32_t> dirty_ GUARDED_BY(roles::worker);  ///< positions in sends_ that hold frames
  std::deque<HeaderBytes> headers_ GUARDED_BY(roles::worker);   ///< of these frames; grows, never moves
  std::size_t headers_used_ GUARDED_BY(roles::worker) = 0;

  /// How far a port has got with what the kernel hands to user space.
  struct Progress {
    TimeNs mark = 0;         ///< 0 = none
    std::size_t sent = 0;    ///< frames since the mark
    std::size_t waited = 0;  ///< frames of flows that the kernel knows, since it was drained
  };
  std::vector<Progress> progress_ GUARDED_BY(roles::worker);  ///< by PortNo

  /// Frames that the kernel has forwarded: only their copies are left to make.
  struct Tap {
    CopyTap* device = nullptr;  ///< null: there is none yet
    bool waits = false;         ///< it may have frames
    TimeNs last_arrived = 0;    ///< when the last frame was forwarded
    Verdict copies = {};        ///< of a frame
    std::array<RawFrame, kBatchSize> raw = {};
    std::span<const RawFrame> rest =
        {};  ///< of a batch: tapped by settings that the worker does not have yet
    std::array<Frame, kBatchSize> frames = {};
    // All frames of before `mark` have been taken; their copies end at this position in the mirror queue.
    TimeNs mark = 0;  ///< 0 = none
    std::uint64_t position = 0;
  };
  Tap tap_ GUARDED_BY(roles::worker);

  WorkerCounters counters_;
  std::atomic<std::uint64_t> seen_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace vswitch
