// SPDX-License-Identifier: Apache-2.0
#include "datapath/port/af_packet_ring.h"

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "datapath/base/background.h"
#include "datapath/base/socket_buffer.h"
#include "datapath/port/af_packet_socket.h"

namespace vswitch::af_packet {

namespace {

/// Contiguous kernel memory: order 3, available even when memory is scarce.
constexpr std::size_t kRingBlock = 32 * 1024;

/// PACKET_FANOUT_FLAG_IGNORE_OUTGOING: older kernels ignore it, and older headers do not have it.
constexpr std::uint32_t kFanoutIgnoresOutgoing = 0x4000;
constexpr auto kPacketType = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE);

}  // namespace

RingSize first_size(const AfPacketOptions& options) {
  return {options.first_slots, options.first_slot_size, options.queue_bytes};
}
RingSize full_size(const AfPacketOptions& options) {
  return {options.slots, options.slot_size, options.queue_bytes};
}

Ring::Ring(const RingSize& size, const std::string& device) : size_(size), fd_(packet_socket(device)) {
  set_option(fd_, SOL_PACKET, PACKET_VERSION, TPACKET_V2, "cannot set TPACKET_V2 for " + device);
  set_option(fd_, SOL_PACKET, PACKET_COPY_THRESH, 1, "cannot set PACKET_COPY_THRESH for " + device);
  if (!set_receive_buffer(fd_.get(), size.queue_bytes)) fail("cannot set SO_RCVBUF for " + device);
  if (!map())
    fail("cannot allocate a receive ring of " + std::to_string(size.bytes()) + " bytes for " + device);
}

Ring::Ring(Ring&& other) noexcept
    : size_(other.size_), fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, nullptr)) {}
Ring& Ring::operator=(Ring&& other) noexcept {
  std::swap(size_, other.size_);
  std::swap(fd_, other.fd_);
  std::swap(memory_, other.memory_);
  return *this;
}

Ring::~Ring() {
  if (memory_ != nullptr) ::munmap(memory_, size_.bytes());
}

void Ring::begin(int ifindex, int filter, const std::string& device) {
  block_receive();  // until it is in the group
  bind_to(fd_, ifindex, ETH_P_ALL, device);
  // Before Linux 6.13 a device that is down cannot have a group (EINVAL): it gets one when the port is busy.
  if (!join(std::nullopt) && errno != EINVAL) fail("cannot set PACKET_FANOUT for " + device);
  hear(filter);
}

void Ring::begin_outgoing(int ifindex, const std::string& device) {
  std::array<sock_filter, 4> outgoing{{{BPF_LD | BPF_W | BPF_ABS, 0, 0, kPacketType},
                                       {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, PACKET_OUTGOING},
                                       {BPF_RET | BPF_K, 0, 0, 0},
                                       {BPF_RET | BPF_K, 0, 0, 0x40000}}};
  attach({outgoing.size(), outgoing.data()});
  bind_to(fd_, ifindex, ETH_P_ALL, device);
}

void Ring::stand_by(const Ring& before, int ifindex, int filter, const std::string& device) {
  if (!before.group() && !before.join(std::nullopt)) fail("cannot set PACKET_FANOUT for " + device);
  block_receive();
  bind_to(fd_, ifindex, ETH_P_ALL, device);
  if (!join(before.group())) fail("cannot set PACKET_FANOUT for " + device);
  drop();  // waits for all CPUs: none is still delivering from before the group
  if (!map()) fail("cannot allocate a larger receive ring for " + device);
  hear(filter);
}

bool Ring::hand_over_to_second() const {
  sock_filter second{BPF_RET | BPF_K, 0, 0, 1};
  const sock_fprog program{1, &second};
  return ::setsockopt(fd_.get(), SOL_PACKET, PACKET_FANOUT_DATA, &program, sizeof program) == 0;
}

void Ring::make_promiscuous(int ifindex, const std::string& device) const {
  packet_mreq promiscuous{};
  promiscuous.mr_ifindex = ifindex;
  promiscuous.mr_type = PACKET_MR_PROMISC;
  set_option(fd_, SOL_PACKET, PACKET_ADD_MEMBERSHIP, promiscuous, "cannot make " + device + " promiscuous");
}

bool Ring::map() {
  void* memory = MAP_FAILED;
  if (set(size_.bytes())) {
    memory = ::mmap(nullptr, size_.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  }
  memory_ = memory == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(memory);
  return memory_ != nullptr;
}

void Ring::drop() {
  ::munmap(memory_, size_.bytes());
  memory_ = nullptr;
  set(0);
}

bool Ring::join(std::optional<std::uint32_t> group) const {
  const std::uint32_t kind =
      PACKET_FANOUT_CBPF | kFanoutIgnoresOutgoing | (group ? 0 : PACKET_FANOUT_FLAG_UNIQUEID);
  const std::uint32_t argument = kind << 16 | group.value_or(0);
  return ::setsockopt(fd_.get(), SOL_PACKET, PACKET_FANOUT, &argument, sizeof argument) == 0;
}

std::optional<std::uint32_t> Ring::group() const {
  std::uint32_t argument = 0;
  socklen_t length = sizeof argument;
  if (::getsockopt(fd_.get(), SOL_PACKET, PACKET_FANOUT, &argument, &length) != 0 || argument == 0)
    return std::nullopt;  // the type of a group is not 0
  return argument & 0xffff;
}

void Ring::block_receive() const {
  sock_filter nothing{BPF_RET | BPF_K, 0, 0, 0};
  attach({1, &nothing});
}

void Ring::hear(int filter) const {
  if (filter >= 0) return set_option(fd_, SOL_SOCKET, SO_ATTACH_BPF, filter, "cannot set SO_ATTACH_BPF");
  std::array<sock_filter, 4> incoming{{{BPF_LD | BPF_W | BPF_ABS, 0, 0, kPacketType},
                                       {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PACKET_OUTGOING},
                                       {BPF_RET | BPF_K, 0, 0, 0},
                                       {BPF_RET | BPF_K, 0, 0, 0x40000}}};
  attach({incoming.size(), incoming.data()});
}

void Ring::attach(const sock_fprog& program) const {
  set_option(fd_, SOL_SOCKET, SO_ATTACH_FILTER, program, "cannot set SO_ATTACH_FILTER");
}

bool Ring::set(std::size_t bytes) {
  tpacket_req request{};
  request.tp_block_size = bytes == 0 ? 0 : static_cast<unsigned>(kRingBlock);
  request.tp_block_nr = static_cast<unsigned>(bytes / kRingBlock);
  request.tp_frame_size = bytes == 0 ? 0 : static_cast<unsigned>(size_.slot_size);
  request.tp_frame_nr = static_cast<unsigned>(bytes / size_.slot_size);
  return ::setsockopt(fd_.get(), SOL_PACKET, PACKET_RX_RING, &request, sizeof request) == 0;
}

}  // namespace vswitch::af_packet

namespace vswitch {

using af_packet::Ring;
using af_packet::RingSize;

namespace {

const RingSize kUsual = af_packet::first_size(AfPacketOptions{});

}  // namespace

Ring RingStock::Impl::take(const RingSize& size, const std::string& device) {
  if (size == kUsual) {
    if (std::optional<Ring> ring = take_spare()) return std::move(*ring);
  }
  return Ring(size, device);
}

std::optional<Ring> RingStock::Impl::take_spare() {
  const MutexLock lock(mutex_);
  if (spare_.valid() && !is_ready(spare_)) return std::nullopt;
  std::optional<Ring> ring = spare_.valid() ? spare_.get() : std::nullopt;
  refill();
  return ring;
}

void RingStock::Impl::refill() {
  spare_ = in_background([]() -> std::optional<Ring> {
    try {
      return Ring(kUsual, "the next port");
    } catch (const std::system_error&) {
      return std::nullopt;  // the port that needs a ring reports the error
    }
  });
}

RingStock::RingStock() : impl_(std::make_unique<Impl>()) {}
RingStock::~RingStock() = default;

}  // namespace vswitch
