// SPDX-License-Identifier: Apache-2.0
#include "datapath/port/copy_tap.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "datapath/port/af_packet_port.h"
#include "datapath/port/af_packet_receive.h"

namespace vswitch {

namespace {

constexpr std::size_t kSlots = 4096;                        // copies of 20 ms at 200,000 frames a second
constexpr std::size_t kSlotSize = 2048;                     // a frame of 1,518 bytes
constexpr std::size_t kQueueBytes = std::size_t{32} << 20;  // GSO packets

[[noreturn]] void refuse(const char* what, int error = errno) {
  throw std::runtime_error(std::string("no device for copies: ") + what + ": " + std::strerror(error));
}

/// The host is to send nothing there.
void keep_host_off(int socket, const ifreq& name) {
  std::ofstream("/proc/sys/net/ipv6/conf/" + std::string(name.ifr_name) + "/disable_ipv6") << "1\n";
  ifreq request = name;
  request.ifr_flags = IFF_UP | IFF_NOARP;
  if (::ioctl(socket, SIOCSIFFLAGS, &request) != 0) refuse("it does not go up");
}

}  // namespace

CopyTap::CopyTap(const std::string& name) : tap_(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)) {
  if (!tap_) refuse("/dev/net/tun");
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::copy_n(name.c_str(), std::min(name.size(), sizeof request.ifr_name - 1), request.ifr_name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (::ioctl(tap_.get(), TUNSETIFF, &request) != 0) refuse("TUNSETIFF");
  // Whole GSO packets with unfinished checksums, as ports get them: who needs it finishes them later.
  constexpr unsigned kOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (::ioctl(tap_.get(), TUNSETOFFLOAD, kOffloads) != 0) refuse("TUNSETOFFLOAD");
  sock_filter nothing{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog refuse_all{1, &nothing};
  if (::ioctl(tap_.get(), TUNATTACHFILTER, &refuse_all) != 0) refuse("TUNATTACHFILTER");
  ifindex_ = static_cast<int>(if_nametoindex(request.ifr_name));
  AfPacketOptions options{.name = request.ifr_name, .ifindex = ifindex_, .outgoing = true};
  options.slots = options.first_slots = kSlots;
  options.slot_size = options.first_slot_size = kSlotSize;
  options.queue_bytes = kQueueBytes;
  receiver_ = std::make_unique<af_packet::Receiver>(options);
  keep_host_off(socket.get(), request);
}

CopyTap::~CopyTap() = default;

int CopyTap::receive_fd() const {
  return receiver_->fd();
}
std::size_t CopyTap::receive(std::span<RawFrame> into) {
  return receiver_->receive(into);
}
void CopyTap::release() {
  receiver_->release();
}
bool CopyTap::is_drained() const {
  return receiver_->is_drained();
}
std::uint64_t CopyTap::overruns() {
  return receiver_->overruns();
}

}  // namespace vswitch
