// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/worker.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

namespace vswitch {

namespace {

constexpr int kMaxEvents = 256;
constexpr std::size_t kTurn = 512;  // frames, sends and copies of a bridge before it is another bridge's turn
constexpr std::size_t kPatience = 4096;      // frames that wait for a port to be drained
constexpr std::size_t kBacklog = 64 * 1024;  // of copies: the mirror thread is behind

int checked(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return fd;
}

TimeNs own_cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * kSecondNs + time.tv_nsec;
}

void sleep_for(TimeNs time) {
  const timespec until{.tv_sec = time / kSecondNs, .tv_nsec = time % kSecondNs};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &until, nullptr);
}

}  // namespace

Worker::Worker(std::uint32_t number, const std::atomic<const Snapshot*>& published, CopyQueue& copies,
               MirrorThread& mirror_thread, NextFrames& next_frames, fastpath::FastPath* fast_path,
               Clock clock)
    : sender_{number},
      number_(number),
      published_(published),
      copies_(copies),
      mirror_thread_(mirror_thread),
      next_frames_(next_frames),
      fast_path_(fast_path),
      clock_(std::move(clock)),
      epoll_fd_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_fd_(checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      admission_(number, copies) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeToken}};
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event);
}

Worker::~Worker() {
  stopping_.store(true, std::memory_order_release);
  wake();
  if (thread_.joinable()) thread_.join();
  close(wake_fd_);
  close(epoll_fd_);
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::run() {
  const RoleScope role(roles::worker);
  pthread_setname_np(pthread_self(), "worker");
  prctl(PR_SET_TIMERSLACK, 1UL);  // 50 us are usual, more than a rest
  while (!stopping_.load(std::memory_order_acquire)) {
    // A thread that sleeps preempts copies when a frame arrives; one that yields does not.
    if (!spin_.goes_on(now_) || copies_.used() > kBacklog) {
      if (!anybody_waits()) {
        if (const TimeNs rest = gather_.rest()) sleep_for(rest);
      }
      step(-1);
    } else if (!step(0)) {
      std::this_thread::yield();  // gives way to other threads
    }
  }
}

void Worker::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written =
      write(wake_fd_, &one, sizeof one);  // fails only if it is readable anyway
}

void Worker::take_wake() {
  std::uint64_t count;
  [[maybe_unused]] const ssize_t n = read(wake_fd_, &count, sizeof count);
}

void Worker::wait_seen(std::uint64_t generation) const {
  for (std::uint64_t now = seen(); now < generation; now = seen()) seen_.wait(now, std::memory_order_acquire);
}

bool Worker::step(int timeout_ms) {
  epoll_event events[kMaxEvents];
  const int ready = epoll_wait(epoll_fd_, events, kMaxEvents, anybody_waits() ? 0 : timeout_ms);
  const TimeNs woken = now_ = clock_();
  handled_until_ = ready < kMaxEvents ? woken : 0;
  if (ready > 0) counters_.wakeups.add();
  // In this order: a wake() after the published snapshot was read must still be pending at the next wait.
  for (int i = 0; i < ready; ++i) {
    if (events[i].data.u64 == kWakeToken) take_wake();
  }
  refresh();
  for (int i = 0; i < ready; ++i) {
    if (events[i].data.u64 == kTapToken) {
      tap_.waits = true;
    } else if (events[i].data.u64 != kWakeToken) {
      line_up(PortNo{static_cast<std::uint32_t>(events[i].data.u64)});
    }
  }
  const std::uint64_t before = counters_.frames.read();
  bool received = false;
  for (Line& line : lines_) {
    if (line.bridge == nullptr) continue;
    received |= serve(line);
    if (refresh()) break;  // the lines are others now
  }
  if (has_tap()) received |= serve_tap();
  const bool behind = anybody_waits();
  copies_.set_behind(behind);
  if (!behind) copies_.set_handled(handled_until_);
  if (received) {
    counters_.busy_ns.add(static_cast<std::uint64_t>(std::max<TimeNs>(clock_() - woken, 0)));
    spin_.received(now_);
    gather_.received(counters_.frames.read() - before, woken, own_cpu_time);
  }
  return received;
}

/// Takes the published snapshot and updates the epoll set to match it. False if it is the one in use.
bool Worker::refresh() {
  const Snapshot* latest = published_.load(std::memory_order_acquire);
  if (latest == snapshot_) return false;
  if (snapshot_ != nullptr && has_tap()) finish_tapped();
  snapshot_ = latest;
  for (auto it = received_from_.begin(); it != received_from_.end();) {
    if (is_mine(PortNo{it->first}, it->second)) {
      ++it;
      continue;
    }
    epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, it->second->receive_fd(), nullptr);
    if (!turns_[it->first].rest.empty()) it->second->release();
    turns_[it->first] = {};
    it = received_from_.erase(it);
  }
  sends_.resize(std::max(sends_.size(), snapshot_->ports.size()));
  turns_.resize(sends_.size());
  progress_.resize(sends_.size());
  for (const PortConfig* port : snapshot_->ports) {
    if (port == nullptr || port->worker != number_ || port->device == nullptr) continue;
    if (received_from_.contains(index(port->number))) continue;
    epoll_event event{.events = EPOLLIN, .data = {.u64 = index(port->number)}};
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, port->device->receive_fd(), &event) == 0) {
      received_from_.emplace(index(port->number), port->device);
    } else {
      counters_.unwatched_ports
          .add();  // no memory, or fs.epoll.max_user_watches: the next snapshot tries again
    }
  }
  arrange_lines();
  spin_.set_limit(snapshot_->work.spin);
  gather_.set_limit(snapshot_->work.gather);
  admission_.set_snapshot(*snapshot_);
  seen_.store(snapshot_->generation, std::memory_order_release);
  seen_.notify_all();
  return true;
}

bool Worker::is_mine(PortNo number, const std::shared_ptr<Port>& device) const {
  const PortConfig* port = snapshot_->port(number);
  return port != nullptr && port->worker == number_ && port->device == device;
}

/// The port has something to receive. The event may be older than the snapshot: a port that has disappeared
/// meanwhile is not in it, or has another device by now.
void Worker::line_up(PortNo number) {
  const PortConfig* port = snapshot_ == nullptr ? nullptr : snapshot_->port(number);
  if (port == nullptr || !received_from_.contains(index(number))) return;
  PortTurn& turn = turns_[index(number)];
  if (std::exchange(turn.in_line, true)) return;
  line_of(port->bridge).ports.push_back(number);
}

Worker::Line& Worker::line_of(const BridgeConfig* bridge) {
  Line* line = nullptr;
  for (Line& known : lines_) {
    if (known.bridge == bridge) return known;
    if (known.bridge == nullptr) line = &known;
  }
  if (line == nullptr) line = &lines_.emplace_back();
  line->bridge = bridge;
  return *line;
}

/// Puts the ports that wait into the lines of the snapshot's bridges, in the same order.
void Worker::arrange_lines() {
  for (Line& line : std::exchange(lines_, {})) {
    for (const PortNo number : line.ports) {
      // Not in line any more: its device is gone.
      if (std::exchange(turns_[index(number)].in_line, false)) line_up(number);
    }
  }
}

bool Worker::anybody_waits() const {
  return tap_.waits ||
         std::any_of(lines_.begin(), lines_.end(), [](const Line& line) { return line.bridge != nullptr; });
}

/// One turn of a bridge. False if nothing was received.
bool Worker::serve(Line& line) {
  bool received = false;
  // Each of these ports once: an emptied one is not in line again before epoll says so.
  std::size_t ports = line.ports.size();
  for (std::size_t room = kTurn; room > 0 && ports > 0; --ports) {
    const PortNo number = line.ports.front();
    line.ports.pop_front();
    const std::size_t work = serve_port(*snapshot_->port(number), room);
    received |= work != 0;
    room -= std::min(room, work);
    PortTurn& turn = turns_[index(number)];
    turn.in_line = !turn.rest.empty();
    if (turn.in_line) line.ports.push_back(number);
  }
  if (line.ports.empty()) line.bridge = nullptr;
  return received;
}

/// Handles the rest of the port's last batch or else a new one, as far as there is room. Returns the work that
/// it was; 0 if there were no frames.
std::size_t Worker::serve_port(const PortConfig& in, std::size_t room) {
  std::vector<RawFrame>& rest = turns_[index(in.number)].rest;
  copies_.begin(admission_.not_before());
  std::span<const RawFrame> frames = rest;
  if (rest.empty()) {
    frames = std::span(raw_).first(in.device->receive(raw_));
    if (next_frames_.anybody_waits()) [[unlikely]]
      next_frames_.look(in, frames);
    if (!frames.empty()) counters_.batches.add();
    counters_.frames.add(frames.size());
    if (has_tap() && !frames.empty()) catch_up(frames.front().arrived);
  }
  now_ = clock_();
  const bool any = !frames.empty();
  // Of a whole batch, more may wait that arrived right behind it.
  if (frames.size() == kBatchSize) handled_until_ = std::min(handled_until_, frames.back().arrived);
  const std::size_t work = handle_some(in, frames, room);
  admission_.send_marked(now_, mirror_thread_);
  flush_sends();
  if (admission_.queue(now_)) {
    if (fast_path_ != nullptr) fast_path_->copies_queued(in.number, clock_());
    mirror_thread_.wake();
  }
  if (!frames.empty()) copies_.set_behind(true);
  copies_.end();
  rest = std::vector(frames.begin(), frames.end());
  if (!any || !rest.empty()) return work;
  in.device->release();
  if (fast_path_ != nullptr) settle(in);
  return work;
}

/// Takes from `frames` what there is room for, but at least one.
std::size_t Worker::handle_some(const PortConfig& in, std::span<const RawFrame>& frames, std::size_t room) {
  std::size_t work = 0;
  std::size_t handled = 0;
  for (; handled < frames.size() && work < room; ++handled) work += handle(in, frames[handled], handled);
  frames = frames.subspan(handled);
  return work;
}

/// Returns the work that the frame was: itself, each send and each copy count one.
std::size_t Worker::handle(const PortConfig& in, const RawFrame& raw, std::size_t at) {
  PortCell& cell = in.counters->of(sender_);
  cell.received_frames.add();
  ParseResult parsed = parse(raw);
  cell.received_bytes.add(raw.bytes.size() + (raw.stripped_tag ? kTagLength : 0));
  if (parsed.drop != DropReason::none) {
    cell.received_drops[static_cast<std::size_t>(parsed.drop)].add();
    return 1;
  }
  frames_[at] = parsed.frame;
  if (parsed.frame.dst.is_multicast()) cell.received_multicast.add();
  const Verdict& verdict = decider_.decide(*snapshot_, in.number, frames_[at], now_);
  admission_.note(verdict, frames_[at], now_);  // first: determines which copies continue beyond patches
  learn(verdict);
  queue_sends(in, verdict, frames_[at]);
  if (fast_path_ != nullptr) offer(in, frames_[at], verdict);
  return 1 + verdict.sends.size() + verdict.copies.size();
}

void Worker::offer(const PortConfig& in, const Frame& frame, const Verdict& verdict) {
  Progress& progress = progress_[index(in.number)];
  ++progress.sent;
  const fastpath::Offer offer = fast_path_->offer(*snapshot_, in.number, frame, verdict, now_);
  if (offer.answer == fastpath::Offer::Answer::known) ++progress.waited;
  if (offer.copies_wait) admission_.send_directly();
}

void Worker::learn(const Verdict& verdict) {
  for (const Learn& learn : verdict.learns) {
    if (!admission_.takes_place(verdict, learn.walk)) continue;
    learn.bridge->macs->learn(learn.vlan, learn.mac, learn.port, now_);
  }
}

void Worker::queue_sends(const PortConfig& in, const Verdict& verdict, const Frame& frame) {
  if (verdict.drop != DropReason::none) {
    in.counters->of(sender_).received_drops[static_cast<std::size_t>(verdict.drop)].add();
  }
  for (const PatchDrop& drop : verdict.patch_drops) {
    if (!admission_.takes_place(verdict, drop.walk)) continue;
    snapshot_->ports[index(drop.port)]
        ->counters->of(sender_)
        .received_drops[static_cast<std::size_t>(drop.reason)]
        .add();
  }
  for (const Crossing& crossing : verdict.crossings) {
    if (admission_.takes_place(verdict, crossing.walk))
      count_crossing(*snapshot_->ports[index(crossing.port)], frame, true);
  }
  for (const Intrusion& intrusion : verdict.intrusions)
    snapshot_->session(intrusion.session).foreign->of(sender_).add();
  const Send* previous = nullptr;
  std::span<const std::uint8_t> header;
  for (const Send& send : verdict.sends) {
    const PortConfig& out = *snapshot_->ports[index(send.port)];
    PortCell& cell = out.counters->of(sender_);
    if (send.drop != DropReason::none) {
      cell.sent_drops[static_cast<std::size_t>(send.drop)].add();
      continue;
    }
    if (out.is_patch) {
      count_crossing(out, frame, false);
      continue;
    }
    if (previous == nullptr || !(previous->tags == send.tags)) {
      if (headers_used_ == headers_.size()) headers_.emplace_back();
      auto& bytes = headers_[headers_used_++].bytes;
      header = {bytes.data(), write_header(frame.dst, frame.src, send.tags, bytes)};
      previous = &send;
    }
    auto& queue = sends_[index(send.port)];
    if (queue.empty()) dirty_.push_back(index(send.port));
    queue.push_back(outgoing(header, frame.payload, frame.offload));
  }
}

void Worker::count_crossing(const PortConfig& out, const Frame& frame, bool is_copy) {
  PortCell& cell = out.counters->of(sender_);
  PortCell& peer = snapshot_->ports[index(out.patch_peer)]->counters->of(sender_);
  cell.sent_frames.add();
  cell.sent_bytes.add(frame.wire_length());
  if (is_copy) cell.copies_sent.add();
  peer.received_frames.add();
  peer.received_bytes.add(frame.wire_length());
}

void Worker::flush_sends() {
  for (const std::uint32_t number : dirty_) {
    const PortConfig& out = *snapshot_->ports[number];
    auto& frames = sends_[number];
    out.device->send(sender_, frames);
    PortCell& cell = out.counters->of(sender_);
    for (const OutgoingFrame& frame : frames) {
      if (frame.outcome == DropReason::none) {
        cell.sent_frames.add();
        cell.sent_bytes.add(frame.length());
      } else {
        cell.sent_drops[static_cast<std::size_t>(frame.outcome)].add();
      }
    }
    frames.clear();
  }
  dirty_.clear();
  headers_used_ = 0;
}

/// Tells the fast path how far this port has got: the kernel may carry a flow by itself when all its frames that went
/// this way have been sent. If frames never stop waiting, those that arrived up to a moment have been sent as soon as
/// as many have been as fit into the receive memory. No frame that was received is still to be handled.
void Worker::settle(const PortConfig& in) {
  Progress& progress = progress_[index(in.number)];
  const TimeNs now = clock_();
  if (in.device->is_drained()) {
    fast_path_->settled(in.number, now);
    progress = {};
    return;
  }
  if (progress.mark == 0) {
    progress.mark = now;
    progress.sent = 0;
    return;
  }
  const std::size_t most = in.device->most_waiting();
  if (most == 0 || progress.sent < most) return;
  fast_path_->settled(in.number, progress.mark);
  progress.mark = 0;
  if (progress.waited > kPatience) fast_path_->drain(in.number);
}

}  // namespace vswitch
