// SPDX-License-Identifier: Apache-2.0
// Memory set aside for the way out of std::bad_alloc.
//
// Unwinding needs memory itself: nlohmann's destructor, which may not throw, allocates a stack for the values
// it destroys, so an allocation that fails in a request would end the process while the request is given up.
// The first allocation that fails therefore frees the reserve and then throws: the way out has memory, and
// what the request had is free afterwards, so the reserve can be taken again. It is address space that nobody
// touches, which counts only against a limit of address space.
//
// Some work must not fail: after a commit has been written to the file, and in the threads of the datapath.
// There, an allocation uses the reserve and goes on.
#pragma once

#include <cstddef>

namespace vswitch::memory {

/// Sets memory aside. Call it once, on the control thread: only there does a failed allocation throw while
/// the reserve is untouched.
void set_reserve_aside(std::size_t bytes);
/// Takes the reserve again if it was used; false if there is not enough memory for it.
bool refill_reserve();

/// Throws std::bad_alloc if there is no reserve: what must not fail is not begun.
void require_reserve();

/// While it exists, allocations of this thread use the reserve.
class NoWayBack {
 public:
  NoWayBack();
  ~NoWayBack();
  NoWayBack(const NoWayBack&) = delete;
  NoWayBack& operator=(const NoWayBack&) = delete;

 private:
  bool throws_before_;
};

}  // namespace vswitch::memory
