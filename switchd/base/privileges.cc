// SPDX-License-Identifier: Apache-2.0
#include "switchd/base/privileges.h"

#include <cap-ng.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "switchd/base/files.h"

namespace vswitch::privileges {
namespace {

constexpr const char* kUsualUser = "vswitch";
constexpr rlim_t kNiceOfAUsualProcess = 20;  // getrlimit(2): 20 - nice

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
};

[[noreturn]] void refuse(const std::string& what, int error) {
  throw std::runtime_error(what + ": " + std::strerror(error));
}

/// getpwnam(3) and its siblings, with as much memory as an entry takes.
template <typename Entry, typename Key>
std::optional<User> look_up(int (*function)(Key, Entry*, char*, std::size_t, Entry**), Key key,
                            User (*read)(const Entry&)) {
  std::vector<char> buffer(1024);
  for (;;) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = function(key, &entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (found == nullptr) return std::nullopt;
    return read(*found);
  }
}

User read_passwd(const passwd& entry) {
  return {entry.pw_uid, entry.pw_gid, entry.pw_name};
}

std::optional<User> user_called(const std::string& name) {
  return look_up<passwd, const char*>(::getpwnam_r, name.c_str(), read_passwd);
}

std::string name_of(uid_t uid) {
  const auto user = look_up<passwd, uid_t>(::getpwuid_r, uid, read_passwd);
  return user ? user->name : std::to_string(uid);
}

/// user_namespaces(7): the initial one maps every user to itself.
bool in_initial_user_namespace() {
  std::ifstream map("/proc/self/uid_map");
  unsigned long inside = 1, outside = 1, count = 0;
  return !(map >> inside >> outside >> count) || (inside == 0 && outside == 0 && count == 0xffffffff);
}

void raise_limits() {
  const auto raise = [](auto resource, rlim_t wanted) {
    rlimit limit{};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur >= wanted) return;
    const rlimit raised{.rlim_cur = wanted, .rlim_max = std::max(limit.rlim_max, wanted)};
    if (::setrlimit(resource, &raised) == 0) return;
    limit.rlim_cur = limit.rlim_max;  // as far as it goes
    ::setrlimit(resource, &limit);
  };
  raise(RLIMIT_MEMLOCK, RLIM_INFINITY);
  raise(RLIMIT_NICE, kNiceOfAUsualProcess);  // a mirror thread that was made nice takes its share again
}

std::optional<User> user_to_become(const Request& request) {
  if (::geteuid() != 0 || !in_initial_user_namespace()) return std::nullopt;
  if (!request.user.empty()) {
    const auto user = user_called(request.user);
    if (!user) throw std::runtime_error("no user \"" + request.user + "\" on this host");
    return user->uid == 0 ? std::nullopt : user;
  }
  struct stat directory {};
  if (::stat(request.directory.c_str(), &directory) != 0 || directory.st_uid == 0) return std::nullopt;
  const auto user = user_called(kUsualUser);
  return user && user->uid == directory.st_uid ? user : std::nullopt;
}

void give_directory(const std::string& path, const User& user) {
  struct stat there {};
  if (path.empty() || ::stat(path.c_str(), &there) == 0) return;
  if (const std::error_code error = make_directories(path))
    throw std::runtime_error("cannot make the directory " + path + ": " + error.message());
  if (::lchown(path.c_str(), user.uid, user.gid) != 0)
    refuse("cannot give the directory " + path + " to " + user.name, errno);
}

std::vector<gid_t> groups_of(const User& user) {
  int count = 16;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  while (::getgrouplist(user.name.c_str(), user.gid, groups.data(), &count) < 0)
    groups.resize(static_cast<std::size_t>(count));
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

std::vector<gid_t> groups_of_process() {
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  return groups;
}

/// Refused where groups cannot be set (user namespaces): a socket that cannot be given to the group says so later.
void join_groups(const std::optional<User>& user, const std::string& group) {
  std::vector<gid_t> groups = user ? groups_of(*user) : groups_of_process();
  const std::optional<gid_t> number = group.empty() ? std::nullopt : group_called(group);
  if (number) groups.push_back(*number);
  if (!user && !number) return;
  if (::setgroups(groups.size(), groups.data()) != 0 && user)
    refuse("cannot take the groups of " + user->name, errno);
}

bool has(unsigned capability) {
  return capng_have_capability(CAPNG_EFFECTIVE, capability) != 0;
}

void give_up_capabilities(const std::optional<User>& user) {
  std::vector<unsigned> kept;
  for (const Capability& capability : needed()) {
    if (has(capability.number)) kept.push_back(capability.number);
  }
  const bool may_bound = has(CAP_SETPCAP);
  capng_clear(CAPNG_SELECT_BOTH);
  for (const unsigned capability : kept)
    capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), capability);
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);  // EINVAL before Linux 4.3, which has none
  int refusal = 0;
  if (user) {
    refusal = capng_change_id(static_cast<int>(user->uid), static_cast<int>(user->gid), CAPNG_CLEAR_BOUNDING);
  } else {
    refusal = capng_apply(may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
  }
  if (refusal != 0)
    throw std::runtime_error("capabilities cannot be given up (libcap-ng: " + std::to_string(refusal) +
                             "); --confine off leaves them alone");
}

}  // namespace

const std::vector<Capability>& needed() {
  static const std::vector<Capability> all = {
      {"net_admin", CAP_NET_ADMIN, false,
       "devices cannot be set up, and internal ports and taps cannot be made"},
      {"net_raw", CAP_NET_RAW, false,
       "packet sockets cannot be opened: ports that are devices get no frames"},
      {"bpf", CAP_BPF, true,
       "the kernel takes no program: the host's stack also gets the frames of ports, and user space carries "
       "every frame"},
      // The verifier, seen with Linux 6.18: "R0 tried to add from different maps, paths or scalars, pointer
      // arithmetic with it prohibited for !root". It asks for this capability instead of a proof that no
      // speculative execution leaves a map.
      {"perfmon", CAP_PERFMON, true,
       "the kernel does not take the programs of the fast path: user space carries every frame"},
  };
  return all;
}

std::optional<gid_t> group_called(const std::string& name) {
  gid_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) return number;
  const struct group* entry = ::getgrnam(name.c_str());
  return entry == nullptr ? std::nullopt : std::optional(entry->gr_gid);
}

void confine(const Request& request) {
  if (capng_get_caps_process() != 0)
    throw std::runtime_error("the capabilities of this process cannot be read");
  raise_limits();
  const std::optional<User> user = user_to_become(request);
  if (user) {
    give_directory(request.rundir, *user);
    give_directory(request.directory, *user);
  }
  join_groups(user, request.group);
  give_up_capabilities(user);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) refuse("no_new_privs", errno);
}

State state() {
  State now;
  now.user = name_of(::geteuid());
  now.filtered = ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
  if (capng_get_caps_process() != 0) return now;
  for (unsigned capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    const char* name = capng_capability_to_name(capability);
    if (name != nullptr && has(capability)) now.capabilities.emplace_back(name);
  }
  return now;
}

std::vector<std::string> missing() {
  std::vector<std::string> sentences;
  if (capng_get_caps_process() != 0) return sentences;
  const bool on_the_host = in_initial_user_namespace();
  for (const Capability& capability : needed()) {
    const bool there = has(capability.number);
    if (there && (on_the_host || !capability.of_the_host)) continue;
    std::string name = std::string("CAP_") + capability.name;
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    sentences.push_back(name + (there ? " does not count in this user namespace: " : " is missing: ") +
                        capability.without);
  }
  return sentences;
}

}  // namespace vswitch::privileges
