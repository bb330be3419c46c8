// SPDX-License-Identifier: Apache-2.0
// AF_PACKET ports: a TPACKET_V2 ring with a side queue for long frames, and one sending socket per sender.
//
// The kernel behaviours relied on here are each pinned by a test in
// tests/platform/af_packet_port_test.cc.
#include "datapath/port/af_packet_port.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "datapath/base/background.h"
#include "datapath/base/unique_fd.h"
#include "datapath/port/device_query.h"
#include "datapath/port/vnet_header.h"
#include "datapath/port/xdp_sender.h"

namespace vswitch {
namespace {

constexpr std::size_t kRingBlock =
    32 * 1024;  // contiguous kernel memory: order 3, had even when it is scarce
constexpr std::size_t kBusyBatch = kBatchSize / 2;    // frames that waited: the port deserves large slots
constexpr std::size_t kSendBytes = 576 * 1024;        // in flight to the device, all senders together
constexpr std::size_t kSendBytesAtLeast = 64 * 1024;  // per sender
constexpr std::size_t kSendBytesAtMost = 192 * 1024;
constexpr std::uint32_t kBatchesBeforeRetrying = 4096;  // see Sender::queueing_left_

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

template <typename T>
void set_option(const UniqueFd& fd, int level, int option, const T& value, const std::string& what) {
  if (::setsockopt(fd.get(), level, option, &value, sizeof value) != 0) fail(what);
}

/// A packet socket with protocol 0: it gets no frames until it is bound to a protocol.
UniqueFd packet_socket(const std::string& device) {
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) fail("cannot open a packet socket for " + device);
  set_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1, "cannot set PACKET_VNET_HDR for " + device);
  return fd;
}

void bind_to(const UniqueFd& fd, int ifindex, std::uint16_t protocol, const std::string& device) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = ifindex;
  // packet(7): sockaddr_ll goes through the generic sockaddr.
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("cannot attach to device " + device);
  }
}

// ----------------------------------------------------------------------------------------------------------------
// receive

struct RingSize {
  std::size_t slots, slot_size, queue_bytes;
  std::size_t bytes() const { return slots * slot_size; }
  bool operator==(const RingSize&) const = default;
};

RingSize first_size(const AfPacketOptions& options) {
  return {options.first_slots, options.first_slot_size, options.queue_bytes};
}
RingSize full_size(const AfPacketOptions& options) {
  return {options.slots, options.slot_size, options.queue_bytes};
}

/// PACKET_FANOUT_FLAG_IGNORE_OUTGOING: older kernels ignore it, and older headers do not have it.
constexpr std::uint32_t kFanoutIgnoresOutgoing = 0x4000;
constexpr auto kPacketType = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE);

/// A receive socket with its ring, not bound to a device at first. On a device it is one of a fanout group:
/// each frame goes to one socket of the group, so that one can take over from another without a frame lost or
/// seen twice.
class Ring {
 public:
  /// `device` is for the sentences of errors.
  Ring(const RingSize& size, const std::string& device) : size_(size), fd_(packet_socket(device)) {
    set_option(fd_, SOL_PACKET, PACKET_VERSION, TPACKET_V2, "cannot set TPACKET_V2 for " + device);
    set_option(fd_, SOL_PACKET, PACKET_COPY_THRESH, 1, "cannot set PACKET_COPY_THRESH for " + device);
    set_option(fd_, SOL_SOCKET, SO_RCVBUFFORCE,
               static_cast<int>(size.queue_bytes / 2),  // the kernel doubles it
               "cannot set SO_RCVBUFFORCE for " + device);
    if (!map()) fail("cannot get " + std::to_string(size.bytes()) + " bytes of receive ring for " + device);
  }
  Ring(Ring&& other) noexcept
      : size_(other.size_), fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, nullptr)) {}
  Ring& operator=(Ring&& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(fd_, other.fd_);
    std::swap(memory_, other.memory_);
    return *this;
  }
  ~Ring() {
    if (memory_ != nullptr) ::munmap(memory_, size_.bytes());
  }

  const UniqueFd& socket() const { return fd_; }
  const RingSize& size() const { return size_; }
  std::uint8_t* memory() const { return memory_; }  ///< null after drop(), until map() works

  /// Receives from now on.
  void begin(int ifindex, const std::string& device) {
    block_receive();  // until it is in the group
    bind_to(fd_, ifindex, ETH_P_ALL, device);
    // Before Linux 6.13 a device that is down cannot have a group (EINVAL): there will be one when it is
    // busy.
    if (!join(std::nullopt) && errno != EINVAL) fail("cannot set PACKET_FANOUT for " + device);
    hear();
  }
  /// Is ready to take over from `before`, on the same device. begin() and this take the kernel milliseconds.
  void stand_by(const Ring& before, int ifindex, const std::string& device) {
    if (!before.group() && !before.join(std::nullopt)) fail("cannot set PACKET_FANOUT for " + device);
    block_receive();
    bind_to(fd_, ifindex, ETH_P_ALL, device);
    if (!join(before.group())) fail("cannot set PACKET_FANOUT for " + device);
    drop();  // lets all processors pass: none is left that came before the group
    if (!map()) fail("cannot get a larger receive ring for " + device);
    hear();
  }
  /// The one that stands by gets every frame from now on. False when the kernel refuses.
  bool hand_over_to_second() const {
    sock_filter second{BPF_RET | BPF_K, 0, 0, 1};
    const sock_fprog program{1, &second};
    return ::setsockopt(fd_.get(), SOL_PACKET, PACKET_FANOUT_DATA, &program, sizeof program) == 0;
  }
  void make_promiscuous(int ifindex, const std::string& device) const {
    packet_mreq promiscuous{};
    promiscuous.mr_ifindex = ifindex;
    promiscuous.mr_type = PACKET_MR_PROMISC;
    set_option(fd_, SOL_PACKET, PACKET_ADD_MEMBERSHIP, promiscuous, "cannot make " + device + " promiscuous");
  }

  bool map() {
    void* memory = MAP_FAILED;
    if (set(size_.bytes())) {
      memory = ::mmap(nullptr, size_.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    }
    memory_ = memory == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(memory);
    return memory_ != nullptr;
  }
  void drop() {
    ::munmap(memory_, size_.bytes());
    memory_ = nullptr;
    set(0);
  }

 private:
  /// A group, or a new one. False with errno.
  bool join(std::optional<std::uint32_t> group) const {
    const std::uint32_t kind =
        PACKET_FANOUT_CBPF | kFanoutIgnoresOutgoing | (group ? 0 : PACKET_FANOUT_FLAG_UNIQUEID);
    const std::uint32_t argument = kind << 16 | group.value_or(0);
    return ::setsockopt(fd_.get(), SOL_PACKET, PACKET_FANOUT, &argument, sizeof argument) == 0;
  }
  std::optional<std::uint32_t> group() const {
    std::uint32_t argument = 0;
    socklen_t length = sizeof argument;
    if (::getsockopt(fd_.get(), SOL_PACKET, PACKET_FANOUT, &argument, &length) != 0 || argument == 0)
      return std::nullopt;  // the kind of a group is not 0
    return argument & 0xffff;
  }
  void block_receive() const {
    sock_filter nothing{BPF_RET | BPF_K, 0, 0, 0};
    attach({1, &nothing});
  }
  /// Only what comes in, also where the kernel does not know kFanoutIgnoresOutgoing; a group has no
  /// PACKET_IGNORE_OUTGOING.
  void hear() const {
    std::array<sock_filter, 4> incoming{{{BPF_LD | BPF_W | BPF_ABS, 0, 0, kPacketType},
                                         {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PACKET_OUTGOING},
                                         {BPF_RET | BPF_K, 0, 0, 0},
                                         {BPF_RET | BPF_K, 0, 0, 0x40000}}};
    attach({incoming.size(), incoming.data()});
  }
  void attach(const sock_fprog& program) const {
    set_option(fd_, SOL_SOCKET, SO_ATTACH_FILTER, program, "cannot set SO_ATTACH_FILTER");
  }
  bool set(std::size_t bytes) {
    tpacket_req request{};
    request.tp_block_size = bytes == 0 ? 0 : static_cast<unsigned>(kRingBlock);
    request.tp_block_nr = static_cast<unsigned>(bytes / kRingBlock);
    request.tp_frame_size = bytes == 0 ? 0 : static_cast<unsigned>(size_.slot_size);
    request.tp_frame_nr = static_cast<unsigned>(bytes / size_.slot_size);
    return ::setsockopt(fd_.get(), SOL_PACKET, PACKET_RX_RING, &request, sizeof request) == 0;
  }

  RingSize size_;
  UniqueFd fd_;
  std::uint8_t* memory_ = nullptr;
};

}  // namespace

class RingStock::Impl {
 public:
  Impl() { refill(); }

  Ring take(const RingSize& size, const std::string& device) {
    if (size == kUsual) {
      if (std::optional<Ring> ring = take_spare()) return std::move(*ring);
    }
    return Ring(size, device);
  }

 private:
  static inline const RingSize kUsual = first_size(AfPacketOptions{});

  std::optional<Ring> take_spare() {
    const std::lock_guard lock(mutex_);
    if (spare_.valid() && !is_ready(spare_)) return std::nullopt;
    std::optional<Ring> ring = spare_.valid() ? spare_.get() : std::nullopt;
    refill();
    return ring;
  }

  void refill() {
    spare_ = in_background([]() -> std::optional<Ring> {
      try {
        return Ring(kUsual, "the next port");
      } catch (const std::system_error&) {
        return std::nullopt;  // the port that wants it hears why
      }
    });
  }

  std::mutex mutex_;
  std::future<std::optional<Ring>> spare_;
};

RingStock::RingStock() : impl_(std::make_unique<Impl>()) {}
RingStock::~RingStock() = default;

namespace {

/// How long after a handover the old ring may still be written to, by processors that were in the middle of
/// it. In a virtual machine they may be taken from it for a while; the new ring has room for 2 ms meanwhile.
constexpr std::chrono::microseconds kOnTheirWay{300};

/// The receive socket and its ring.
///
/// A port is idle most of its life, so it begins with a ring of small slots: frames that fit none take the
/// way of long ones. A large batch asks for the full ring, which is made on a thread of its own. When it
/// stands by, it takes over: no frame is lost and none comes twice. The old one is emptied first.
class Receiver {
 public:
  explicit Receiver(const AfPacketOptions& options)
      : name_(options.name),
        ifindex_(options.ifindex),
        full_size_(full_size(options)),
        arena_(std::make_unique_for_overwrite<std::uint8_t[]>(options.arena_bytes)),
        arena_size_(options.arena_bytes),
        poll_(::epoll_create1(EPOLL_CLOEXEC)),
        ring_(options.stock != nullptr ? options.stock->impl().take(first_size(options), options.name)
                                       : Ring(first_size(options), options.name)) {
    ring_.begin(ifindex_, name_);
    require_ethernet();
    ring_.make_promiscuous(ifindex_, name_);
    if (!poll_ || !watch(ring_)) fail("cannot wait for frames of " + name_);
  }

  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  /// Stays the same when the ring does not.
  int fd() const { return poll_.get(); }

  std::size_t receive(std::span<RawFrame> into) {
    if (repairing_or_in_use_.test_and_set(std::memory_order_acquire)) return 0;
    std::size_t count = 0;
    arena_used_ = 0;
    if (larger_.valid()) begin_handover();
    while (count < into.size() && take(into[count])) ++count;
    if (count == 0 && successor_ && handed_over_ + kOnTheirWay < std::chrono::steady_clock::now()) {
      const std::lock_guard lock(ring_changes_);
      end_handover();
      while (count < into.size() && take(into[count])) ++count;
    }
    if (count >= kBusyBatch) ask_for_larger();
    if (count == 0) {
      // A device that went down leaves ENETDOWN on the socket: EPOLLERR until someone fetches it. Only the
      // second empty call in a row looks, so that emptying a ring costs no system call.
      if (last_was_empty_) clear_error();
      repairing_or_in_use_.clear(std::memory_order_release);
    }
    last_was_empty_ = count == 0;
    return count;
  }

  void release() {
    for (; oldest_ != next_; oldest_ = after(oldest_)) set_status(oldest_, TP_STATUS_KERNEL);
    repairing_or_in_use_.clear(std::memory_order_release);
  }

  /// Called on any thread.
  std::size_t memory() {
    const std::lock_guard lock(ring_changes_);
    return ring_.memory() == nullptr ? 0 : ring_.size().bytes();
  }

  /// Called on any thread.
  std::uint64_t overruns() {
    const std::lock_guard lock(ring_changes_);
    poll_handover();
    const tpacket_stats stats = count_overruns();
    if ((stats.tp_drops != 0 && stats.tp_packets == stats.tp_drops) || without_ring_) repair_if_stuck();
    return overruns_;
  }

 private:
  tpacket_stats count_overruns() {
    tpacket_stats stats{};
    socklen_t length = sizeof stats;
    // Reading clears the kernel's counters. tp_packets includes tp_drops.
    if (::getsockopt(ring_.socket().get(), SOL_PACKET, PACKET_STATISTICS, &stats, &length) != 0) return {};
    overruns_ += stats.tp_drops;
    return stats;
  }

  bool watch(const Ring& ring) const {
    epoll_event event{};
    event.events = EPOLLIN;
    return ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, ring.socket().get(), &event) == 0;
  }

  /// Where it cannot be had the port goes on as it is, its losses are counted, and it asks again later.
  void ask_for_larger() {
    if (larger_.valid() || successor_ || ring_.size() == full_size_) return;
    if (batches_before_asking_ > 0 && --batches_before_asking_ > 0) return;
    batches_before_asking_ = kBatchesBeforeRetrying;  // should it not come
    larger_ = in_background([this]() -> std::optional<Ring> {
      try {
        Ring ring(full_size_, name_);
        ring.stand_by(ring_, ifindex_, name_);
        ring.make_promiscuous(ifindex_, name_);
        return ring;
      } catch (const std::system_error&) {
        return std::nullopt;
      }
    });
  }

  void begin_handover() {
    if (!is_ready(larger_)) return;
    successor_ = larger_.get();
    if (!successor_ || !watch(*successor_) || !ring_.hand_over_to_second()) return successor_.reset();
    handed_over_ = std::chrono::steady_clock::now();
  }

  /// A ring that is stuck wakes nobody, so receive() would never hear that another one is there.
  void poll_handover() {
    if (repairing_or_in_use_.test_and_set(std::memory_order_acquire)) return;
    if (larger_.valid()) begin_handover();
    const bool is_empty =
        oldest_ == next_ && ring_.memory() != nullptr && (status(next_) & TP_STATUS_USER) == 0;
    if (successor_ && is_empty && handed_over_ + kOnTheirWay < std::chrono::steady_clock::now())
      end_handover();
    repairing_or_in_use_.clear(std::memory_order_release);
  }

  /// The old ring is empty; ring_changes_ is held. Closing it takes the kernel as long as making one, so
  /// somebody else does it.
  void end_handover() {
    ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, ring_.socket().get(), nullptr);
    count_overruns();
    ring_ = std::move(*successor_);  // they change places
    next_ = oldest_ = 0;
    closing_ = in_background([old = std::move(*successor_)]() mutable { const Ring gone = std::move(old); });
    successor_.reset();
  }

  std::size_t after(std::size_t slot) const { return slot + 1 == ring_.size().slots ? 0 : slot + 1; }
  std::uint8_t* slot_memory(std::size_t slot) const { return ring_.memory() + slot * ring_.size().slot_size; }
  tpacket2_hdr& header(std::size_t slot) const { return *reinterpret_cast<tpacket2_hdr*>(slot_memory(slot)); }

  // The kernel writes the status last and reads it first, on another processor.
  std::uint32_t status(std::size_t slot) const {
    return std::atomic_ref<std::uint32_t>(header(slot).tp_status).load(std::memory_order_acquire);
  }
  void set_status(std::size_t slot, std::uint32_t value) const {
    std::atomic_ref<std::uint32_t>(header(slot).tp_status).store(value, std::memory_order_release);
  }

  void require_ethernet() const {
    sockaddr_ll address{};
    socklen_t length = sizeof address;
    ::getsockname(ring_.socket().get(), reinterpret_cast<sockaddr*>(&address), &length);
    if (address.sll_hatype == ARPHRD_ETHER) return;
    throw std::system_error(std::make_error_code(std::errc::not_supported),
                            name_ + " is not an Ethernet device");
  }

  /// Takes the next waiting frame. False when there is none, or when the arena has no room left for it in
  /// this batch.
  bool take(RawFrame& frame) {
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
    if ((state & TP_STATUS_VLAN_VALID) != 0) {
      const bool has_tpid = (state & TP_STATUS_VLAN_TPID_VALID) != 0;
      frame.stripped_tag = VlanTag{has_tpid ? head.tp_vlan_tpid : kTpid8021Q, head.tp_vlan_tci};
    }
    next_ = after(next_);
    return true;
  }

  /// The slot holds only the beginning of the frame (and its offload and tag); all of it waits in the
  /// socket's queue, in the order of the slots.
  bool take_from_queue(RawFrame& frame, std::size_t length) {
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

  void clear_error() const {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(ring_.socket().get(), SOL_SOCKET, SO_ERROR, &error, &length);
  }

  /// A frame with a kind of segmentation that struct virtio_net_hdr cannot express (UFO from a virtual
  /// machine, SCTP; UDP before Linux 6.2) makes tpacket_rcv() give up between claiming the slot and filling
  /// it; the claim stays, and the ring takes nothing ever again (net/packet/af_packet.c, label
  /// drop_n_account). It shows as drops without a single frame accepted while the ring is empty. A new ring
  /// is the way out.
  void repair_if_stuck() {
    if (repairing_or_in_use_.test_and_set(std::memory_order_acquire)) return;
    const bool changes = larger_.valid() || successor_;  // the group counts on their order
    if (!changes && oldest_ == next_ && ring_.memory() != nullptr && (status(next_) & TP_STATUS_USER) == 0) {
      ring_.drop();
      next_ = oldest_ = 0;
    }
    if (ring_.memory() == nullptr) without_ring_ = !ring_.map();  // empties the socket's queue as well
    repairing_or_in_use_.clear(std::memory_order_release);
  }

  const std::string name_;
  const int ifindex_;
  const RingSize full_size_;
  const std::unique_ptr<std::uint8_t[]> arena_;  // long frames of the batch; no memory before the first
  const std::size_t arena_size_;
  std::size_t arena_used_ = 0;
  const UniqueFd poll_;  // of the ring's socket, and of its successor's
  std::mutex ring_changes_;
  Ring ring_;
  std::uint32_t batches_before_asking_ = 0;  // for a larger one
  std::future<std::optional<Ring>> larger_;
  std::optional<Ring> successor_;  // receives already, while ring_ is being emptied
  std::chrono::steady_clock::time_point handed_over_;
  std::future<void> closing_;
  std::size_t next_ = 0;    // slot the kernel fills next, as far as we have looked
  std::size_t oldest_ = 0;  // first slot handed out and not released
  bool last_was_empty_ = false;
  std::atomic_flag repairing_or_in_use_;   // held from a receive() that returned frames to its release()
  std::atomic<bool> without_ring_{false};  // no memory for a new one: tried again
  std::uint64_t overruns_ = 0;
};

// -------------------------------------------------------------------------------------------------------------------
// send

/// What sendmmsg(2) is given: 8 KiB for a thread, not for each port.
struct Messages {
  std::array<VnetHeader, kBatchSize> headers = {};
  std::array<std::array<iovec, 3>, kBatchSize> parts = {};  // virtio_net_hdr, Ethernet header, payload
  std::array<mmsghdr, kBatchSize> messages = {};

  Messages() {
    for (std::size_t i = 0; i < kBatchSize; ++i) {
      parts[i][0] = {&headers[i], sizeof headers[i]};
      messages[i].msg_hdr.msg_iov = parts[i].data();
      messages[i].msg_hdr.msg_iovlen = parts[i].size();
    }
  }
};

/// What one thread needs to send on the port.
class Sender {
 public:
  /// `xdp`: another way for finished frames, or null.
  Sender(const AfPacketOptions& options, bool bypasses, XdpSender* xdp)
      : ifindex_(options.ifindex), bypasses_(bypasses), xdp_(xdp), fd_(packet_socket(options.name)) {
    if (bypasses_ && !bypass_queueing(true)) fail("cannot set PACKET_QDISC_BYPASS for " + options.name);
    const std::size_t bytes = std::clamp(kSendBytes / options.senders, kSendBytesAtLeast, kSendBytesAtMost);
    set_option(fd_, SOL_SOCKET, SO_SNDBUFFORCE, static_cast<int>(bytes / 2),  // the kernel doubles it
               "cannot set SO_SNDBUFFORCE for " + options.name);
    set_option(fd_, SOL_SOCKET, SO_MARK, kSwitchMark, "cannot set SO_MARK for " + options.name);
    bind_to(fd_, ifindex_, 0, options.name);
  }

  void send(std::span<OutgoingFrame> frames) {
    if (queueing_left_ > 0 && --queueing_left_ == 0) bypass_queueing(true);
    if (xdp_ != nullptr && queueing_left_ == 0) frames = frames.subspan(xdp_->send(frames, fd_.get()));
    while (!frames.empty()) {
      const std::span<OutgoingFrame> batch = frames.first(std::min(frames.size(), kBatchSize));
      send_batch(batch);
      frames = frames.subspan(batch.size());
    }
  }

 private:
  bool bypass_queueing(bool bypass) {
    const int value = bypass ? 1 : 0;
    return ::setsockopt(fd_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &value, sizeof value) == 0;
  }

  void send_batch(std::span<OutgoingFrame> frames) {
    thread_local Messages to_send;
    auto& [headers, parts, messages] = to_send;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const OutgoingFrame& frame = frames[i];
      headers[i] = vnet_header_from_offload(frame.offload, frame.length());
      // sendmsg(2) reads through iovec only.
      parts[i][1] = {const_cast<std::uint8_t*>(frame.header.data()), frame.header.size()};
      parts[i][2] = {const_cast<std::uint8_t*>(frame.payload.data()), frame.payload.size()};
    }
    std::size_t done = 0;
    while (done < frames.size()) {
      const int sent =
          ::sendmmsg(fd_.get(), &messages[done], static_cast<unsigned>(frames.size() - done), MSG_DONTWAIT);
      if (sent <= 0) {
        done += refused(errno, frames.subspan(done));
        continue;
      }
      for (int i = 0; i < sent; ++i) frames[done++].outcome = DropReason::none;
    }
  }

  /// The first of `frames` was refused. Sets outcomes and returns for how many: 0 = try again, all of them
  /// when the others would fare the same.
  std::size_t refused(int error, std::span<OutgoingFrame> frames) {
    const auto all = [&](DropReason reason) {
      for (OutgoingFrame& frame : frames) frame.outcome = reason;
      return frames.size();
    };
    const auto first = [&](DropReason reason) {
      frames[0].outcome = reason;
      return std::size_t{1};
    };
    switch (error) {
      case EINTR:
        return 0;
      case EMSGSIZE:
        return first(DropReason::too_big);
      case ENETDOWN:
        return all(DropReason::link_down);
      case ENXIO:
      case ENODEV:
        return all(DropReason::port_waiting);
      case EAGAIN:
        return all(DropReason::no_buffers);
      case ENOBUFS:
        if (!has_carrier(fd_.get(), ifindex_)) return all(DropReason::link_down);
        if (frames[0].offload.is_gso() && start_queueing()) return 0;
        return first(DropReason::no_buffers);
      default:
        return first(DropReason::send_error);
    }
  }

  /// Past the queueing discipline the kernel drops a GSO packet that the device cannot cut up itself
  /// (__dev_direct_xmit() keeps a frame only when validate_xmit_skb_list() left it as one). The ordinary way
  /// in cuts it up. Everything then goes that way, so that frames stay in order, until it is worth finding
  /// out whether the device has learnt it.
  bool start_queueing() {
    if (!bypasses_ || queueing_left_ > 0 || !bypass_queueing(false)) return false;
    queueing_left_ = kBatchesBeforeRetrying;
    return true;
  }

  const int ifindex_;
  const bool bypasses_;
  XdpSender* const xdp_;
  UniqueFd fd_;
  std::uint32_t queueing_left_ = 0;  // calls of send() that go through the queueing discipline
};

class AfPacketPort final : public Port {
 public:
  explicit AfPacketPort(const AfPacketOptions& options) : receiver_(options), xdp_(options.ifindex) {
    for (std::size_t i = 0; i < options.senders; ++i) {
      const bool sends_copies = i + options.mirror_senders >= options.senders;
      const bool by_xdp = sends_copies ? options.xdp_copies : options.xdp_transmit;
      senders_.push_back(std::make_unique<Sender>(options, !sends_copies, by_xdp ? &xdp_ : nullptr));
    }
  }

  int receive_fd() const override { return receiver_.fd(); }
  std::size_t receive(std::span<RawFrame> into) override { return receiver_.receive(into); }
  void release() override { receiver_.release(); }
  void send(SenderId sender, std::span<OutgoingFrame> frames) override {
    senders_[index(sender)]->send(frames);
  }
  std::uint64_t receive_overruns() override { return receiver_.overruns(); }
  std::size_t receive_memory() override { return receiver_.memory(); }
  std::size_t send_memory() override { return xdp_.memory(); }

 private:
  Receiver receiver_;
  XdpSender xdp_;
  std::vector<std::unique_ptr<Sender>> senders_;
};

}  // namespace

std::unique_ptr<Port> open_af_packet_port(const AfPacketOptions& options) {
  return std::make_unique<AfPacketPort>(options);
}

}  // namespace vswitch
