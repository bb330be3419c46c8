// SPDX-License-Identifier: Apache-2.0
// Counters that add up: each sending thread writes its own cells, and a reader sums them.
//
// They live outside the snapshot and are shared by all snapshots that refer to the same row, so a change of
// settings loses no count. A cell has one writer (the thread with that SenderId), so adding is a plain load
// and store. Readers on other threads may see a sum that is a few frames behind, but never a torn one.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "datapath/base/drop_reason.h"
#include "datapath/base/types.h"

namespace vswitch {

class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// One T per sending thread, each on its own cache lines.
template <typename T>
class PerSender {
 public:
  explicit PerSender(std::size_t senders) : cells_(senders) {}
  T& of(SenderId sender) { return cells_[index(sender)].value; }

  /// Calls visit(cell) for each sender.
  template <typename Visit>
  void each(Visit visit) const {
    for (const Cell& cell : cells_) visit(cell.value);
  }
  template <typename Read>
  std::uint64_t sum(Read read) const {
    std::uint64_t total = 0;
    for (const Cell& cell : cells_) total += read(cell.value);
    return total;
  }

 private:
  struct alignas(64) Cell {
    T value;
  };
  std::vector<Cell> cells_;
};

using DropCounters = std::array<Counter, kDropReasonCount>;

/// What a port received, sent and dropped. Frames and bytes as on the wire, without FCS.
struct PortCell {
  Counter received_frames, received_bytes;
  Counter received_multicast;       ///< of received_frames, broadcasts included
  Counter sent_frames, sent_bytes;  ///< production and copies together, as accepted by the device
  Counter copies_sent;              ///< of sent_frames
  DropCounters received_drops;      ///< frames received here and not forwarded at all, by reason
  DropCounters sent_drops;          ///< production frames that should have left here, by reason
};
using PortCounters = PerSender<PortCell>;

/// One mirror session. `frames` counts a frame once, no matter how many destinations it has (Open vSwitch's
/// tx_packets).
struct SessionCell {
  Counter frames, bytes;
};
using SessionCounters = PerSender<SessionCell>;

/// Frames that arrived in the output VLAN of a session but are not copies: they leave together with its
/// copies.
using ForeignCounters = PerSender<Counter>;

/// Bytes of one session waiting in each worker's mirror queue. Written by that worker and by the mirror
/// thread that reads the queue.
class QueuedBytes {
 public:
  explicit QueuedBytes(std::size_t workers) : cells_(workers) {}
  std::atomic<std::int64_t>& of(std::size_t worker) { return cells_[worker].bytes; }

 private:
  struct alignas(64) Cell {
    std::atomic<std::int64_t> bytes{0};
  };
  std::vector<Cell> cells_;
};

/// One destination of one session: matched = delivered + every reason in lost + copies still queued.
struct DestinationCell {
  Counter matched;
  Counter delivered;
  Counter truncated;                      ///< of those delivered: cut to the MTU of the path
  std::atomic<TimeNs> truncated_at{0};    ///< when the frame of the last of them was received
  Counter sent_packets, delivered_bytes;  ///< as accepted: more than copies if GSO packets are segmented
  DropCounters lost;
};
using DestinationCounters = PerSender<DestinationCell>;

}  // namespace vswitch
