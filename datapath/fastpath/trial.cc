// SPDX-License-Identifier: Apache-2.0
#include "datapath/fastpath/trial.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace vswitch::fastpath {

namespace {

constexpr int kPatienceMs = 200;
constexpr std::size_t kFrameLength = 60;
constexpr std::array<std::uint8_t, 2> kEtherType{0x88, 0xb5};  // local experimental (IEEE 802)

[[noreturn]] void refuse(const std::string& what, int error = errno) {
  throw std::runtime_error("the fast path cannot be tried out: " + what + ": " + std::strerror(error));
}

}  // namespace

/// A thread of its own makes the namespace, which lives as long as the taps and the socket in it. That takes
/// CAP_SYS_ADMIN, which the daemon usually has given up: then the taps are in the host's namespace for a moment.
Trial::Trial(int filter, int ingress) {
  std::exception_ptr failure;
  std::thread([&] {
    try {
      if (::unshare(CLONE_NEWNET) != 0 && errno != EPERM) refuse("no network namespace");
      set_up(filter, ingress);
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

void Trial::set_up(int filter, int ingress) {
  const UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    Device& device = devices_[i];
    device.tap = UniqueFd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!device.tap) refuse("/dev/net/tun");
    ifreq request{};
    std::strcpy(request.ifr_name, "vs-trial%d");  // the kernel picks a number, and returns the name
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (::ioctl(device.tap.get(), TUNSETIFF, &request) != 0) refuse("no tap device");
    // The host has nothing to say there.
    std::ofstream("/proc/sys/net/ipv6/conf/" + std::string(request.ifr_name) + "/disable_ipv6") << "1\n";
    request.ifr_flags = IFF_UP;
    if (::ioctl(any.get(), SIOCSIFFLAGS, &request) != 0) refuse("a tap device does not go up");
    device.ifindex = if_nametoindex(request.ifr_name);
  }
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = static_cast<int>(ifindex(0));
  hook.attach_point = BPF_TC_INGRESS;
  if (const int error = bpf_tc_hook_create(&hook); error != 0) refuse("no clsact", -error);
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.prog_fd = ingress;
  if (const int error = bpf_tc_attach(&hook, &options); error != 0) refuse("no tc filter", -error);

  socket_ = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_) refuse("no packet socket");
  if (::setsockopt(socket_.get(), SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof filter) != 0)
    refuse("no socket filter");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(ifindex(0));
  if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    refuse("no packet socket on the device");
}

void Trial::arrives(const MacAddr& dst, const MacAddr& src) {
  std::array<std::uint8_t, kFrameLength> frame{};
  std::copy(dst.octets.begin(), dst.octets.end(), frame.begin());
  std::copy(src.octets.begin(), src.octets.end(), frame.begin() + 6);
  std::copy(kEtherType.begin(), kEtherType.end(), frame.begin() + 12);
  if (::write(devices_[0].tap.get(), frame.data(), frame.size()) < 0) refuse("no frame on a tap device");
}

std::optional<MacAddr> Trial::source_of_next() {
  const int tap = devices_[1].tap.get();
  pollfd waiting{.fd = tap, .events = POLLIN, .revents = 0};
  while (::poll(&waiting, 1, kPatienceMs) > 0) {
    std::array<std::uint8_t, 2048> frame;
    const ssize_t length = ::read(tap, frame.data(), frame.size());
    if (length < 0) break;
    // The host's own frames leave there too, such as those of IPv6.
    if (length != kFrameLength || !std::equal(kEtherType.begin(), kEtherType.end(), frame.begin() + 12))
      continue;
    MacAddr source;
    std::copy_n(frame.begin() + 6, source.octets.size(), source.octets.begin());
    return source;
  }
  return std::nullopt;
}

}  // namespace vswitch::fastpath
