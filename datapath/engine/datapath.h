// SPDX-License-Identifier: Apache-2.0
// The running datapath: workers, mirror threads, and the one place where settings are exchanged.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "datapath/base/steady_clock.h"
#include "datapath/base/thread_annotations.h"
#include "datapath/engine/copy_queue.h"
#include "datapath/engine/mirror_thread.h"
#include "datapath/engine/next_frame.h"
#include "datapath/engine/threads.h"
#include "datapath/engine/worker.h"
#include "datapath/fastpath/fast_path.h"
#include "datapath/snapshot/snapshot.h"

namespace vswitch {

struct DatapathOptions {
  std::size_t workers = 1;                               ///< at least 1
  std::size_t mirror_threads = 1;                        ///< at least 1
  std::size_t copy_queue_bytes = std::size_t{16} << 20;  ///< per worker; memory is touched only as it is used
  Clock clock = steady_now;
  /// Called on a worker's thread if next_frames() has something to take.
  std::function<void()> frame_caught = [] {};
  fastpath::FastPath* fast_path = nullptr;  ///< outlives the datapath; null: user space carries every frame
  bool threads = true;                      ///< false: only run_until_idle() does work, for tests
};

class Datapath {
 public:
  /// The control thread, which also destroys it.
  explicit Datapath(DatapathOptions options) REQUIRES(roles::control);
  ~Datapath();

  std::size_t workers() const { return workers_.size(); }
  /// The number of threads that send: each Port is made for this many.
  std::size_t senders() const { return workers_.size() + mirror_threads_.size(); }

  /// The number of cells that counters need: one for each sender, and one for the kernel.
  std::size_t counting() const { return senders() + (options_.fast_path != nullptr ? 1 : 0); }
  /// Null if there is none.
  fastpath::FastPath* fast_path() const { return options_.fast_path; }

  const Snapshot& current() const REQUIRES(roles::control) { return *current_; }

  /// Makes the settings current. When it returns, every worker uses them: no frame is decided by older ones
  /// any more, and objects that only older ones refer to are used only by queued copies.
  void publish(std::unique_ptr<Snapshot> snapshot) REQUIRES(roles::control);

  /// Frees old snapshots that no queued copy needs any more, and with them devices that are not ports any
  /// more. Waits up to `patience` for the copies that were queued before the last publish() to be sent. True
  /// if none is left.
  bool free_old_snapshots(std::chrono::nanoseconds patience = {}) REQUIRES(roles::control);

  /// Bytes pending in the mirror queues.
  std::size_t queued_copy_bytes() const;
  const std::deque<MirrorThread>& mirror_thread_list() const { return mirror_threads_; }
  const std::deque<Worker>& worker_list() const { return workers_; }
  NextFrames& next_frames() { return next_frames_; }
  const CopyQueue& copy_queue(std::size_t worker) const { return queues_[worker]; }

  /// With threads == false: handles frames and copies, in every role, until there are no more.
  void run_until_idle();

 private:
  struct OldSnapshot {
    std::unique_ptr<const Snapshot> snapshot;
    std::uint64_t replaced_by;  ///< can be freed when the mirror threads have drained this generation
  };

  void place_threads(const WorkSpec& before) REQUIRES(roles::control);
  bool step_workers();
  bool step_mirror_threads();

  const DatapathOptions options_;
  const std::vector<unsigned> allowed_ = allowed_processors();
  std::unique_ptr<const Snapshot> current_ GUARDED_BY(roles::control);
  std::atomic<const Snapshot*> published_{nullptr};
  std::uint64_t generation_ GUARDED_BY(roles::control) = 0;
  std::vector<OldSnapshot> old_ GUARDED_BY(roles::control);
  NextFrames next_frames_;
  std::deque<CopyQueue> queues_;             ///< one for each worker
  std::deque<MirrorThread> mirror_threads_;  ///< queue w belongs to mirror thread w modulo their number
  std::deque<Worker> workers_;               ///< destroyed first: they write to the queues
};

}  // namespace vswitch
