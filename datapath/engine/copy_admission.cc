// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/copy_admission.h"

#include <utility>

namespace vswitch {

namespace {

constexpr unsigned kMostHeldUp = 64;  // batches

const Withheld* find(std::span<const Withheld> withheld, SessionIndex session, WalkNo walk) {
  const auto found = std::find_if(withheld.begin(), withheld.end(), [&](const Withheld& one) {
    return one.session == session && one.walk == walk;
  });
  return found == withheld.end() ? nullptr : &*found;
}

}  // namespace

/// Sessions are asked in the order of the verdict, so it is known what earlier ones withhold.
bool copy_walk_takes_place(const Verdict& verdict, WalkNo number, std::span<const Withheld> withheld) {
  const CopyWalk& walk = verdict.walk(number);
  if (!takes_place(verdict, walk.parent, withheld) || find(withheld, walk.session, walk.parent) != nullptr)
    return false;
  for (WalkNo other = walk.first; other < number; ++other) {
    if (verdict.walk(other).first == walk.first && takes_place(verdict, other, withheld)) return false;
  }
  return true;
}

void CopyAdmission::set_snapshot(const Snapshot& snapshot) {
  snapshot_ = &snapshot;
  const std::size_t budget = snapshot.work.session_queue_bytes;
  session_budget_ = static_cast<std::int64_t>(budget != 0 ? budget : queue_.capacity() / 2);
  if (sample_seed_ != snapshot.work.sample_seed) {
    sample_seed_ = snapshot.work.sample_seed;
    random_.seed(static_cast<std::uint32_t>(sample_seed_ + worker_ + 1));
  }
}

/// Why a session that selects a frame omits it; nothing if it copies it. Samples are chosen at random, not by
/// counting, so that periodic traffic is sampled fairly. Only what the rate allows is charged to the
/// session's quota.
std::optional<DropReason> CopyAdmission::withholds(const CompiledSession& session, std::size_t bytes,
                                                   TimeNs now) {
  if (session.quota != nullptr && session.quota->is_used_up()) return DropReason::none;
  if (session.sample > 1 && random_() % session.sample != 0) return DropReason::sampled_out;
  if (session.rate != nullptr && !session.rate->take(bytes, now)) return DropReason::rate_limited;
  if (session.quota != nullptr && !session.quota->take(bytes)) return DropReason::none;
  return std::nullopt;
}

void CopyAdmission::note_selected(const Verdict& verdict, const Frame& frame, TimeNs now) {
  for (const Selection& selection : verdict.selections) {
    if (!takes_place(verdict, selection.walk)) continue;
    const CompiledSession& session = snapshot_->session(selection.session);
    if (const auto reason = withholds(session, frame.wire_length(), now)) {
      withheld_.push_back({selection.session, selection.walk, *reason});
      continue;
    }
    if (!selection.counts) continue;
    SessionCell& cell = session.counters->of(sender_);
    cell.frames.add();
    cell.bytes.add(frame.wire_length());
  }
  for (const Copy& copy : verdict.copies) note_copy(verdict, copy, frame);
}

void CopyAdmission::note_copy(const Verdict& verdict, const Copy& copy, const Frame& frame) {
  const WalkNo made_on = verdict.made_on(copy);
  if (!takes_place(verdict, made_on)) return;
  const CompiledSession& session = snapshot_->session(copy.session);
  DropReason drop = copy.drop;
  if (const Withheld* found = find(withheld_, copy.session, made_on)) {
    if (found->reason == DropReason::none) return;
    drop = found->reason;
  } else if (!takes_place(verdict, copy.walk)) {  // beyond a patch that another session's copy has crossed
    drop = DropReason::duplicate;
  }
  DestinationCell& cell = session.destinations[copy.destination].counters->of(sender_);
  cell.matched.add();
  const bool stand_in = drop == DropReason::duplicate && drop == copy.drop;
  if (drop != DropReason::none && !stand_in) {
    cell.lost[static_cast<std::size_t>(drop)].add();
    return;
  }
  const PortConfig* port = copy.port == kNoPort ? nullptr : snapshot_->ports[index(copy.port)];
  pending_.push_back({&frame,
                      {.session = &session,
                       .port = port,
                       .destination = copy.destination,
                       .tags = copy.tags,
                       .origin = copy.origin,
                       .snaplen = copy.snaplen},
                      stand_in,
                      copy.walk});
}

/// The copies in front that are of the same frame.
std::span<const CopyAdmission::PendingCopy> CopyAdmission::of_one_frame(
    std::span<const PendingCopy> pending) const {
  const auto last = std::find_if(pending.begin(), pending.end(), [&](const PendingCopy& copy) {
    return copy.frame != pending.front().frame;
  });
  return pending.first(static_cast<std::size_t>(last - pending.begin()));
}

void CopyAdmission::send_marked(TimeNs now, const MirrorThread& mirror_thread) {
  if (pending_.empty() || !pending_.front().is_direct || queue_.used() != 0) return;
  // Copies of other workers may never leave a gap.
  if (!mirror_thread.is_idle() && held_up_++ < kMostHeldUp) return;
  held_up_ = 0;
  copies_.begin(snapshot_->own_copies);
  std::span<const PendingCopy> rest = pending_;
  std::size_t frames = 0;
  for (; !rest.empty() && rest.front().is_direct; ++frames) {
    const std::span<const PendingCopy> copies = of_one_frame(rest);
    if (frames == payloads_.size()) payloads_.emplace_back();
    send_copies_of(*copies.front().frame, copies, payloads_[frames], now);
    rest = rest.subspan(copies.size());
  }
  copies_.send_all();
  pending_.erase(pending_.begin(), pending_.end() - static_cast<std::ptrdiff_t>(rest.size()));
}

/// One record for each frame that is copied, with all its copies.
bool CopyAdmission::queue(TimeNs now) {
  if (pending_.empty()) return false;
  for (std::span<const PendingCopy> rest = pending_; !rest.empty();) {
    const std::span<const PendingCopy> copies = of_one_frame(rest);
    queue_copies_of(*copies.front().frame, copies, now);
    rest = rest.subspan(copies.size());
  }
  pending_.clear();
  return true;
}

/// A destination gets the frame once: from the first session that has room for it. Later ones count a
/// duplicate.
void CopyAdmission::choose_targets(const Frame& frame, std::span<const PendingCopy> pending, bool is_direct) {
  const std::int64_t cost = CopyQueue::cost(frame.payload.size());
  targets_.clear();
  target_walks_.clear();
  duplicates_.clear();
  const auto is_there = [this](const PendingCopy& copy) {
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      if (targets_[i].port == copy.target.port && target_walks_[i] == copy.walk &&
          targets_[i].session->tags.output_vlan == copy.target.session->tags.output_vlan)
        return true;
    }
    return false;
  };
  for (const PendingCopy& copy : pending) {
    if (copy.stand_in && is_there(copy)) {
      duplicates_.push_back(copy.target);
      continue;
    }
    if (!is_direct) {
      auto& queued = copy.target.session->queued_bytes->of(worker_);
      if (queued.load(std::memory_order_relaxed) + cost > session_budget_) {
        count_lost(copy.target, DropReason::session_budget);
        continue;
      }
      queued.fetch_add(cost, std::memory_order_relaxed);
    }
    targets_.push_back(copy.target);
    target_walks_.push_back(copy.walk);
  }
}

void CopyAdmission::queue_copies_of(const Frame& frame, std::span<const PendingCopy> pending, TimeNs now) {
  const TimeNs arrived = frame.arrived == 0 ? now : std::min(frame.arrived, now);
  last_received_ = std::max(last_received_, arrived);
  choose_targets(frame, pending, false);
  const std::int64_t cost = CopyQueue::cost(frame.payload.size());
  const bool queued = targets_.empty() || queue_.push(frame, last_received_, targets_);
  for (const CopyTarget& target : duplicates_)
    count_lost(target, queued ? DropReason::duplicate : DropReason::queue_full);
  if (queued) return;
  for (const CopyTarget& target : targets_) {
    target.session->queued_bytes->of(worker_).fetch_sub(cost, std::memory_order_relaxed);
    count_lost(target, DropReason::queue_full);
  }
}

/// A checksum is finished in `payload`: where the frame lies, the kernel is still to finish it.
void CopyAdmission::send_copies_of(const Frame& frame, std::span<const PendingCopy> pending,
                                   std::vector<std::uint8_t>& payload, TimeNs now) {
  choose_targets(frame, pending, true);
  for (const CopyTarget& target : duplicates_) count_lost(target, DropReason::duplicate);
  payload.assign(frame.payload.begin(), frame.payload.end());
  copies_.add({.received = now,
               .dst = frame.dst,
               .src = frame.src,
               .offload = frame.offload,
               .targets = targets_,
               .payload = payload},
              std::nullopt);
}

void CopyAdmission::count_lost(const CopyTarget& copy, DropReason reason) {
  const MirrorDestination& destination = copy.session->destinations[copy.destination];
  destination.counters->of(sender_).lost[static_cast<std::size_t>(reason)].add();
  // The receiver sees the gap.
  if (destination.endpoint != nullptr && reason != DropReason::duplicate)
    destination.endpoint->next_sequence();
}

}  // namespace vswitch
