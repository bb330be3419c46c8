// SPDX-License-Identifier: Apache-2.0
// Makes copies and sends them: finishes checksums, writes each destination's tags, segments or truncates, encapsulates,
// and accounts for every copy. Copies of many frames are sent together.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "datapath/base/counters.h"
#include "datapath/engine/copy_queue.h"
#include "datapath/snapshot/snapshot.h"
#include "datapath/tunnel/pieces.h"

namespace vswitch {

/// Belongs to one thread.
class CopySender {
 public:
  explicit CopySender(SenderId sender) : sender_(sender) {}

  /// Before the add() of a pass. `own_copies`: of the snapshot in effect; valid until the next send_all().
  void begin(const tunnel::OwnCopies& own_copies);
  /// The copies of a frame, whose payload must stay where it is until send_all(); its checksum may be finished there.
  /// `worker`: in whose queue the copies are charged to their sessions; nothing: in none.
  void add(const CopyRecord& record, std::optional<std::size_t> worker);
  void send_all();

 private:
  /// A copy that is pending in a batch, as one or more pieces.
  struct Waiting {
    CopyTarget target;
    std::optional<std::size_t> charged_to;  ///< the worker in whose queue it is charged
    std::int64_t charge;                    ///< in bytes
    std::size_t pieces;
    DropReason lost;  ///< not none: it is already lost
    TimeNs received;
  };
  /// Copies that are sent together: by one device, to one endpoint or to one capture.
  struct Batch {
    const PortConfig* port = nullptr;
    tunnel::TunnelEndpoint* endpoint = nullptr;
    CaptureSink* capture = nullptr;
    tunnel::Pieces pieces;
    std::vector<Waiting> copies;
  };

  Batch& batch_for(const CopyTarget& target);
  DropReason add_pieces(Batch& batch, const CopyRecord& record, const CopyTarget& target,
                        const Offload& offload);
  Batch& batch_of(const MirrorDestination& destination, const PortConfig* port);
  void send_captured(const Batch& batch, std::span<OutgoingFrame> pieces);
  void account(const Batch& batch, const Waiting& copy, std::span<const OutgoingFrame> pieces);

  const SenderId sender_;
  const tunnel::OwnCopies* own_copies_ = nullptr;
  std::deque<Batch> port_batches_;  ///< by PortNo
  std::unordered_map<const tunnel::TunnelEndpoint*, Batch> endpoint_batches_;
  std::unordered_map<const CaptureSink*, Batch> capture_batches_;
  std::vector<CapturedFrame> captured_;  ///< those of a batch
  std::vector<Batch*> dirty_;            ///< those that hold copies
  std::size_t pieces_waiting_ = 0;
  /// Added to a time of reception gives the time since 1970.
  TimeNs unix_offset_ = 0;
};

}  // namespace vswitch
