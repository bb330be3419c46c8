// SPDX-License-Identifier: Apache-2.0
#include "switchd/base/memory_reserve.h"

#include <malloc.h>
#include <sys/mman.h>

#include <atomic>
#include <new>
#include <utility>

namespace vswitch::memory {
namespace {

constexpr std::size_t kSmallest = std::size_t{1} << 20;

std::size_t wanted = 0;
std::atomic<std::size_t> reserve_bytes = 0;
std::atomic<void*> reserve = nullptr;
thread_local bool throws = false;  // this thread can give up what it does

// The new-handler: to return means to try the allocation again.
void on_failed_allocation() {
  void* block = reserve.exchange(nullptr);
  if (block) ::munmap(block, reserve_bytes);
  if (!block || throws) throw std::bad_alloc();
}

}  // namespace

void set_reserve_aside(std::size_t bytes) {
  wanted = bytes;
  throws = true;
  refill_reserve();
  std::set_new_handler(on_failed_allocation);
}

// What a request has freed may still be address space of the heap. Then a smaller reserve has to do: the heap
// itself has room for the way out.
bool refill_reserve() {
  if (wanted == 0 || reserve.load()) return true;
  ::malloc_trim(0);
  for (std::size_t bytes = wanted; bytes >= kSmallest; bytes /= 2) {
    void* block = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) continue;
    reserve_bytes.store(bytes);
    reserve.store(block);
    return true;
  }
  return false;
}

void require_reserve() {
  if (!refill_reserve()) throw std::bad_alloc();
}

NoWayBack::NoWayBack() : throws_before_(std::exchange(throws, false)) {}

NoWayBack::~NoWayBack() {
  throws = throws_before_;
}

}  // namespace vswitch::memory
