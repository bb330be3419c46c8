// SPDX-License-Identifier: Apache-2.0
// Processors and the threads on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace vswitch {

/// The processors this process may run on (sched_getaffinity(2)), by number; at least one.
std::vector<unsigned> allowed_processors();

/// The niceness at which a thread gets `percent` (1 to 50) of a processor on which another thread at niceness 0 always
/// wants to run: a step is a factor of 1.25 (sched(7), "The nice value").
int niceness_for(unsigned percent);

/// Runs the `number`th of several equal threads on cpus[number modulo their number], or on `otherwise` if
/// there are none. False if the kernel refuses.
bool place(std::thread& thread, std::size_t number, const std::vector<unsigned>& cpus,
           const std::vector<unsigned>& otherwise);

/// Processor time of a thread in ns, including the kernel's work for it; 0 if it is not running.
std::uint64_t cpu_time(const std::thread& thread);

}  // namespace vswitch
