// SPDX-License-Identifier: Apache-2.0
// Answers `echo`, and accepts clients, when the control thread is late.
//
// Some work of the control thread cannot be divided and takes seconds: a large transaction, the first answer of
// a monitor. Clients use `echo` to find out whether the daemon lives, and must not conclude from another
// client's request that it does not.
//
// So this thread watches the same sockets with an epoll instance of its own. It sleeps until one is ready, then
// gives the control thread kLateMs, and looks again: if the socket is still ready and the control thread has
// not looked at it since, it stands in. While the control thread is at work and on time, it looks only once in
// kPatrolMs: on a busy machine, each time that it wakes costs the others their place. What that means is the socket's business (connection.cc, listener.cc);
// it is never more than a few milliseconds of work. A control thread that is on time never notices: nobody else
// touches its sockets, and it makes no system call for this unless a client does not read.
//
//     a client      echo
//     control       transact of somebody else .....................|
//     this thread    | sleeps kLateMs | answers
//
// Why not a thread that always does the reading and writing: every request would wake two threads more.
// README.md has the figures.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "datapath/base/thread_annotations.h"
#include "datapath/base/unique_fd.h"

namespace vswitch::control {

class EchoThread {
 public:
  /// Starts the thread. Throws std::system_error.
  EchoThread();
  EchoThread(const EchoThread&) = delete;
  EchoThread& operator=(const EchoThread&) = delete;
  ~EchoThread();

  /// Ends the thread; sockets may still be watched, but nobody stands in for them any more. Control thread.
  void stop();
  bool is_this_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

  /// A socket under watch. Its members are called by whoever works on the socket, one thread at a time.
  class Watch {
   public:
    /// Does what can be done in place of the control thread; false if nothing.
    using StandIn = std::function<bool()>;

    /// Throws std::system_error. The control thread counts as late from the start if the echo thread is the
    /// caller: it has accepted the client.
    Watch(std::shared_ptr<EchoThread> thread, int fd, StandIn stand_in);
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    /// Waits until the thread has let go of the socket. The descriptor must still be open.
    ~Watch();

    /// The control thread looks at the socket.
    void looked() {
      looks_.fetch_add(1, std::memory_order_relaxed);
      thread_->looks_.fetch_add(1, std::memory_order_relaxed);
    }
    /// What the control thread waits for: input, or room for output.
    void expect(bool input, bool output);
    /// Whether it has input that it has read and not handled yet, so the socket may have nothing more to say.
    void owe(bool work);

   private:
    friend class EchoThread;

    const std::shared_ptr<EchoThread> thread_;
    const int fd_;
    const StandIn stand_in_;
    std::uint64_t id_ = 0;
    std::uint32_t events_ = 0;              // epoll's, as expected
    std::atomic<std::uint32_t> looks_ = 1;  // of the control thread
    std::atomic<bool> owes_ = false;
    std::uint32_t noted_ = 0;  // looks_ when the echo thread found the socket ready; the next two are its own
    std::uint64_t round_ = 0;  // in which it was found
  };

 private:
  using Milliseconds = std::chrono::milliseconds;
  struct Round {
    std::uint64_t number;
    bool found = false;   // something is ready
    bool helped = false;  // and was worked on
  };

  void run();
  Round look(bool may_sleep) REQUIRES(roles::echo);
  void attend(std::uint64_t id, Round& round) REQUIRES(roles::echo);
  void attend(Watch& watch, Round& round) REQUIRES(roles::echo, watches_mutex_);
  void attend_to_debts(Round& round) REQUIRES(roles::echo);
  void pause(Milliseconds time) REQUIRES(roles::echo);
  void wake();

  const UniqueFd epoll_;
  const UniqueFd wake_;  // an eventfd
  std::uint64_t rounds_ GUARDED_BY(roles::echo) = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> asleep_ = false;
  std::atomic<std::size_t> owing_ = 0;    // watches
  std::atomic<std::uint32_t> looks_ = 0;  // of the control thread at all of them

  /// Held while the thread works on a socket, too: so a watch can be destroyed.
  NestingMutex watches_mutex_;
  std::map<std::uint64_t, Watch*> watches_ GUARDED_BY(watches_mutex_);
  std::uint64_t last_id_ GUARDED_BY(watches_mutex_) = 0;

  std::thread thread_;
};

}  // namespace vswitch::control
