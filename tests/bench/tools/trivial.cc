// SPDX-License-Identifier: Apache-2.0
// The least a forwarder between packet sockets can do: what comes in on one device of a pair goes out on the
// other, and nothing is looked at. The floor under every switch that uses AF_PACKET.
//
//   bench_trivial [--offload] [--mirror DEVICE]... DEVICE DEVICE...
//
// Devices are pairs. --mirror: what comes from the first device goes there as well. --offload: unfinished
// checksums and GSO packets of up to 64 KiB pass (PACKET_VNET_HDR and large slots). It ends by a signal.
#include <getopt.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include <atomic>
#include <deque>
#include <vector>

#include "tests/bench/tools/packet_tool.h"

namespace {

using namespace bench;

struct RingShape {
  std::size_t slots, slot_size, block_size;
};
constexpr std::size_t kVnetHeaderLength = 10;       // struct virtio_net_hdr; its header is not C++
constexpr RingShape kSmall{1024, 2048, 32 * 1024};  // as in vswitchd
constexpr RingShape kLarge{256, 68 * 1024, 68 * 1024};

/// A TPACKET_V2 ring on a device.
class Receiver {
 public:
  Receiver(const std::string& device, bool offload)
      : shape_(offload ? kLarge : kSmall), fd_(packet_socket()) {
    set_option(fd_, SOL_PACKET, PACKET_VERSION, TPACKET_V2, "PACKET_VERSION");
    set_option(fd_, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
    if (offload) set_option(fd_, SOL_PACKET, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR");
    header_length_ = offload ? kVnetHeaderLength : 0;
    map();
    bind_to(fd_, device, ETH_P_ALL);
    packet_mreq promiscuous{};
    promiscuous.mr_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
    promiscuous.mr_type = PACKET_MR_PROMISC;
    set_option(fd_, SOL_PACKET, PACKET_ADD_MEMBERSHIP, promiscuous, "PACKET_ADD_MEMBERSHIP");
  }

  int fd() const { return fd_; }

  /// Adds what has come to the sender's batch, until release().
  void receive(Sender& sender) {
    while (sender.count() < kBatch && (status(next_) & TP_STATUS_USER) != 0) {
      const tpacket2_hdr& head = header(next_);
      // With PACKET_VNET_HDR the offload header lies in front of the frame, as sendmsg(2) wants it.
      const std::uint8_t* frame = reinterpret_cast<const std::uint8_t*>(&head) + head.tp_mac - header_length_;
      sender.add(frame, head.tp_snaplen + header_length_);
      next_ = after(next_);
    }
  }

  void release() {
    for (; oldest_ != next_; oldest_ = after(oldest_)) {
      std::atomic_ref<std::uint32_t>(header(oldest_).tp_status)
          .store(TP_STATUS_KERNEL, std::memory_order_release);
    }
  }

 private:
  void map() {
    const std::size_t bytes = shape_.slots * shape_.slot_size;
    tpacket_req request{};
    request.tp_block_size = static_cast<unsigned>(shape_.block_size);
    request.tp_block_nr = static_cast<unsigned>(bytes / shape_.block_size);
    request.tp_frame_size = static_cast<unsigned>(shape_.slot_size);
    request.tp_frame_nr = static_cast<unsigned>(shape_.slots);
    set_option(fd_, SOL_PACKET, PACKET_RX_RING, request, "PACKET_RX_RING");
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (memory == MAP_FAILED) fail("mmap");
    memory_ = static_cast<std::uint8_t*>(memory);
  }
  std::size_t after(std::size_t slot) const { return slot + 1 == shape_.slots ? 0 : slot + 1; }
  tpacket2_hdr& header(std::size_t slot) const {
    return *reinterpret_cast<tpacket2_hdr*>(memory_ + slot * shape_.slot_size);
  }
  std::uint32_t status(std::size_t slot) const {
    return std::atomic_ref<std::uint32_t>(header(slot).tp_status).load(std::memory_order_acquire);
  }

  const RingShape shape_;
  int fd_;
  std::size_t header_length_ = 0;
  std::uint8_t* memory_ = nullptr;
  std::size_t next_ = 0, oldest_ = 0;
};

struct Device {
  Device(const std::string& name, bool offload) : receiver(name, offload), sender(name, offload) {}
  Receiver receiver;
  Sender sender;
};

void forward(Receiver& from, Sender& to, std::deque<Sender>& mirrors) {
  from.receive(to);
  const std::size_t count = to.count();
  for (Sender& mirror : mirrors) mirror.copy_of(to);
  to.flush();
  if (count == 0) return;
  for (Sender& mirror : mirrors) mirror.flush();
  from.release();
}

[[noreturn]] void run(std::deque<Device>& devices, std::deque<Sender>& mirrors) {
  const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  for (std::uint32_t i = 0; i < devices.size(); ++i) {
    epoll_event event{.events = EPOLLIN, .data = {.u32 = i}};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, devices[i].receiver.fd(), &event) != 0) fail("epoll_ctl");
  }
  std::deque<Sender> none;
  for (;;) {
    epoll_event events[kBatch];
    const int ready = epoll_wait(epoll_fd, events, kBatch, -1);
    for (int i = 0; i < ready; ++i) {
      const std::uint32_t from = events[i].data.u32;
      forward(devices[from].receiver, devices[from ^ 1U].sender, from == 0 ? mirrors : none);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  bool offload = false;
  std::vector<std::string> mirror_names;
  const option known[] = {
      {"offload", 0, nullptr, 'o'}, {"mirror", 1, nullptr, 'm'}, {nullptr, 0, nullptr, 0}};
  for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    if (letter == '?') return 2;
    if (letter == 'o') offload = true;
    if (letter == 'm') mirror_names.emplace_back(optarg);
  }
  std::deque<Device> devices;
  for (int i = optind; i < argc; ++i) devices.emplace_back(argv[i], offload);
  if (devices.empty() || devices.size() % 2 != 0) {
    std::fputs("usage: bench_trivial [--offload] [--mirror DEVICE]... DEVICE DEVICE...\n", stderr);
    return 2;
  }
  std::deque<Sender> mirrors;
  for (const std::string& name : mirror_names) mirrors.emplace_back(name, offload);
  std::puts("ready");
  std::fflush(stdout);
  run(devices, mirrors);
}
