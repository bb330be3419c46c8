// SPDX-License-Identifier: Apache-2.0
// What the small programs of the forwarding benchmark share: packet sockets, a core of one's own, a clock.
//
// They stand for hosts and for the least a forwarder can do, so nothing of the product is in them.
#pragma once

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <span>
#include <string>

namespace bench {

inline constexpr std::size_t kBatch = 64;

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

inline std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

inline void pin_to(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("cannot run on core " + std::to_string(core));
}

template <typename T>
void set_option(int fd, int level, int option, const T& value, const char* what) {
  if (setsockopt(fd, level, option, &value, sizeof value) != 0) fail(what);
}

/// A packet socket that receives nothing until it is bound to a protocol.
inline int packet_socket() {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("packet socket");
  return fd;
}

inline void bind_to(int fd, const std::string& device, std::uint16_t protocol) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
  if (address.sll_ifindex == 0) fail(device);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind to " + device);
}

/// Frames that leave with one system call, past the queueing discipline and tc filters unless told otherwise.
class Sender {
 public:
  explicit Sender(const std::string& device, bool with_vnet_header = false, bool bypasses = true)
      : fd_(packet_socket()) {
    set_option(fd_, SOL_PACKET, PACKET_QDISC_BYPASS, bypasses ? 1 : 0, "PACKET_QDISC_BYPASS");
    if (with_vnet_header) set_option(fd_, SOL_PACKET, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR");
    set_option(fd_, SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20, "SO_SNDBUFFORCE");
    bind_to(fd_, device, 0);
    for (std::size_t i = 0; i < kBatch; ++i) {
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  /// Puts a frame into the batch; at most kBatch of them.
  void add(const std::uint8_t* bytes, std::size_t length) {
    parts_[count_++] = {const_cast<std::uint8_t*>(bytes), length};  // sendmsg(2) reads through iovec only
  }
  std::size_t count() const { return count_; }
  /// Makes the batch that of another one, for a second device.
  void copy_of(const Sender& other) {
    parts_ = other.parts_;
    count_ = other.count_;
  }

  /// Sends the batch; how many frames the device took. Those it refuses are gone.
  std::size_t flush() {
    std::size_t taken = 0;
    for (std::size_t at = 0; at < count_;) {
      const int sent = sendmmsg(fd_, &messages_[at], static_cast<unsigned>(count_ - at), MSG_DONTWAIT);
      if (sent > 0) {
        taken += static_cast<std::size_t>(sent);
        at += static_cast<std::size_t>(sent);
      } else if (errno == ENOBUFS) {
        ++at;
      } else if (errno == EAGAIN) {
        break;
      } else if (errno != EINTR) {
        fail("sendmmsg");
      }
    }
    count_ = 0;
    return taken;
  }

 private:
  int fd_;
  std::size_t count_ = 0;
  std::array<iovec, kBatch> parts_{};
  std::array<mmsghdr, kBatch> messages_{};
};

}  // namespace bench
