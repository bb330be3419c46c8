// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/echo_thread.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <system_error>
#include <utility>

#include "switchd/base/limits.h"
#include "switchd/control/log.h"

namespace vswitch::control {
namespace {

constexpr std::size_t kEvents = 1024;          // looked at in one call
constexpr int kCalls = 5;                      // in one round, for 4096 clients
constexpr std::chrono::milliseconds kBusy{2};  // between rounds while there is something to do
constexpr std::uint64_t kWakeId = 0;

// The heap of a thread grows by single pages, and each time waits for the lock of the address space, which another
// thread holds for as long as it gives memory back: half a second on a busy machine. So this thread takes at once
// what it needs for some hundreds of clients.
void take_memory() {
  constexpr std::size_t kBlock = std::size_t{256} << 10;
  std::array<std::unique_ptr<char[]>, 8> blocks;
  for (auto& block : blocks) block = std::make_unique<char[]>(kBlock);
}

int check(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

}  // namespace

// ---- watches

EchoThread::Watch::Watch(std::shared_ptr<EchoThread> thread, int fd, StandIn stand_in)
    : thread_(std::move(thread)), fd_(fd), stand_in_(std::move(stand_in)) {
  if (thread_->is_this_thread()) noted_ = looks_;
  const NestingLock lock(thread_->watches_mutex_);
  id_ = ++thread_->last_id_;
  thread_->watches_[id_] = this;
  expect(true, false);
}

EchoThread::Watch::~Watch() {
  const NestingLock lock(thread_->watches_mutex_);
  owe(false);
  expect(false, false);
  thread_->watches_.erase(id_);
}

void EchoThread::Watch::expect(bool input, bool output) {
  const std::uint32_t wanted = (input ? EPOLLIN : 0U) | (output ? EPOLLOUT : 0U);
  if (wanted == events_) return;
  // Without any events it is taken out: epoll would go on to report the end of the connection.
  const int operation = wanted == 0 ? EPOLL_CTL_DEL : events_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = id_;
  if (::epoll_ctl(thread_->epoll_.get(), operation, fd_, &event) !=
      0) {  // no memory: not watched, but served
    log::warn(kLog, "echo: a socket is not watched: {}", std::system_category().message(errno));
    return;
  }
  events_ = wanted;
}

// The thread looks at owing_ after it has said that it sleeps, and we look whether it sleeps after we have
// counted: one of us sees the other.
void EchoThread::Watch::owe(bool work) {
  if (owes_.load(std::memory_order_relaxed) == work) return;
  owes_.store(work);
  if (!work) {
    --thread_->owing_;
  } else {
    ++thread_->owing_;
    if (thread_->asleep_) thread_->wake();
  }
}

// ---- the thread

EchoThread::EchoThread()
    : epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeId;
  check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event), "epoll_ctl");
  thread_ = std::thread([this] { run(); });
}

EchoThread::~EchoThread() {
  stop();
}

void EchoThread::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake();
  thread_.join();
}

void EchoThread::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void EchoThread::run() {
  const RoleScope role(roles::echo);
  ::pthread_setname_np(::pthread_self(), "echo");
  take_memory();
  std::uint32_t looks = looks_;
  bool may_sleep = true;
  while (!stopping_) {
    const Round round = look(may_sleep);
    const std::uint32_t looks_before = std::exchange(looks, looks_.load(std::memory_order_relaxed));
    may_sleep = !round.found && looks == looks_before;
    if (round.helped) {
      pause(kBusy);
    } else if (!may_sleep) {
      pause(Milliseconds(round.found ? limits::kLateMs : limits::kPatrolMs));
    }
  }
}

/// Looks once at every socket that is ready, and at those whose input waits for the control thread.
EchoThread::Round EchoThread::look(bool may_sleep) {
  Round round{.number = ++rounds_};
  std::array<epoll_event, kEvents> events;
  for (int call = 0; call < kCalls; ++call) {
    if (may_sleep) asleep_ = true;
    const int timeout = may_sleep && owing_ == 0 ? -1 : 0;
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEvents, timeout);
    asleep_ = false;
    for (int i = 0; i < count && !stopping_; ++i) attend(events[static_cast<std::size_t>(i)].data.u64, round);
    if (count < static_cast<int>(kEvents)) break;
    may_sleep = false;
  }
  if (owing_ > 0) attend_to_debts(round);
  return round;
}

void EchoThread::attend(std::uint64_t id, Round& round) {
  if (id == kWakeId) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);
    return;
  }
  const NestingLock lock(watches_mutex_);
  const auto found = watches_.find(id);
  if (found != watches_.end()) attend(*found->second, round);
}

void EchoThread::attend_to_debts(Round& round) {
  const NestingLock lock(watches_mutex_);
  for (auto it = watches_.begin(); it != watches_.end() && !stopping_;) {
    Watch& watch = *(it++)->second;
    if (watch.owes_) attend(watch, round);
  }
}

void EchoThread::attend(Watch& watch, Round& round) {
  round.found = true;
  if (std::exchange(watch.round_, round.number) == round.number) return;
  const std::uint32_t looks = watch.looks_.load(std::memory_order_relaxed);
  if (std::exchange(watch.noted_, looks) != looks) return;  // it is on time, as far as we know
  try {
    if (watch.stand_in_()) round.helped = true;
  } catch (const std::exception&) {  // no memory: the control thread will do it
  }
}

/// Ends early only if the thread is to end.
void EchoThread::pause(Milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (!stopping_) {
    const auto left = std::chrono::ceil<Milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return;
    pollfd waiting{wake_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return;
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);
  }
}

}  // namespace vswitch::control
