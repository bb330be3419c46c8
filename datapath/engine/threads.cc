// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/threads.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <memory>

namespace vswitch {

namespace {

constexpr unsigned kMaxProcessors = 8192;  // the maximum of the kernel's NR_CPUS

/// A set of processors that is not limited to CPU_SETSIZE.
class ProcessorSet {
 public:
  ProcessorSet() : set_(CPU_ALLOC(kMaxProcessors)) { CPU_ZERO_S(size(), set_.get()); }
  static std::size_t size() { return CPU_ALLOC_SIZE(kMaxProcessors); }
  cpu_set_t* get() const { return set_.get(); }
  void add(unsigned cpu) {
    if (cpu < kMaxProcessors) CPU_SET_S(cpu, size(), set_.get());
  }
  bool contains(unsigned cpu) const { return CPU_ISSET_S(cpu, size(), set_.get()); }

 private:
  struct Free {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
  };
  std::unique_ptr<cpu_set_t, Free> set_;
};

}  // namespace

std::vector<unsigned> allowed_processors() {
  const ProcessorSet set;
  std::vector<unsigned> cpus;
  if (sched_getaffinity(0, ProcessorSet::size(), set.get()) == 0) {
    for (unsigned cpu = 0; cpu < kMaxProcessors; ++cpu) {
      if (set.contains(cpu)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

int niceness_for(unsigned percent) {
  const double share = std::clamp(percent, 1U, 50U) / 100.0;
  return std::min(static_cast<int>(std::lround(std::log((1 - share) / share) / std::log(1.25))), 19);
}

bool place(std::thread& thread, std::size_t number, const std::vector<unsigned>& cpus,
           const std::vector<unsigned>& otherwise) {
  if (!thread.joinable()) return true;
  ProcessorSet set;
  if (!cpus.empty()) {
    set.add(cpus[number % cpus.size()]);
  } else {
    for (const unsigned cpu : otherwise) set.add(cpu);
  }
  return pthread_setaffinity_np(thread.native_handle(), ProcessorSet::size(), set.get()) == 0;
}

std::uint64_t cpu_time(const std::thread& thread) {
  clockid_t clock = 0;
  timespec time{};
  // std::thread gives its handle only to callers that may change it; pthread_getcpuclockid(3) changes
  // nothing.
  auto& running = const_cast<std::thread&>(thread);
  if (!thread.joinable() || pthread_getcpuclockid(running.native_handle(), &clock) != 0 ||
      clock_gettime(clock, &time) != 0)
    return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace vswitch
