// SPDX-License-Identifier: Apache-2.0
// Gives memory back to the system. The allocator keeps what was freed in the middle of the heap, so a daemon
// would stay as large as its largest request made it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <cstddef>

namespace vswitch::heap {

/// From now on large blocks go back to the system when they are freed, whatever their history, and no call puts
/// off work for a later one. At the start.
void return_large_blocks();

/// At once. Takes some milliseconds per 100 MiB.
void trim();

/// Says that so much is being freed. Any thread.
void released(std::size_t bytes);

/// Trims a moment after much was released. One at a time, which outlives the threads that release something.
class Trimmer {
 public:
  explicit Trimmer(boost::asio::io_context& io);
  ~Trimmer();
  Trimmer(const Trimmer&) = delete;
  Trimmer& operator=(const Trimmer&) = delete;

 private:
  friend void released(std::size_t bytes);
  void arm();
  void wait();

  boost::asio::steady_timer timer_;
  std::atomic<std::size_t> bytes_ = 0;  // released since the last time
  std::atomic<bool> armed_ = false;
};

}  // namespace vswitch::heap
