// SPDX-License-Identifier: Apache-2.0
// A filter of system calls (seccomp(2)) for the daemon once it serves: what code that a client has taken over could
// still ask of the kernel.
#pragma once

namespace vswitch::system_calls {

enum class Filter {
  on,  ///< a call that the switch never makes fails with ENOSYS; one that only an intruder makes ends the process
  strict,  ///< either ends the process: for tests, which find what is missing here
};

/// Installs it for all threads of the process, for good. Throws std::runtime_error with a sentence.
void restrict_to_those_of_a_switch(Filter filter);

}  // namespace vswitch::system_calls
