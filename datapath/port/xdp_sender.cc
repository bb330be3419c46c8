// SPDX-License-Identifier: Apache-2.0
#include "datapath/port/xdp_sender.h"

#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "datapath/base/background.h"
#include "datapath/base/socket_buffer.h"
#include "datapath/base/switch_mark.h"
#include "datapath/base/unique_fd.h"
#include "datapath/port/af_packet_port.h"
#include "datapath/port/device_query.h"

namespace vswitch {
namespace {

constexpr std::size_t kSlots = 64;             // frames in flight to the device
constexpr std::size_t kMaxFrameLength = 2048;  // bytes of a frame
constexpr std::size_t kLeastMtu = 68;          // smallest that a device may have (RFC 791)
constexpr std::size_t kEthernetHeader = 14;
constexpr std::uint32_t kBatchesBeforeOpening = 64;
constexpr std::uint32_t kBatchesBeforeRetrying = 4096;

#ifndef XDP_MAX_TX_SKB_BUDGET
constexpr int XDP_MAX_TX_SKB_BUDGET = 9;  // the headers are older than Linux 6.17
#endif

template <typename T>
bool set_option(const UniqueFd& fd, int level, int option, const T& value) {
  return ::setsockopt(fd.get(), level, option, &value, sizeof value) == 0;
}

/// Memory from mmap(2); empty if there is none.
class Mapping {
 public:
  Mapping() = default;
  /// Maps the memory of `socket` at `offset`, or anonymous memory if `socket` is -1.
  Mapping(std::size_t bytes, int socket, std::uint64_t offset = 0) : bytes_(bytes) {
    const int kind = socket < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kind, socket, static_cast<off_t>(offset));
    if (memory != MAP_FAILED) memory_ = static_cast<std::uint8_t*>(memory);
  }
  Mapping(Mapping&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping() {
    if (memory_ != nullptr) ::munmap(memory_, bytes_);
  }

  std::uint8_t* get() const { return memory_; }
  std::size_t bytes() const { return bytes_; }
  explicit operator bool() const { return memory_ != nullptr; }

 private:
  std::uint8_t* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A ring shared with the kernel. Each side counts entries without end, starting at 0, and writes only its
/// own count.
template <typename Entry>
class Ring {
 public:
  bool map(const UniqueFd& socket, std::uint64_t where, const xdp_ring_offset& offsets) {
    memory_ = Mapping(offsets.desc + kSlots * sizeof(Entry), socket.get(), where);
    offsets_ = offsets;
    return static_cast<bool>(memory_);
  }
  std::size_t bytes() const { return memory_.bytes(); }

  /// Entries put in, and entries taken out.
  std::atomic_ref<std::uint32_t> produced() const { return count_at(offsets_.producer); }
  std::atomic_ref<std::uint32_t> consumed() const { return count_at(offsets_.consumer); }
  Entry& at(std::uint32_t count) const {
    return reinterpret_cast<Entry*>(memory_.get() + offsets_.desc)[count % kSlots];
  }

 private:
  std::atomic_ref<std::uint32_t> count_at(std::uint64_t offset) const {
    return std::atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(memory_.get() + offset));
  }

  Mapping memory_;
  xdp_ring_offset offsets_{};
};

}  // namespace

/// A socket that sends from its own memory. One thread at a time.
class XdpSocket {
 public:
  /// Whether the kernel and the device support it. suits() and open() take the RTNL lock.
  ///
  /// Before Linux 6.17 the kernel reports accepted frames only once it has accepted all of them: some would
  /// be sent twice. The option for the budget of a system call came with that change, so it shows whether the
  /// change is there. On a second queue of the device, frames would overtake those sent by packet socket. And
  /// even in copy mode some drivers are given the memory itself (IFF_TX_SKB_NO_LINEAR); veth is known not to
  /// be one of them.
  static bool suits(int ifindex) {
    const UniqueFd asking(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (driver_of(asking.get(), ifindex) != "veth" || send_queues_of(asking.get(), ifindex) != 1)
      return false;
    XdpSocket socket;
    return !socket.prepare() || socket.set_budget();
  }
  /// Null if it cannot be opened at present.
  static std::unique_ptr<XdpSocket> open(int ifindex) {
    std::unique_ptr<XdpSocket> socket(new XdpSocket);
    const bool opened = socket->prepare() && socket->set_budget() && socket->attach(ifindex);
    return opened ? std::move(socket) : nullptr;
  }

  std::size_t memory() const { return slots_.bytes() + to_send_.bytes() + sent_.bytes(); }

  /// Sends the first frames and sets their outcomes: no_buffers if the device dropped a frame, for which it
  /// gives no reason. The frames must be finished and fit the device (which is not checked here) and
  /// kMaxFrameLength. Returns how many were sent: all, unless slots are still in use or the socket
  /// is_broken().
  std::size_t send(std::span<OutgoingFrame> frames) {
    reclaim();
    if (free_.size() < XdpSender::kMinBatch) return 0;
    const std::span<OutgoingFrame> batch = frames.first(std::min(frames.size(), free_.size()));
    const std::uint32_t begin = to_send_.produced().load(std::memory_order_relaxed);
    const auto end = static_cast<std::uint32_t>(begin + batch.size());
    for (std::uint32_t i = 0; i < batch.size(); ++i) to_send_.at(begin + i) = write(batch[i]);
    to_send_.produced().store(end, std::memory_order_release);
    while (done_ != end) {
      const int error = ::sendto(fd_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) == 0 ? 0 : errno;
      // The kernel stops after a frame that the device drops: EBUSY. If that was the first, the kernel may
      // not report yet that it accepted it.
      const bool dropped = error == EBUSY;
      const std::uint32_t consumed = to_send_.consumed().load(std::memory_order_acquire);
      const auto taken = std::max(static_cast<std::int32_t>(consumed - done_), dropped ? 1 : 0);
      if (taken <= 0) {
        is_broken_ = true;
        break;
      }
      for (std::int32_t i = 0; i < taken; ++i) batch[done_++ - begin].outcome = DropReason::none;
      if (dropped) batch[done_ - 1 - begin].outcome = DropReason::no_buffers;
    }
    return done_ - begin;
  }

  /// The device is down, gone or full, or keeps frames: no more will be sent. Frames that were not done stay
  /// here, and are not sent if this is destroyed.
  bool is_broken() const { return is_broken_; }

 private:
  XdpSocket() : fd_(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)), slots_(kSlots * kMaxFrameLength, -1) {}

  bool prepare() {
    if (!fd_ || !slots_) return false;
    for (std::size_t slot = 0; slot < kSlots; ++slot) free_.push_back(slot * kMaxFrameLength);
    xdp_umem_reg memory;
    std::memset(&memory, 0, sizeof memory);  // newer kernels read bytes that are padding in these headers
    memory.addr = reinterpret_cast<std::uintptr_t>(slots_.get());
    memory.len = slots_.bytes();
    memory.chunk_size = kMaxFrameLength;
    constexpr int kEntries = kSlots;
    xdp_mmap_offsets offsets{};
    socklen_t length = sizeof offsets;
    return set_option(fd_, SOL_XDP, XDP_UMEM_REG, memory) &&
           set_option(fd_, SOL_XDP, XDP_UMEM_FILL_RING, kEntries) &&  // unused, but required by bind(2)
           set_option(fd_, SOL_XDP, XDP_UMEM_COMPLETION_RING, kEntries) &&
           set_option(fd_, SOL_XDP, XDP_TX_RING, kEntries) &&
           ::getsockopt(fd_.get(), SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) == 0 &&
           to_send_.map(fd_, XDP_PGOFF_TX_RING, offsets.tx) &&
           sent_.map(fd_, XDP_UMEM_PGOFF_COMPLETION_RING, offsets.cr);
  }

  bool set_budget() {
    constexpr int kFrames = kSlots;
    return set_option(fd_, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, kFrames);
  }

  bool attach(int ifindex) {
    constexpr std::size_t kInFlight = kSlots * 4 * kMaxFrameLength;
    if (!set_option(fd_, SOL_SOCKET, SO_MARK, kSwitchMark)) return false;
    if (!set_send_buffer(fd_.get(), kInFlight)) return false;
    sockaddr_xdp address{};
    address.sxdp_family = AF_XDP;
    address.sxdp_flags = XDP_COPY;
    address.sxdp_ifindex = static_cast<std::uint32_t>(ifindex);
    return ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  /// Takes back the slots of frames that have left.
  void reclaim() {
    const std::uint32_t end = sent_.produced().load(std::memory_order_acquire);
    std::uint32_t next = sent_.consumed().load(std::memory_order_relaxed);
    while (next != end) free_.push_back(sent_.at(next++));
    sent_.consumed().store(next, std::memory_order_release);
  }

  xdp_desc write(const OutgoingFrame& frame) {
    xdp_desc entry{};
    entry.addr = free_.back();
    entry.len = static_cast<std::uint32_t>(frame.length());
    free_.pop_back();
    std::uint8_t* slot = slots_.get() + entry.addr;
    slot = std::copy(frame.header.begin(), frame.header.end(), slot);
    std::copy(frame.payload.begin(), frame.payload.end(), slot);
    return entry;
  }

  UniqueFd fd_;
  Mapping slots_;
  Ring<xdp_desc> to_send_;
  Ring<std::uint64_t> sent_;
  std::vector<std::uint64_t> free_;  // where free slots begin
  std::uint32_t done_ = 0;           // of all entries ever put into to_send_
  bool is_broken_ = false;
};

namespace {
/// Nullopt: never possible on this device. Null: not possible at present.
std::optional<std::unique_ptr<XdpSocket>> open_if_it_suits(int ifindex) {
  try {
    if (!XdpSocket::suits(ifindex)) return std::nullopt;
    return XdpSocket::open(ifindex);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
}  // namespace

XdpSender::XdpSender(int ifindex) : ifindex_(ifindex), batches_before_opening_(kBatchesBeforeOpening) {}
XdpSender::~XdpSender() = default;

std::size_t XdpSender::send(std::span<OutgoingFrame> frames, int socket) {
  if (frames.size() < kMinBatch) return 0;
  std::size_t longest = 0;
  for (const OutgoingFrame& frame : frames) {
    if (frame.offload != Offload{}) return 0;
    longest = std::max(longest, frame.length());
  }
  if (longest > kMaxFrameLength) return 0;

  if (!in_use_.try_lock()) return 0;
  const MutexLock lock(in_use_, std::adopt_lock);
  if (xdp_ == nullptr) {
    ask_for_socket();
    if (xdp_ == nullptr) return 0;
  }
  if (longest > kLeastMtu + kEthernetHeader) {
    const std::size_t mtu = mtu_of(socket, ifindex_);
    if (mtu == 0) close();
    if (longest > mtu + kEthernetHeader) return 0;
  }
  const std::size_t done = xdp_->send(frames);
  const auto dropped = [](const OutgoingFrame& frame) { return frame.outcome == DropReason::no_buffers; };
  const std::span<OutgoingFrame> sent = frames.first(done);
  if (std::any_of(sent.begin(), sent.end(), dropped) && !has_carrier(socket, ifindex_)) {
    for (OutgoingFrame& frame : sent) {
      if (dropped(frame)) frame.outcome = DropReason::link_down;
    }
    close();
  } else if (xdp_->is_broken()) {
    close();
  }
  return done;
}

void XdpSender::ask_for_socket() {
  if (is_ready(opening_)) {
    auto opened = opening_.get();
    suits_ = opened.has_value();
    if (suits_) xdp_ = std::move(*opened);
    batches_before_opening_ = kBatchesBeforeRetrying;  // if it could not be opened, or once it is closed
    memory_ = xdp_ == nullptr ? 0 : xdp_->memory();
    return;
  }
  if (!suits_ || opening_.valid() || --batches_before_opening_ > 0) return;
  batches_before_opening_ = kBatchesBeforeRetrying;
  opening_ = in_background([ifindex = ifindex_] { return open_if_it_suits(ifindex); });
}

/// Closes the socket in the background, because that takes the kernel milliseconds.
void XdpSender::close() {
  memory_ = 0;
  closing_ = in_background([old = std::move(xdp_)]() mutable { old.reset(); });
}

}  // namespace vswitch
