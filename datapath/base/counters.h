// SPDX-License-Identifier: Apache-2.0
// Counters that close: each sending thread writes cells of its own, a reader sums them.
//
// They live outside the snapshot and are shared by all snapshots that mention the same row, so a change of
// settings loses no count. A cell has one writer (the thread whose SenderId it is), so adding is a plain load
// and store; readers on other threads see a sum that may be a few frames behind, never one that is torn.
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

/// One T per sending thread, each on cache lines of its own.
template <typename T>
class PerSender {
 public:
  explicit PerSender(std::size_t senders) : cells_(senders) {}
  T& of(SenderId sender) { return cells_[index(sender)].value; }

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
  Counter sent_frames, sent_bytes;  ///< production and copies together: what the device took
  Counter copies_sent;              ///< of sent_frames
  DropCounters received_drops;      ///< frames received here and not forwarded at all, by reason
  DropCounters sent_drops;          ///< production frames that should have left here, by reason
};
using PortCounters = PerSender<PortCell>;

/// One mirror session. `frames` counts a frame once however many destinations it has (Open vSwitch's
/// tx_packets).
struct SessionCell {
  Counter frames, bytes;
};
using SessionCounters = PerSender<SessionCell>;

/// Frames that came in the output VLAN of a session and are no copies: they leave with its copies.
using ForeignCounters = PerSender<Counter>;

/// Bytes of one session that wait in each worker's mirror queue. Written by that worker and by the mirror
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
  Counter sent_packets, delivered_bytes;  ///< what it took: more than copies where GSO packets are cut up
  DropCounters lost;
};
using DestinationCounters = PerSender<DestinationCell>;

}  // namespace vswitch
