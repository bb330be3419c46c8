// SPDX-License-Identifier: Apache-2.0
// Memory set aside for the end of a request for which there is too little.
//
// A failed allocation cannot simply throw: it may be one in a destructor, which may not. nlohmann's allocates a
// list of the values that it destroys, so a request would end the process while it is given up, or even while
// it is answered. There are therefore two reserves:
//
// - The first allocation that fails uses the large one and goes on. What works on requests looks at safe
//   points (check()) whether it is still there, and gives up if it is not. The next request is not begun
//   before it is (refill_reserve()).
// - If that is used up, too, before a safe point is reached, the next allocation that fails throws. Whatever
//   needs memory while the exception passes uses the small one.
//
// The reserves are address space that nobody touches, which counts only against a limit of address space.
//
// Some work must not fail: after a commit has been written to the file, and in the threads of the datapath.
// There, an allocation uses both reserves and goes on.
#pragma once

#include <cstddef>

namespace vswitch::memory {

/// Sets memory aside: so much, and a small part of it for the way out. Call it once, on the control thread:
/// only there a failed allocation throws while there is a reserve.
void set_reserve_aside(std::size_t bytes);
/// Takes the reserves again if they were used, or as much of the large one as there is memory for; false if
/// there is none. Cheap if they are whole. Control thread.
bool refill_reserve();
/// Bytes of the large reserve as it is; the largest number if none was ever set aside.
std::size_t reserve_held();

/// A safe point: throws std::bad_alloc if the large reserve has been used since it was filled, unless this is
/// work that must not fail. Costs a load and a branch. Call it on the control thread.
void check();
/// Throws std::bad_alloc if there is no reserve and there is no memory to fill it: what must not fail is not
/// begun.
void require_reserve();

/// While it exists, allocations of this thread use the reserves and never throw before these are gone.
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
