// SPDX-License-Identifier: Apache-2.0
#include "datapath/port/af_packet_receive.h"

#include <net/if_arp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <system_error>
#include <utility>

#include "datapath/base/background.h"
#include "datapath/port/af_packet_socket.h"
#include "datapath/port/vnet_header.h"

namespace vswitch::af_packet {

namespace {

constexpr std::size_t kBusyBatch = kBatchSize / 2;  // a port with this many frames waiting is busy

/// How long after a handover the old ring may still be written to, by CPUs that were in the middle of it. In
/// a virtual machine such a CPU may be preempted for a while; the new ring has room for 2 ms meanwhile.
constexpr std::chrono::microseconds kOnTheirWay{300};

TimeNs now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec * kSecondNs + time.tv_nsec;
}

}  // namespace

Receiver::Receiver(const AfPacketOptions& options)
    : name_(options.name),
      ifindex_(options.ifindex),
      filter_(options.filter),
      full_size_(full_size(options)),
      arena_(std::make_unique_for_overwrite<std::uint8_t[]>(options.arena_bytes)),
      arena_size_(options.arena_bytes),
      poll_(::epoll_create1(EPOLL_CLOEXEC)),
      ring_(options.stock != nullptr ? options.stock->impl().take(first_size(options), options.name)
                                     : Ring(first_size(options), options.name)) {
  if (options.outgoing) {
    ring_.begin_outgoing(ifindex_, name_);
  } else {
    ring_.begin(ifindex_, filter_, name_);
    require_ethernet();
    ring_.make_promiscuous(ifindex_, name_);
  }
  if (!poll_ || !watch(ring_)) fail("cannot poll " + name_);
}

std::size_t Receiver::receive(std::span<RawFrame> into) {
  if (repairing_or_in_use_.test_and_set(std::memory_order_acquire)) return 0;
  std::size_t count = 0;
  arena_used_ = 0;
  since_1970_ = now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC);
  if (larger_.valid()) begin_handover();
  while (count < into.size() && take(into[count])) ++count;
  if (count == 0 && successor_ && handed_over_ + kOnTheirWay < std::chrono::steady_clock::now()) {
    const MutexLock lock(ring_changes_);
    end_handover();
    while (count < into.size() && take(into[count])) ++count;
  }
  if (count >= kBusyBatch) ask_for_larger();
  if (count == 0) {
    // A device that went down leaves ENETDOWN on the socket: EPOLLERR until it is fetched. Only the second
    // empty call in a row fetches it, so that emptying a ring costs no system call.
    if (last_was_empty_) clear_error();
    repairing_or_in_use_.clear(std::memory_order_release);
  }
  last_was_empty_ = count == 0;
  return count;
}

void Receiver::release() {
  for (; oldest_ != next_; oldest_ = after(oldest_)) set_status(oldest_, TP_STATUS_KERNEL);
  repairing_or_in_use_.clear(std::memory_order_release);
}

bool Receiver::is_drained() const {
  if (repairing_or_in_use_.test_and_set(std::memory_order_acquire)) return false;
  const bool drained = !successor_ && ring_.memory() != nullptr && (status(next_) & TP_STATUS_USER) == 0;
  repairing_or_in_use_.clear(std::memory_order_release);
  return drained;
}

std::size_t Receiver::most_waiting() const {
  if (repairing_or_in_use_.test_and_set(std::memory_order_acquire)) return 0;
  const std::size_t most = successor_ ? 0 : ring_.size().slots;
  repairing_or_in_use_.clear(std::memory_order_release);
  return most;
}

std::size_t Receiver::memory() {
  const MutexLock lock(ring_changes_);
  return ring_.memory() == nullptr ? 0 : ring_.size().bytes();
}

std::uint64_t Receiver::overruns() {
  const MutexLock lock(ring_changes_);
  poll_handover();
  const tpacket_stats stats = count_overruns();
  if ((stats.tp_drops != 0 && stats.tp_packets == stats.tp_drops) || without_ring_) repair_if_stuck();
  return overruns_;
}

tpacket_stats Receiver::count_overruns() {
  tpacket_stats stats{};
  socklen_t length = sizeof stats;
  // Reading clears the kernel's counters. tp_packets includes tp_drops.
  if (::getsockopt(ring_.socket().get(), SOL_PACKET, PACKET_STATISTICS, &stats, &length) != 0) return {};
  overruns_ += stats.tp_drops;
  return stats;
}

bool Receiver::watch(const Ring& ring) const {
  epoll_event event{};
  event.events = EPOLLIN;
  return ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, ring.socket().get(), &event) == 0;
}

/// Requests the full ring. If it cannot be created, the port keeps its ring, counts its losses and retries
/// later.
void Receiver::ask_for_larger() {
  if (larger_.valid() || successor_ || ring_.size() == full_size_) return;
  if (batches_before_asking_ > 0 && --batches_before_asking_ > 0) return;
  batches_before_asking_ = kBatchesBeforeRetrying;  // if this fails
  larger_ = in_background([this]() -> std::optional<Ring> {
    try {
      Ring ring(full_size_, name_);
      ring.stand_by(ring_, ifindex_, filter_, name_);
      ring.make_promiscuous(ifindex_, name_);
      return ring;
    } catch (const std::system_error&) {
      return std::nullopt;
    }
  });
}

void Receiver::begin_handover() {
  if (!is_ready(larger_)) return;
  successor_ = larger_.get();
  if (!successor_ || !watch(*successor_) || !ring_.hand_over_to_second()) return successor_.reset();
  handed_over_ = std::chrono::steady_clock::now();
}

/// A stuck ring never wakes the worker, so receive() would not find out that the new ring is ready.
void Receiver::poll_handover() {
  if (repairing_or_in_use_.test_and_set(std::memory_order_acquire)) return;
  if (larger_.valid()) begin_handover();
  const bool is_empty =
      oldest_ == next_ && ring_.memory() != nullptr && (status(next_) & TP_STATUS_USER) == 0;
  if (successor_ && is_empty && handed_over_ + kOnTheirWay < std::chrono::steady_clock::now()) end_handover();
  repairing_or_in_use_.clear(std::memory_order_release);
}

/// The old ring is empty; ring_changes_ is held. Closing it takes the kernel as long as creating one, so a
/// background thread does it.
void Receiver::end_handover() {
  ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, ring_.socket().get(), nullptr);
  count_overruns();
  ring_ = std::move(*successor_);  // swaps the two
  next_ = oldest_ = 0;
  closing_ = in_background([old = std::move(*successor_)]() mutable { const Ring gone = std::move(old); });
  successor_.reset();
}

// The kernel writes the status last and reads it first, on another CPU.
std::uint32_t Receiver::status(std::size_t slot) const {
  return std::atomic_ref<std::uint32_t>(header(slot).tp_status).load(std::memory_order_acquire);
}

void Receiver::set_status(std::size_t slot, std::uint32_t value) const {
  std::atomic_ref<std::uint32_t>(header(slot).tp_status).store(value, std::memory_order_release);
}

void Receiver::require_ethernet() const {
  sockaddr_ll address{};
  socklen_t length = sizeof address;
  ::getsockname(ring_.socket().get(), reinterpret_cast<sockaddr*>(&address), &length);
  if (address.sll_hatype == ARPHRD_ETHER) return;
  throw std::system_error(std::make_error_code(std::errc::not_supported),
                          name_ + " is not an Ethernet device");
}

/// Takes the next waiting frame. False if there is none, or if the arena has no room for it in this batch.
bool Receiver::take(RawFrame& frame) {
  if (ring_.memory() == nullptr) return false;
  const std::uint32_t state = status(next_);
  if ((state & TP_STATUS_USER) == 0) return false;
  const tpacket2_hdr& head = header(next_);
  const std::uint8_t* data = slot_memory(next_) + head.tp_mac;
  VnetHeader vnet;
  std::memcpy(&vnet, data - sizeof vnet, sizeof vnet);

  frame = RawFrame{};
  if ((state & TP_STATUS_COPY) != 0) {
    if (!take_from_queue(frame, head.tp_len)) return false;
  } else {
    frame.bytes = {data, head.tp_snaplen};
    frame.truncated = head.tp_snaplen < head.tp_len;  // too long for the slot, and the queue was full
  }
  frame.offload = offload_from_vnet_header(vnet);
  frame.arrived = head.tp_sec * kSecondNs + head.tp_nsec - since_1970_;
  if ((state & TP_STATUS_VLAN_VALID) != 0) {
    const bool has_tpid = (state & TP_STATUS_VLAN_TPID_VALID) != 0;
    frame.stripped_tag = VlanTag{has_tpid ? head.tp_vlan_tpid : kTpid8021Q, head.tp_vlan_tci};
  }
  next_ = after(next_);
  return true;
}

/// The slot holds only the beginning of the frame (and its offload and tag); the whole frame waits in the
/// socket's queue, in the order of the slots.
bool Receiver::take_from_queue(RawFrame& frame, std::size_t length) {
  if (length > arena_size_ - arena_used_ && arena_used_ != 0) return false;  // in the next batch
  const std::span<std::uint8_t> room = std::span(arena_.get(), arena_size_).subspan(arena_used_);
  VnetHeader vnet;
  iovec parts[2] = {{&vnet, sizeof vnet}, {room.data(), room.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  ssize_t received = -1;
  do {
    received = ::recvmsg(ring_.socket().get(), &message, MSG_DONTWAIT);
  } while (received < 0 &&
           (errno == ENETDOWN || errno == EINTR));  // a pending error is reported once, ahead of the data
  const std::size_t bytes =
      received < static_cast<ssize_t>(sizeof vnet) ? 0 : static_cast<std::size_t>(received) - sizeof vnet;
  frame.bytes = room.first(bytes);
  frame.truncated = bytes != length;
  arena_used_ += bytes;
  return true;
}

void Receiver::clear_error() const {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(ring_.socket().get(), SOL_SOCKET, SO_ERROR, &error, &length);
}

/// A frame with a kind of segmentation that struct virtio_net_hdr cannot express (UFO from a virtual machine,
/// SCTP; UDP before Linux 6.2) makes tpacket_rcv() give up between claiming the slot and filling it. The slot
/// stays claimed, and the ring never accepts another frame (net/packet/af_packet.c, label drop_n_account).
/// The symptom is drops without a single accepted frame while the ring is empty. The remedy is a new ring.
void Receiver::repair_if_stuck() {
  if (repairing_or_in_use_.test_and_set(std::memory_order_acquire)) return;
  const bool changes = larger_.valid() || successor_;  // the group relies on their order
  if (!changes && oldest_ == next_ && ring_.memory() != nullptr && (status(next_) & TP_STATUS_USER) == 0) {
    ring_.drop();
    next_ = oldest_ = 0;
  }
  if (ring_.memory() == nullptr) without_ring_ = !ring_.map();  // empties the socket's queue as well
  repairing_or_in_use_.clear(std::memory_order_release);
}

}  // namespace vswitch::af_packet
