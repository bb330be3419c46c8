// SPDX-License-Identifier: Apache-2.0
#include "switchd/netlink/isolation_owner.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

namespace vswitch::netlink {
namespace {

constexpr std::size_t kNameLength = 250;  // CLS_BPF_NAME_LEN is 256

/// Start time of this process (proc(5), /proc/PID/stat field 22).
std::uint64_t start_time() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(')');  // field 2 may contain anything
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  return fields ? std::stoull(field) : 0;
}

std::uint64_t pid_namespace() {
  struct stat status {};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

/// Calls bind() or connect().
int with_name_of(const IsolationOwner& owner, int socket, int (*call)(int, const sockaddr*, socklen_t)) {
  const std::string name = "vswitch pid=" + std::to_string(owner.pid) +
                           " start=" + std::to_string(owner.start) + " pidns=" + std::to_string(owner.pidns);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path + 1, sizeof address.sun_path - 1);  // an abstract name begins with NUL
  return call(socket, reinterpret_cast<const sockaddr*>(&address),
              static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size()));
}

UniqueFd datagram_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) throw std::system_error(errno, std::generic_category(), "cannot open a unix socket");
  return fd;
}

}  // namespace

IsolationOwner IsolationOwner::of_this_process(std::string rundir) {
  IsolationOwner self;
  self.pid = ::getpid();
  self.start = start_time();
  self.pidns = pid_namespace();
  self.rundir = std::move(rundir);
  return self;
}

std::string IsolationOwner::to_string() const {
  std::ostringstream text;
  text << "vswitch pid=" << pid << " start=" << start << " pidns=" << pidns
       << " clsact=" << (made_clsact ? "made" : "found") << " rundir=" << rundir;
  return text.str().substr(0, kNameLength);
}

std::optional<IsolationOwner> IsolationOwner::parse(const std::string& text) {
  IsolationOwner owner;
  char clsact[8] = "";
  int rundir_at = 0;
  const int fields = std::sscanf(text.c_str(), "vswitch pid=%ld start=%lu pidns=%lu clsact=%5s rundir=%n",
                                 &owner.pid, &owner.start, &owner.pidns, clsact, &rundir_at);
  if (fields != 4 || rundir_at == 0) return std::nullopt;
  owner.made_clsact = std::string(clsact) == "made";
  owner.rundir = text.substr(static_cast<std::size_t>(rundir_at));
  return owner;
}

SignOfLife::SignOfLife(const IsolationOwner& self) : held_(datagram_socket()), probe_(datagram_socket()) {
  if (with_name_of(self, held_.get(), ::bind) != 0 &&
      errno != EADDRINUSE)  // another object of this process has it
    throw std::system_error(errno, std::generic_category(),
                            "cannot bind the socket that shows that the daemon lives");
}

bool SignOfLife::lives(const IsolationOwner& owner) const {
  return with_name_of(owner, probe_.get(), ::connect) == 0 || errno != ECONNREFUSED;
}

}  // namespace vswitch::netlink
