// SPDX-License-Identifier: Apache-2.0
#include "switchd/base/heap.h"

#include <boost/asio/post.hpp>
#include <malloc.h>

#include <chrono>

#include "switchd/base/limits.h"

namespace vswitch::heap {
namespace {

constexpr std::chrono::seconds kPause{2};  // so that a client that goes on does not make us trim all the time

Trimmer* trimmer = nullptr;

}  // namespace

void return_large_blocks() {
  constexpr int kLarge = 1 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kLarge);  // which also ends its growth: by default it follows what was freed
  ::mallopt(M_TRIM_THRESHOLD, 32 * kLarge);  // or each request of some MiB would grow and shrink the heap
  // No "fast bins", which put off the merging of small free blocks until a large one is allocated or freed: after a
  // large request, that one call took half a second, with the lock of the heap, in the middle of somebody's `echo`.
  ::mallopt(M_MXFAST, 0);
}

void trim() {
  ::malloc_trim(0);
}

void released(std::size_t bytes) {
  if (!trimmer) return;
  trimmer->bytes_ += bytes;
  if (trimmer->bytes_ >= limits::kTrimBytes) trimmer->arm();
}

Trimmer::Trimmer(boost::asio::io_context& io) : timer_(io) {
  trimmer = this;
}

Trimmer::~Trimmer() {
  trimmer = nullptr;
}

void Trimmer::arm() {
  if (armed_.exchange(true)) return;
  boost::asio::post(timer_.get_executor(), [this] { wait(); });
}

void Trimmer::wait() {
  timer_.expires_after(kPause);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    armed_ = false;
    bytes_ = 0;
    trim();
  });
}

}  // namespace vswitch::heap
