// SPDX-License-Identifier: Apache-2.0
// Lock and thread rules that the compiler checks (clang's -Wthread-safety, run by `./dev lint`): a
// declaration states who may access a member or call a function, and code that breaks the rule fails the
// check.
//
//     Mutex mutex_;
//     std::map<...> requests_ GUARDED_BY(mutex_);       // touched only while mutex_ is held
//     void expire() REQUIRES(mutex_);                   // to be called only while mutex_ is held
//     void publish(...) REQUIRES(roles::control);       // to be called on the control thread only
//
// A thread is a capability too (ThreadRole): a thread's main function takes the role (RoleScope), and
// functions that belong to the thread require it. clang cannot follow some calls: those of callbacks, and of
// methods that implement an interface. Such a function starts with assert_held(), which sanitized builds
// check at run time. To clang every lambda is a function of its own; one that is called on the spot (a
// predicate) has a REQUIRES like any other function. What constructors and destructors do is not checked.
//
// Other compilers ignore the annotations. The macros are those of the page "Thread Safety Analysis" of
// clang's manual.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>

#if defined(__clang__)
#define VSWITCH_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define VSWITCH_THREAD_ANNOTATION(x)
#endif

#define CAPABILITY(name) VSWITCH_THREAD_ANNOTATION(capability(name))
#define SCOPED_CAPABILITY VSWITCH_THREAD_ANNOTATION(scoped_lockable)
#define GUARDED_BY(capability) VSWITCH_THREAD_ANNOTATION(guarded_by(capability))
#define PT_GUARDED_BY(capability) VSWITCH_THREAD_ANNOTATION(pt_guarded_by(capability))
#define REQUIRES(...) VSWITCH_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) VSWITCH_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) VSWITCH_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASE(...) VSWITCH_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) VSWITCH_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define ASSERT_CAPABILITY(capability) VSWITCH_THREAD_ANNOTATION(assert_capability(capability))

namespace vswitch {

/// std::mutex, as a capability. Any thread.
class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }
  bool try_lock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }

 private:
  std::mutex mutex_;
};

/// A mutex that its holder may take again, in calls that clang does not follow. One thread may hold several and wait
/// for another with lock(), in any order; every other thread has to use try_lock() while it holds one. So nobody waits
/// in a circle. (With std::recursive_mutex the same is true, but ThreadSanitizer knows only the order of locks.)
class CAPABILITY("mutex") NestingMutex {
 public:
  void lock() ACQUIRE() {
    while (!try_lock()) {
      const std::thread::id holder = holder_.load(std::memory_order_relaxed);
      if (holder != std::thread::id()) holder_.wait(holder);
    }
  }
  void unlock() RELEASE() {
    if (--depth_ != 0) return;
    holder_.store(std::thread::id());  // in order with notify_one()'s look at who waits
    holder_.notify_one();
  }
  bool try_lock() TRY_ACQUIRE(true) {
    const std::thread::id self = std::this_thread::get_id();
    std::thread::id nobody;
    if (holder_.load(std::memory_order_relaxed) != self &&
        !holder_.compare_exchange_strong(nobody, self, std::memory_order_acquire, std::memory_order_relaxed))
      return false;
    ++depth_;
    return true;
  }

 private:
  std::atomic<std::thread::id> holder_{std::thread::id()};
  std::uint32_t depth_ = 0;  // of the holder
};

/// Holds a NestingMutex until the end of the block.
class SCOPED_CAPABILITY NestingLock {
 public:
  explicit NestingLock(NestingMutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  /// Takes over a mutex that try_lock() has already locked.
  NestingLock(NestingMutex& mutex, std::adopt_lock_t) REQUIRES(mutex) : mutex_(mutex) {}
  ~NestingLock() RELEASE() { mutex_.unlock(); }
  NestingLock(const NestingLock&) = delete;
  NestingLock& operator=(const NestingLock&) = delete;

 private:
  NestingMutex& mutex_;
};

/// Holds a Mutex until the end of the block.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  /// Takes over a mutex that try_lock() has already locked.
  MutexLock(Mutex& mutex, std::adopt_lock_t) REQUIRES(mutex) : mutex_(mutex) {}
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

/// The role of a thread. A single-threaded program (a test) has none, and may then do what any role may.
class CAPABILITY("role") ThreadRole {
 public:
  /// For functions whose callers clang cannot follow.
  void assert_held() const ASSERT_CAPABILITY(this) { assert(current_ == this || current_ == nullptr); }

 private:
  friend class RoleScope;
  static inline thread_local const ThreadRole* current_ = nullptr;
};

namespace roles {
/// The thread of the event loop: settings, clients, devices. The only one that publishes snapshots.
inline ThreadRole control;
/// Threads that receive, decide and send production frames.
inline ThreadRole worker;
/// Threads that send copies.
inline ThreadRole mirror;
/// The thread that answers `echo` in place of the control thread when that is late.
inline ThreadRole echo;
/// Threads that wait for the kernel or the disk. Nothing requires this role: a helper may do what any thread
/// may, and is not taken for the thread that started it.
inline ThreadRole helper;
}  // namespace roles

/// The calling thread has the role, and no other, until the end of the block.
class SCOPED_CAPABILITY RoleScope {
 public:
  explicit RoleScope(ThreadRole& role) ACQUIRE(role) : before_(std::exchange(ThreadRole::current_, &role)) {}
  ~RoleScope() RELEASE() { ThreadRole::current_ = before_; }
  RoleScope(const RoleScope&) = delete;
  RoleScope& operator=(const RoleScope&) = delete;

 private:
  const ThreadRole* const before_;
};

}  // namespace vswitch
