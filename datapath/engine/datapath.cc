// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/datapath.h"

#include <algorithm>
#include <thread>

namespace vswitch {

Datapath::Datapath(DatapathOptions options)
    : options_(std::move(options)),
      next_frames_(options_.frame_caught, [fast_path = options_.fast_path](bool waiting) {
        if (fast_path != nullptr) fast_path->pause(fastpath::Pause::frame_wanted, waiting);
      }) {
  const std::size_t workers = std::max<std::size_t>(options_.workers, 1);
  const std::size_t mirrors = std::clamp<std::size_t>(options_.mirror_threads, 1, workers);
  for (std::size_t w = 0; w < workers; ++w) queues_.emplace_back(options_.copy_queue_bytes, w);
  for (std::size_t m = 0; m < mirrors; ++m) {
    std::vector<CopyQueue*> queues;
    for (std::size_t w = m; w < workers; w += mirrors) queues.push_back(&queues_[w]);
    mirror_threads_.emplace_back(SenderId{static_cast<std::uint32_t>(workers + m)}, published_,
                                 std::move(queues), options_.fast_path);
  }
  for (std::size_t w = 0; w < workers; ++w) {
    workers_.emplace_back(static_cast<std::uint32_t>(w), published_, queues_[w], mirror_threads_[w % mirrors],
                          next_frames_, options_.fast_path, options_.clock);
  }
  if (options_.fast_path != nullptr)
    options_.fast_path->begin(SenderId{static_cast<std::uint32_t>(senders())}, workers);
  publish(std::make_unique<Snapshot>());
  if (!options_.threads) return;
  for (std::size_t w = 0; w < workers; ++w) queues_[w].watch(workers_[w].ready_fd());
  for (MirrorThread& thread : mirror_threads_) thread.start();
  for (Worker& worker : workers_) worker.start();
}

Datapath::~Datapath() = default;

void Datapath::publish(std::unique_ptr<Snapshot> snapshot) {
  snapshot->generation = ++generation_;
  std::unique_ptr<const Snapshot> replaced = std::move(current_);
  current_ = std::move(snapshot);
  if (replaced != nullptr) place_threads(replaced->work);
  if (options_.fast_path != nullptr) options_.fast_path->publish(*current_, options_.clock());
  published_.store(current_.get(), std::memory_order_release);
  if (options_.threads && generation_ > 1) {
    for (Worker& worker : workers_) worker.wake();
  } else {
    step_workers();
  }
  for (const Worker& worker : workers_) worker.wait_seen(generation_);
  if (replaced != nullptr) old_.push_back({std::move(replaced), generation_});
  for (MirrorThread& thread : mirror_threads_) thread.request_drain(generation_);
  if (options_.fast_path != nullptr) options_.fast_path->open_taps(*current_);
  free_old_snapshots();
}

void Datapath::place_threads(const WorkSpec& before) {
  const WorkSpec& work = current_->work;
  for (std::size_t w = 0; w < workers_.size() && work.worker_cpus != before.worker_cpus; ++w)
    place(workers_[w].thread(), w, work.worker_cpus, allowed_);
  for (std::size_t m = 0; m < mirror_threads_.size() && work.mirror_cpus != before.mirror_cpus; ++m)
    place(mirror_threads_[m].thread(), m, work.mirror_cpus, allowed_);
}

bool Datapath::free_old_snapshots(std::chrono::nanoseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const auto drained = [this]() REQUIRES(roles::control) {
    std::uint64_t least = generation_;
    for (const MirrorThread& thread : mirror_threads_) least = std::min(least, thread.drained());
    return least;
  };
  if (!options_.threads) {
    while (step_mirror_threads()) {
    }
  }
  // Normally microseconds; under overload, the time to drain the rest of a queue.
  while (drained() < generation_ && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  const std::uint64_t least = drained();
  std::erase_if(old_, [least](const OldSnapshot& old) { return old.replaced_by <= least; });
  return old_.empty();
}

std::size_t Datapath::queued_copy_bytes() const {
  std::size_t bytes = 0;
  for (const CopyQueue& queue : queues_) bytes += queue.used();
  return bytes;
}

void Datapath::run_until_idle() {
  for (bool any = true; any;) {
    any = step_workers();
    any |= step_mirror_threads();
  }
}

bool Datapath::step_workers() {
  const RoleScope role(roles::worker);
  bool any = false;
  for (Worker& worker : workers_) any |= worker.step(0);
  return any;
}

bool Datapath::step_mirror_threads() {
  const RoleScope role(roles::mirror);
  bool any = false;
  for (MirrorThread& thread : mirror_threads_) any |= thread.step();
  return any;
}

}  // namespace vswitch
