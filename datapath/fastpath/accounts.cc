// SPDX-License-Identifier: Apache-2.0
// The part of FastPath that looks back: what the kernel has counted, which flows are idle, and whether it does what it
// was told.
#include <algorithm>
#include <utility>

#include "datapath/base/steady_clock.h"
#include "datapath/fastpath/fast_path.h"

namespace vswitch::fastpath {

namespace {

constexpr std::uint32_t kIdleTicks = 10;  // then a flow without frames goes
constexpr std::size_t kBucketsAtATime = 1024;
constexpr std::uint64_t kUnderWay = 64;  // frames between filter and tc, on all processors

/// Adds to `counter` what `now` has more than `before`.
void add_growth(Counter& counter, std::uint64_t now, std::uint64_t before) {
  if (now != before) counter.add(now - before);
}

Counter& lost(DropCounters& drops, DropReason reason) {
  return drops[static_cast<std::size_t>(reason)];
}

}  // namespace

void FastPath::collect_port(PortNo port) {
  const MutexLock lock(changes_);
  if (index(port) < ports_.size()) count_port(index(port));
}

void FastPath::collect_copies() {
  const MutexLock lock(changes_);
  count_copies();
}

void FastPath::count_port(std::size_t slot) {
  PortUse& use = ports_[slot];
  if (use.counters == nullptr) return;
  const fastpath_port_account now = programs_.port_account(slot);
  const fastpath_port_account& before = use.counted;
  PortCell& cell = use.counters->of(sender_);
  add_growth(cell.received_frames, now.received_frames, before.received_frames);
  add_growth(cell.received_bytes, now.received_bytes, before.received_bytes);
  add_growth(cell.received_frames, now.crossed_frames, before.crossed_frames);
  add_growth(cell.received_bytes, now.crossed_bytes, before.crossed_bytes);
  add_growth(cell.sent_frames, now.sent_frames, before.sent_frames);
  add_growth(cell.sent_bytes, now.sent_bytes, before.sent_bytes);
  add_growth(cell.copies_sent, now.copies_sent, before.copies_sent);
  add_growth(lost(cell.sent_drops, DropReason::too_big), now.too_big, before.too_big);
  add_growth(lost(cell.sent_drops, DropReason::send_error), now.send_error, before.send_error);
  add_growth(lost(cell.sent_drops, DropReason::no_buffers), now.no_buffers, before.no_buffers);
  add_growth(lost(cell.sent_drops, DropReason::link_down), now.link_down, before.link_down);
  add_growth(lost(cell.sent_drops, DropReason::protected_port), now.protected_port, before.protected_port);
  const std::uint64_t drained = programs_.drained(slot);
  add_growth(lost(cell.received_drops, DropReason::receive_overrun), drained, use.drained);
  use.counted = now;
  use.drained = drained;
}

/// Frames that the filter has taken from user space, and the tc program has not seen. At rest that is the difference;
/// while frames arrive, some are under way. Those that are carried out while the numbers are read lessen it, so nothing
/// is counted that is not lost, and the rest is counted when the port is at rest.
void FastPath::count_disobeyed(std::size_t slot) {
  PortUse& use = ports_[slot];
  const std::uint64_t decided = use.counted.received_frames;  // read before what follows
  const bool is_at_rest = decided == use.decided;
  const std::uint64_t known =
      programs_.port_account(slot).obeyed + use.disobeyed + (is_at_rest ? 0 : kUnderWay);
  if (decided <= known) return;
  use.disobeyed += decided - known;
  if (use.counters == nullptr) return;
  lost(use.counters->of(sender_).received_drops, DropReason::fast_path_bypassed).add(decided - known);
}

void FastPath::count_copies() {
  for (std::size_t at = 0; auto& slot : destinations_.slots()) {
    const fastpath_destination_account now = programs_.destination_account(at++);
    if (slot.is_free) continue;
    const fastpath_destination_account before = std::exchange(slot.state, now);
    DestinationCell& cell = slot.key->of(sender_);
    add_growth(cell.matched, now.matched, before.matched);
    add_growth(cell.delivered, now.delivered, before.delivered);
    add_growth(cell.sent_packets, now.packets, before.packets);
    add_growth(cell.delivered_bytes, now.bytes, before.bytes);
    add_growth(lost(cell.lost, DropReason::duplicate), now.duplicate, before.duplicate);
    add_growth(lost(cell.lost, DropReason::no_buffers), now.no_buffers, before.no_buffers);
    add_growth(lost(cell.lost, DropReason::link_down), now.link_down, before.link_down);
    add_growth(lost(cell.lost, DropReason::too_big), now.too_big, before.too_big);
    add_growth(lost(cell.lost, DropReason::sampled_out), now.sampled_out, before.sampled_out);
    add_growth(lost(cell.lost, DropReason::rate_limited), now.rate_limited, before.rate_limited);
    add_growth(lost(cell.lost, DropReason::cpu_budget), now.cpu_budget, before.cpu_budget);
  }
  for (std::size_t at = 0; auto& slot : sessions_.slots()) {
    const fastpath_session_account now = programs_.session_account(at++);
    if (slot.is_free) continue;
    const fastpath_session_account before = std::exchange(slot.state, now);
    SessionCell& cell = slot.key->of(sender_);
    add_growth(cell.frames, now.frames, before.frames);
    add_growth(cell.bytes, now.bytes, before.bytes);
  }
  taps_.count_lost(programs_, sender_, steady_now());
}

void FastPath::housekeeping(TimeNs now) {
  age(now);
  const MutexLock lock(changes_);
  for (std::size_t slot = 0; slot < ports_.size(); ++slot) count_port(slot);
  count_copies();
  for (auto* set : copy_sets_.recycle(tick_)) {
    for (const std::uint32_t account : set->state.destinations) destinations_.release(account, tick_);
    for (const std::uint32_t account : set->state.sessions) sessions_.release(account, tick_);
    for (const std::uint32_t limit : set->state.limits) limits_.release(limit, tick_);
    if (set->state.is_tapped) taps_.release(copy_sets_.number(*set));
    set->state = {};
  }
  floods_.recycle(tick_);
  destinations_.recycle(tick_);
  sessions_.recycle(tick_);
  for (auto* limit : limits_.recycle(tick_)) {
    limit->state->move_to(nullptr);
    limit->state.reset();
  }
  watch();
  programs_.set_tick(++tick_);
}

/// In pieces, since workers wait for the lock when an address moves. A flow that changes its place meanwhile (rehashing)
/// is seen a second later. The MAC table is told without the lock held: it takes its own before it calls forgotten().
void FastPath::age(TimeNs now) {
  std::vector<Seen> seen;
  for (std::size_t bucket = 0; age_some(bucket, seen);) {
  }
  for (const Seen& one : seen) one.macs->refresh(one.vlan, one.mac, one.port, now);
}

/// False if there are no more buckets.
bool FastPath::age_some(std::size_t& bucket, std::vector<Seen>& seen) {
  const MutexLock lock(changes_);
  std::vector<Flows::iterator> idle;
  const std::size_t end = std::min(bucket + kBucketsAtATime, flows_.bucket_count());
  for (; bucket < end; ++bucket) {
    for (auto item = flows_.begin(bucket); item != flows_.end(bucket); ++item) {
      Flow& flow = item->second;
      const auto bridge = bridges_.find(flow.hops.front().macs.get());
      const std::uint64_t stamp = shared(programs_.stamps[flow.in_kernel.id]).load(std::memory_order_relaxed);
      const std::uint64_t generation = flow.in_kernel.decision[flow.current].generation;
      const bool stale = bridge == bridges_.end() || bridge->second.generation != generation;
      if (stale || tick_ - stamp > kIdleTicks) {
        idle.push_back(flows_.find(item->first));
      } else if (stamp != flow.last_stamp) {
        flow.last_stamp = stamp;
        for (const Hop& hop : flow.hops) seen.push_back({hop.macs, hop.src.vlan, hop.src.mac, hop.in});
      }
    }
  }
  for (const Flows::iterator flow : idle) remove(flow);
  return bucket < flows_.bucket_count();
}

/// What the filter has decided must have been carried out, but for the frames that are under way right now.
void FastPath::watch() {
  std::uint64_t decided = 0, obeyed = 0;
  for (std::size_t slot = 0; slot < ports_.size(); ++slot) {
    PortUse& port = ports_[slot];
    decided += port.counted.received_frames;
    obeyed += port.counted.obeyed;
    count_disobeyed(slot);
    port.decided = port.counted.received_frames;
  }
  const std::uint64_t disobeyed = decided - std::min(decided, obeyed);
  // A filter that somebody removes comes back at once (switchd/netlink/tc_monitor.h); what lasts is trouble.
  const bool is_wrong = disobeyed > disobeyed_ + kUnderWay;
  disobeyed_ = disobeyed;
  if (!std::exchange(was_wrong_, is_wrong) || !is_wrong || !trouble_.empty()) return;
  trouble_ =
      "tc did not carry out what the socket filter had decided, for " + std::to_string(disobeyed) + " frames";
  set_pause(Pause::trouble, true);
}

FastPath::Status FastPath::status() const {
  const MutexLock lock(changes_);
  Status status;
  status.off = trouble_;
  status.flows = flows_.size();
  status.refused = refused_;
  const auto paused_for = [this](Pause why)
                              REQUIRES(changes_) { return paused_[static_cast<std::size_t>(why)]; };
  if (!trouble_.empty())
    status.off += "; restart vswitchd to try again";
  else if (paused_for(Pause::setting))
    status.off = "Open_vSwitch other_config:kernel-fast-path is false";
  else if (paused_for(Pause::frame_wanted))
    status.off = "a client waits for the next frame, to explain it";
  status.unread = taps_.unread();
  status.no_taps = taps_.is_open() ? "" : taps_.trouble();
  for (const PortUse& port : ports_) status.frames += port.counted.received_frames;
  return status;
}

}  // namespace vswitch::fastpath
