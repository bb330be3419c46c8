// SPDX-License-Identifier: Apache-2.0
// The part of Worker that is about frames which the kernel has forwarded, and of which user space makes copies
// (datapath/fastpath/README.md).
#include <sys/epoll.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "datapath/engine/worker.h"

namespace vswitch {

namespace {

constexpr TimeNs kReordered = kSecondNs / 1000;  // processors write into a tap in turns

}  // namespace

/// Devices are opened while the worker works: it looks, and watches its own from then on.
bool Worker::has_tap() {
  if (tap_.device != nullptr || fast_path_ == nullptr) return tap_.device != nullptr;
  CopyTap* device = fast_path_->copy_tap(number_);
  if (device == nullptr) return false;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kTapToken}};
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, device->receive_fd(), &event) != 0) return false;  // tried again
  tap_.device = device;
  return true;
}

/// One batch of frames that the kernel has forwarded. False if there were none.
bool Worker::serve_tap() {
  if (!std::exchange(tap_.waits, false)) {
    const TimeNs now = clock_();
    if (tap_.device->is_drained()) report_tap(now);
    return false;
  }
  copies_.begin(admission_.not_before());
  const bool any = copy_tapped();
  copies_.end();
  if (!any && tap_.waits) std::this_thread::yield();  // to the control thread, which is about to publish
  return any;
}

/// Makes the copies of the frames that the kernel had forwarded before `time`: a frame of the same flow that is to be
/// copied now was behind them.
void Worker::catch_up(TimeNs time) {
  while ((!tap_.rest.empty() || !tap_.device->is_drained()) && copy_tapped() && tap_.last_arrived < time) {
  }
}

/// The frames that were tapped by settings before the published ones get their copies by these too: one session may begin
/// where another ends, and what the kernel copies is decided already.
void Worker::finish_tapped() {
  copies_.begin(admission_.not_before());
  catch_up(clock_());
  copies_.end();
}

/// Between begin() and end() of the queue. False if there were no frames, or none by settings that the worker has.
bool Worker::copy_tapped() {
  TimeNs taken_until = clock_();
  if (tap_.rest.empty()) tap_.rest = std::span(tap_.raw).first(tap_.device->receive(tap_.raw));
  tap_.waits |= !tap_.rest.empty();
  now_ = clock_();
  std::size_t taken = 0;
  for (; taken < tap_.rest.size(); ++taken) {
    const RawFrame& raw = tap_.rest[taken];
    const auto tapped = raw.stripped_tag ? fast_path_->tapped(*raw.stripped_tag) : nullptr;
    if (tapped == nullptr) continue;  // nothing is known of it any more
    if (is_ahead(*tapped)) break;
    if (handle_tapped(*tapped, raw, tap_.frames[taken])) counters_.frames.add();
  }
  if (taken != 0) {
    counters_.batches.add();
    tap_.last_arrived = tap_.rest[taken - 1].arrived;
    taken_until = tap_.last_arrived - kReordered;
    handled_until_ = std::min(handled_until_, tap_.last_arrived);
    admission_.send_marked(now_, mirror_thread_);
    if (admission_.queue(now_)) mirror_thread_.wake();
    copies_.set_behind(true);
  }
  tap_.rest = tap_.rest.subspan(taken);
  if (!tap_.rest.empty() && taken == 0) return false;
  if (tap_.rest.empty() && taken != 0) {
    tap_.device->release();
    if (const TimeNs now = clock_(); tap_.device->is_drained()) taken_until = now;
  }
  report_tap(taken_until);
  return taken != 0;
}

/// The kernel has forwarded the frame by settings that are about to be published.
bool Worker::is_ahead(const fastpath::TappedFrames& tapped) const {
  const PortConfig* in = snapshot_->port(tapped.copies().in);
  return in != nullptr && tapped.since.load(std::memory_order_acquire) > in->bridge->generation;
}

/// False if its port is gone, or not all of it is there.
bool Worker::handle_tapped(fastpath::TappedFrames& tapped, const RawFrame& raw, Frame& frame) {
  const PortConfig* in = snapshot_->port(tapped.copies().in);
  if (in == nullptr) return false;
  RawFrame arrived = raw;
  arrived.stripped_tag = tapped.tag;
  const ParseResult parsed = parse(arrived);
  if (parsed.drop != DropReason::none) return false;
  tapped.take(raw.bytes.size() + (tapped.tag ? kTagLength : 0));
  frame = parsed.frame;
  const Verdict& verdict = decider_.decide(*snapshot_, in->number, frame, now_);
  // The settings have changed since, and the kernel has copied nothing by the old ones: it is a frame of the new.
  const bool is_outdated = tapped.all.sessions.empty() &&
                           tapped.generation.load(std::memory_order_acquire) < in->bridge->generation;
  fastpath::left_to_user(*snapshot_, verdict, tapped.copies(), is_outdated, tap_.copies);
  admission_.note(tap_.copies, frame, now_);
  if (fast_path_->offer_choice(*snapshot_, tapped, frame, verdict, now_)) admission_.send_directly();
  learn(tap_.copies);
  queue_sends(*in, tap_.copies, frame);
  return true;
}

/// Tells the fast path up to when frames have been taken from the tap, and up to when their copies have been sent.
void Worker::report_tap(TimeNs taken_until) {
  fast_path_->tap_taken(number_, taken_until);
  if (tap_.mark != 0 && copies_.released() >= tap_.position) {
    fast_path_->tap_sent(number_, tap_.mark);
    tap_.mark = 0;
  }
  if (tap_.mark != 0) return;
  tap_.mark = taken_until;
  tap_.position = copies_.written();
  if (copies_.released() < tap_.position) return;
  fast_path_->tap_sent(number_, tap_.mark);
  tap_.mark = 0;
}

}  // namespace vswitch
