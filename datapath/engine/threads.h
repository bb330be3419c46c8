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

/// Has the `number`th of several like threads run on cpus[number modulo their number], or, when there are
/// none, on `otherwise`. False when the kernel refuses.
bool place(std::thread& thread, std::size_t number, const std::vector<unsigned>& cpus,
           const std::vector<unsigned>& otherwise);

/// Processor time a thread has used, in ns, the kernel's work for it included; 0 when it does not run.
std::uint64_t cpu_time(const std::thread& thread);

}  // namespace vswitch
