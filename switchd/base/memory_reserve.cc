// SPDX-License-Identifier: Apache-2.0
#include "switchd/base/memory_reserve.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <new>
#include <utility>

namespace vswitch::memory {
namespace {

constexpr std::size_t kSmallest = std::size_t{1} << 20;
constexpr std::size_t kWayOutPart = 16;  // of the large reserve

/// A block of address space. Any thread frees it, the control thread fills it.
class Reserve {
 public:
  std::size_t held() const { return block_.load() ? bytes_.load() : 0; }

  /// False if there was none.
  bool release() {
    void* block = block_.exchange(nullptr);
    if (block) ::munmap(block, bytes_);
    return block != nullptr;
  }

  /// Takes so much, or half of it, and so on, if that is more than it has. False if it has nothing.
  bool fill(std::size_t wanted) {
    const std::size_t before = held();
    for (std::size_t bytes = wanted; bytes > before && bytes >= kSmallest; bytes /= 2) {
      void* block = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (block == MAP_FAILED) continue;
      release();
      bytes_.store(bytes);
      block_.store(block);
      return true;
    }
    return held() != 0;
  }

 private:
  std::atomic<std::size_t> bytes_ = 0;
  std::atomic<void*> block_ = nullptr;
};

std::size_t wanted = 0;
Reserve for_the_work;
Reserve for_the_way_out;
thread_local bool throws = false;  // this thread can give up what it does

std::size_t way_out_bytes() {
  return wanted == 0 ? 0 : std::max(wanted / kWayOutPart, kSmallest);
}

// The new-handler: to return means to try the allocation again.
void on_failed_allocation() {
  if (for_the_work.release()) return;
  const bool may_throw = throws && std::uncaught_exceptions() == 0;
  if (may_throw || !for_the_way_out.release()) throw std::bad_alloc();
}

}  // namespace

void set_reserve_aside(std::size_t bytes) {
  wanted = bytes;
  throws = true;
  refill_reserve();
  std::set_new_handler(on_failed_allocation);
}

// What a request has freed may still be address space of the heap. Then a smaller reserve has to do, until
// there is room for the whole.
bool refill_reserve() {
  if (for_the_work.held() == wanted && for_the_way_out.held() == way_out_bytes()) return true;
  if (for_the_work.held() == 0) ::malloc_trim(0);
  return for_the_way_out.fill(way_out_bytes()) && for_the_work.fill(wanted);
}

std::size_t reserve_held() {
  return wanted == 0 ? std::numeric_limits<std::size_t>::max() : for_the_work.held();
}

void check() {
  if (throws && wanted != 0 && for_the_work.held() == 0) throw std::bad_alloc();
}

void require_reserve() {
  if (wanted != 0 && for_the_work.held() == 0 && !refill_reserve()) throw std::bad_alloc();
}

NoWayBack::NoWayBack() : throws_before_(std::exchange(throws, false)) {}

NoWayBack::~NoWayBack() {
  throws = throws_before_;
}

}  // namespace vswitch::memory
