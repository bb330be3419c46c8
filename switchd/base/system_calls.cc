// SPDX-License-Identifier: Apache-2.0
#include "switchd/base/system_calls.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>

namespace vswitch::system_calls {
namespace {

/// By what they are for. glibc chooses between siblings (open and openat, poll and ppoll) by version and machine.
constexpr std::initializer_list<const char*> kAllowed = {
    // frames, clients, the kernel's settings
    "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "read", "readv", "write", "writev",
    "bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername", "getsockopt",
    "setsockopt", "socketpair", "bpf", "ioctl",
    // waiting
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "timerfd_create", "timerfd_settime",
    "timerfd_gettime", "pipe", "pipe2", "futex", "futex_waitv", "nanosleep", "clock_nanosleep", "pause",
    "restart_syscall",
    // time
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times",
    // database, log, sockets in directories, /proc
    "open", "openat", "close", "close_range", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs",
    "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64",
    "lseek", "pread64", "pwrite64", "preadv", "pwritev", "ftruncate", "fallocate", "fsync", "fdatasync",
    "flock", "fcntl", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir",
    "mkdirat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "umask", "getcwd", "dup", "dup2",
    "dup3",
    // memory
    "munmap", "mremap", "madvise", "brk", "membarrier",
    // threads and their places
    "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "arch_prctl", "gettid", "getcpu",
    "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler",
    "getpriority", "setpriority", "exit", "exit_group",
    // signals
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "sigaltstack",
    // who and where we are
    "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid",
    "getrusage", "getrlimit", "sysinfo", "uname", "getrandom", "capget"};

/// No part of a switch, and no library of it, has a use for them; whoever asks has other plans.
constexpr std::initializer_list<const char*> kFatal = {"execve",
                                                       "execveat",
                                                       "fork",
                                                       "vfork",
                                                       "ptrace",
                                                       "process_vm_readv",
                                                       "process_vm_writev",
                                                       "kcmp",
                                                       "pidfd_getfd",
                                                       "capset",
                                                       "setuid",
                                                       "setgid",
                                                       "setreuid",
                                                       "setregid",
                                                       "setresuid",
                                                       "setresgid",
                                                       "setgroups",
                                                       "setfsuid",
                                                       "setfsgid",
                                                       "unshare",
                                                       "setns",
                                                       "mount",
                                                       "umount2",
                                                       "pivot_root",
                                                       "chroot",
                                                       "move_mount",
                                                       "open_tree",
                                                       "fsopen",
                                                       "fsmount",
                                                       "mount_setattr",
                                                       "mknod",
                                                       "mknodat",
                                                       "open_by_handle_at",
                                                       "init_module",
                                                       "finit_module",
                                                       "delete_module",
                                                       "kexec_load",
                                                       "kexec_file_load",
                                                       "reboot",
                                                       "swapon",
                                                       "swapoff",
                                                       "syslog",
                                                       "acct",
                                                       "quotactl",
                                                       "settimeofday",
                                                       "clock_settime",
                                                       "clock_adjtime",
                                                       "adjtimex",
                                                       "sethostname",
                                                       "setdomainname",
                                                       "iopl",
                                                       "ioperm",
                                                       "perf_event_open",
                                                       "userfaultfd",
                                                       "keyctl",
                                                       "add_key",
                                                       "request_key",
                                                       "personality",
                                                       "io_uring_setup",
                                                       "io_uring_enter",
                                                       "io_uring_register"};

constexpr std::initializer_list<int> kFamilies = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_XDP};

// Sanitizers look at the process from outside, by ptrace(2) and with helpers of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

class Rules {
 public:
  explicit Rules(Filter filter)
      : context_(::seccomp_init(filter == Filter::strict ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS))),
        filter_(filter) {
    if (!context_) throw std::runtime_error("no memory for the filter of system calls");
    set(SCMP_FLTATR_CTL_TSYNC, 1);  // all threads
    set(SCMP_FLTATR_CTL_SSB, 1);  // leaves the mitigation of speculative stores as it is (Linux before 5.16)
    set(SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a binary tree: the hot calls do not pass a hundred comparisons
  }

  void allow(const char* call) { add(SCMP_ACT_ALLOW, call); }
  template <typename... Compare>
  void allow_if(const char* call, const Compare&... compare) {
    add(SCMP_ACT_ALLOW, call, compare...);
  }
  /// What a library tries before it takes another way.
  void say_there_is_none(const char* call) {
    if (filter_ == Filter::strict) add(SCMP_ACT_ERRNO(ENOSYS), call);  // elsewhere all that is not allowed
  }
  void end_process(const char* call) {
    if (filter_ != Filter::strict) add(SCMP_ACT_KILL_PROCESS, call);
  }

  void load() {
    if (const int refusal = ::seccomp_load(context_.get()); refusal != 0)
      fail("the kernel does not take the filter of system calls", refusal);
  }

 private:
  [[noreturn]] static void fail(const std::string& what, int refusal) {
    throw std::runtime_error(what + ": " + std::strerror(-refusal) + "; --confine off goes without");
  }

  void set(scmp_filter_attr attribute, std::uint32_t value) {
    // An attribute that this kernel or library does not have makes no difference to what is allowed.
    const int refusal = ::seccomp_attr_set(context_.get(), attribute, value);
    if (refusal != 0 && attribute == SCMP_FLTATR_CTL_TSYNC)
      fail("system calls cannot be filtered for all threads", refusal);
  }

  template <typename... Compare>
  void add(std::uint32_t action, const char* call, const Compare&... compare) {
    const int number = ::seccomp_syscall_resolve_name(call);
    if (number == __NR_SCMP_ERROR) return;  // not on this machine, or newer than the library
    const int refusal = ::seccomp_rule_add(context_.get(), action, number, sizeof...(compare), compare...);
    if (refusal != 0) fail(std::string("the filter of system calls has no room for ") + call, refusal);
  }

  struct Release {
    void operator()(void* context) const { ::seccomp_release(context); }
  };
  std::unique_ptr<void, Release> context_;
  const Filter filter_;
};

scmp_arg_cmp is(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
/// Of the bits of `mask`, those of `value` are set.
scmp_arg_cmp has_bits(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

void add_sockets(Rules& rules) {
  for (const int family : kFamilies) rules.allow_if("socket", is(0, static_cast<std::uint64_t>(family)));
}

// Threads, and no processes. clone3(2) has its flags in memory, where no filter can read them: without it, glibc takes
// clone(2).
void add_threads(Rules& rules) {
  rules.say_there_is_none("clone3");
  rules.allow_if("clone", has_bits(0, CLONE_THREAD, CLONE_THREAD));
}

// No memory is made executable, and none can be written and executed. Libraries of the name service are loaded late.
void add_memory(Rules& rules) {
  for (const char* call : {"mmap", "mmap2"}) {
    rules.allow_if(call, has_bits(2, PROT_EXEC, 0));
    rules.allow_if(call, has_bits(2, PROT_EXEC | PROT_WRITE, PROT_EXEC));
  }
  rules.allow_if("mprotect", has_bits(2, PROT_EXEC, 0));
}

// sd_journal_sendv(3) puts an entry that no datagram holds into memory of its own, or else into a file in /dev/shm. Ours
// fit, unless the kernel is out of memory; then it is the file, or the entry is lost.
void add_journal(Rules& rules) {
  rules.say_there_is_none("memfd_create");
}

void add_process(Rules& rules) {
  const auto self = static_cast<std::uint64_t>(::getpid());
  for (const char* call : {"tgkill", "kill"}) rules.allow_if(call, is(0, self));  // abort(3)
  for (const int option : {PR_SET_NAME, PR_GET_NAME, PR_SET_TIMERSLACK, PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS,
                           PR_GET_DUMPABLE, PR_CAPBSET_READ, PR_CAP_AMBIENT, PR_GET_SECUREBITS})
    rules.allow_if("prctl", is(0, static_cast<std::uint64_t>(option)));
  rules.allow_if("prlimit64", is(0, 0));  // what it is; a raise of a hard limit takes CAP_SYS_RESOURCE
}

}  // namespace

void restrict_to_those_of_a_switch(Filter filter) {
  if (kSanitized) return;
  Rules rules(filter);
  for (const char* call : kAllowed) rules.allow(call);
  for (const char* call : kFatal) rules.end_process(call);
  add_sockets(rules);
  add_threads(rules);
  add_memory(rules);
  add_journal(rules);
  add_process(rules);
  rules.load();
}

}  // namespace vswitch::system_calls
