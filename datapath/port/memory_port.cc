// SPDX-License-Identifier: Apache-2.0
#include "datapath/port/memory_port.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace vswitch {

MemoryPort::MemoryPort() : event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (event_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

MemoryPort::~MemoryPort() {
  close(event_fd_);
}

void MemoryPort::inject(MemoryFrame frame) {
  const MutexLock lock(mutex_);
  incoming_.push_back(std::move(frame));
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(event_fd_, &one, sizeof one);
}

std::vector<MemoryFrame> MemoryPort::take_sent() {
  const MutexLock lock(mutex_);
  return std::exchange(sent_, {});
}

void MemoryPort::set_outcome(DropReason outcome) {
  const MutexLock lock(mutex_);
  outcome_ = outcome;
}

std::size_t MemoryPort::receive(std::span<RawFrame> into) {
  const MutexLock lock(mutex_);
  lent_.clear();
  while (!incoming_.empty() && lent_.size() < into.size()) {
    lent_.push_back(std::move(incoming_.front()));
    incoming_.pop_front();
  }
  if (incoming_.empty()) {
    std::uint64_t count;
    [[maybe_unused]] const ssize_t n = read(event_fd_, &count, sizeof count);
  }
  for (std::size_t i = 0; i < lent_.size(); ++i) {
    into[i] = {.bytes = lent_[i].bytes, .stripped_tag = std::nullopt, .offload = lent_[i].offload};
  }
  return lent_.size();
}

void MemoryPort::release() {
  lent_.clear();
}

void MemoryPort::send(SenderId, std::span<OutgoingFrame> frames) {
  const MutexLock lock(mutex_);
  for (OutgoingFrame& frame : frames) {
    frame.outcome = outcome_;
    if (outcome_ != DropReason::none) continue;
    MemoryFrame copy{.bytes = {frame.header.begin(), frame.header.end()}, .offload = frame.offload};
    copy.bytes.insert(copy.bytes.end(), frame.payload.begin(), frame.payload.end());
    sent_.push_back(std::move(copy));
  }
}

}  // namespace vswitch
