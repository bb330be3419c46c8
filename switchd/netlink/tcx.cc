// SPDX-License-Identifier: Apache-2.0
#include "switchd/netlink/tcx.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace vswitch::netlink {

namespace {

// Newer than the kernel headers of Debian 12.
constexpr std::uint32_t kTcxIngress = 46;  // BPF_TCX_INGRESS
constexpr std::uint32_t kTcxEgress = 47;   // BPF_TCX_EGRESS
// The kernel writes as far as its own `query` goes (`revision`), whatever length it is told.
constexpr std::size_t kQueryOfTheKernel = 64;
static_assert(sizeof(bpf_attr) >= kQueryOfTheKernel);

}  // namespace

bool has_tcx_program(int ifindex, TcxHook hook) {
  bpf_attr question;
  std::memset(&question, 0, sizeof question);
  question.query.target_fd = static_cast<std::uint32_t>(ifindex);  // target_ifindex
  question.query.attach_type = hook == TcxHook::ingress ? kTcxIngress : kTcxEgress;
  if (::syscall(SYS_bpf, BPF_PROG_QUERY, &question, kQueryOfTheKernel) != 0) return false;
  return question.query.prog_cnt != 0;
}

}  // namespace vswitch::netlink
