// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/copy_queue.h"

#include <poll.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>

namespace vswitch {

/// Followed by the targets and the payload. `payload_length` == kPadding: nothing follows, the rest of the
/// ring is skipped.
struct CopyQueue::RecordHeader {
  static constexpr std::uint32_t kPadding = 0xffffffffU;
  std::uint64_t size;  ///< of the whole record
  std::uint32_t target_count;
  std::uint32_t payload_length;
  TimeNs received;
  MacAddr dst;
  MacAddr src;
  Offload offload;

  CopyTarget* targets() { return std::launder(reinterpret_cast<CopyTarget*>(this + 1)); }
  std::uint8_t* payload() { return reinterpret_cast<std::uint8_t*>(targets() + target_count); }
};

namespace {
constexpr std::size_t kAlign =
    64;  // records start on cache lines, and a record header always fits before the end of the ring
}

void CopyQueue::FreeDeleter::operator()(std::byte* memory) const {
  std::free(memory);
}

CopyQueue::CopyQueue(std::size_t capacity, std::size_t worker)
    : size_(std::bit_ceil(std::max<std::size_t>(capacity, 4096))),
      worker_(worker),
      memory_(static_cast<std::byte*>(std::aligned_alloc(kAlign, size_))),
      free_until_(size_) {
  static_assert(sizeof(RecordHeader) <= kAlign && alignof(CopyTarget) <= alignof(RecordHeader));
  if (memory_ == nullptr) throw std::bad_alloc();
}

std::size_t CopyQueue::record_size(std::size_t targets, std::size_t payload) {
  const std::size_t bytes = sizeof(RecordHeader) + targets * sizeof(CopyTarget) + payload;
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

CopyQueue::RecordHeader& CopyQueue::header_at(std::uint64_t position) {
  return *reinterpret_cast<RecordHeader*>(memory_.get() + (position & (size_ - 1)));
}

bool CopyQueue::push(const Frame& frame, TimeNs received, std::span<const CopyTarget> targets) {
  const std::size_t size = record_size(targets.size(), frame.payload.size());
  std::uint64_t at = written_.load(std::memory_order_relaxed);
  const std::size_t to_end = size_ - (at & (size_ - 1));
  const std::size_t padding = to_end < size ? to_end : 0;
  if (at + padding + size > free_until_) {
    free_until_ = released_.load(std::memory_order_acquire) + size_;
    if (at + padding + size > free_until_) return false;
  }
  if (padding != 0) {
    new (&header_at(at)) RecordHeader{.size = padding,
                                      .target_count = 0,
                                      .payload_length = RecordHeader::kPadding,
                                      .received = 0,
                                      .dst = {},
                                      .src = {},
                                      .offload = {}};
    at += padding;
  }
  auto* header =
      new (&header_at(at)) RecordHeader{.size = size,
                                        .target_count = static_cast<std::uint32_t>(targets.size()),
                                        .payload_length = static_cast<std::uint32_t>(frame.payload.size()),
                                        .received = received,
                                        .dst = frame.dst,
                                        .src = frame.src,
                                        .offload = frame.offload};
  std::uninitialized_copy(targets.begin(), targets.end(), header->targets());
  std::memcpy(header->payload(), frame.payload.data(), frame.payload.size());
  written_.store(at + size, std::memory_order_release);
  return true;
}

/// The header at the reader's position, after any padding.
CopyQueue::RecordHeader* CopyQueue::next_record() {
  const std::uint64_t end = written();
  while (taken_ != end) {
    RecordHeader& header = header_at(taken_);
    if (header.payload_length != RecordHeader::kPadding) return &header;
    taken_ += header.size;
  }
  return nullptr;
}

std::optional<TimeNs> CopyQueue::next_received() {
  const RecordHeader* header = next_record();
  return header == nullptr ? std::nullopt : std::optional(header->received);
}

bool CopyQueue::is_behind() const {
  if (descriptor_ < 0) return false;
  if (behind_.load(std::memory_order_seq_cst)) return true;
  pollfd ports{.fd = descriptor_, .events = POLLIN, .revents = 0};
  return ::poll(&ports, 1, 0) > 0;
}

std::optional<CopyRecord> CopyQueue::take() {
  RecordHeader* header = next_record();
  if (header == nullptr) return std::nullopt;
  taken_ += header->size;
  return CopyRecord{.received = header->received,
                    .dst = header->dst,
                    .src = header->src,
                    .offload = header->offload,
                    .targets = {header->targets(), header->target_count},
                    .payload = {header->payload(), header->payload_length}};
}

void CopyQueue::release() {
  released_.store(taken_, std::memory_order_release);
}

std::size_t CopyQueue::used() const {
  const std::uint64_t before = released();
  return static_cast<std::size_t>(written() - before);
}

}  // namespace vswitch
