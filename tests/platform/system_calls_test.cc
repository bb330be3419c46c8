// SPDX-License-Identifier: Apache-2.0
// The filter of system calls in this kernel: what it leaves, what it refuses and what it ends. Not in a sanitized build,
// which has none.
#include "switchd/base/system_calls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <thread>

namespace vswitch::platform {
namespace {

using system_calls::Filter;

/// The status of a child that does `act` under the filter: 0 if that returns true.
int status_under(Filter filter, const std::function<bool()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(2);
    system_calls::restrict_to_those_of_a_switch(filter);
    ::_exit(act() ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

bool is_killed(int status) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

bool starts_a_program() {
  char path[] = "/bin/true";
  char* arguments[] = {path, nullptr};
  ::execve(path, arguments, nullptr);
  return true;
}

class SystemCalls : public testing::TestWithParam<Filter> {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitized build has no filter";
#endif
  }
};

TEST_P(SystemCalls, LeaveThreadsFilesAndSockets) {
  EXPECT_EQ(status_under(GetParam(),
                         [] {
                           int seen = 0;
                           std::thread([&seen] { seen = 1; }).join();
                           const int file = ::open("/proc/self/stat", O_RDONLY);
                           const int link = ::socket(AF_NETLINK, SOCK_RAW, 0);
                           return seen == 1 && file >= 0 && link >= 0;
                         }),
            0);
}

TEST_P(SystemCalls, EndWhoeverStartsAProgram) {
  EXPECT_TRUE(is_killed(status_under(GetParam(), starts_a_program)));
}

TEST_P(SystemCalls, EndWhoeverEntersAnotherNamespace) {
  EXPECT_TRUE(is_killed(status_under(GetParam(), [] { return ::unshare(0) == 0; })));
}

/// libsystemd asks for it, and has another way.
TEST_P(SystemCalls, SayThatThereIsNoMemoryFile) {
  EXPECT_EQ(
      status_under(GetParam(), [] { return ::syscall(SYS_memfd_create, "x", 0) < 0 && errno == ENOSYS; }), 0);
}

TEST_P(SystemCalls, HoldForThreadsThatAreThereAlready) {
  const int status = status_under(GetParam(), [] { return true; });
  EXPECT_EQ(status, 0);
  const pid_t child = ::fork();
  if (child == 0) {
    int ends[2];
    if (::pipe(ends) != 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(2);
    std::thread other([&ends] {
      char byte = 0;
      if (::read(ends[0], &byte, 1) == 1) starts_a_program();
    });
    system_calls::restrict_to_those_of_a_switch(GetParam());
    if (::write(ends[1], "x", 1) != 1) ::_exit(3);
    other.join();
    ::_exit(0);
  }
  int ended = 0;
  ASSERT_EQ(::waitpid(child, &ended, 0), child);
  EXPECT_TRUE(is_killed(ended)) << ended;
}

INSTANTIATE_TEST_SUITE_P(Both, SystemCalls, testing::Values(Filter::on, Filter::strict),
                         [](const auto& filter) { return filter.param == Filter::on ? "On" : "Strict"; });

class SystemCallsOn : public SystemCalls {};

TEST_P(SystemCallsOn, RefuseTheRestWithAnError) {
  EXPECT_EQ(status_under(GetParam(), [] { return ::syscall(SYS_msgget, 0, 0) < 0 && errno == ENOSYS; }), 0);
  EXPECT_EQ(
      status_under(GetParam(), [] { return ::socket(AF_VSOCK, SOCK_STREAM, 0) < 0 && errno == ENOSYS; }), 0);
  EXPECT_EQ(status_under(GetParam(),
                         [] {
                           return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
                                  errno == ENOSYS;
                         }),
            0);
}

INSTANTIATE_TEST_SUITE_P(Mode, SystemCallsOn, testing::Values(Filter::on));

class SystemCallsStrict : public SystemCalls {};

TEST_P(SystemCallsStrict, EndWhoeverAsksForTheRest) {
  EXPECT_TRUE(is_killed(status_under(GetParam(), [] { return ::syscall(SYS_msgget, 0, 0) < 0; })));
}

INSTANTIATE_TEST_SUITE_P(Mode, SystemCallsStrict, testing::Values(Filter::strict));

}  // namespace
}  // namespace vswitch::platform
