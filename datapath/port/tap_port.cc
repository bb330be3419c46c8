// SPDX-License-Identifier: Apache-2.0
// Internal ports on /dev/net/tun.
//
// A tap device has no batches: one read(2) or writev(2) per frame. Its file can be written from several
// threads at once, so all senders share it. VLAN tags are part of the data in both directions.
#include "datapath/port/tap_port.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "datapath/base/unique_fd.h"
#include "datapath/port/vnet_header.h"

namespace vswitch {
namespace {

constexpr std::size_t kMaxFrameLength = 64 * 1024 + 64;  // a GSO packet: 64 KiB of IP packet, addresses, tags
constexpr std::size_t kArenaBytes = 384 * 1024;          // a batch: 64 frames of 1.5 KiB, or 5 GSO packets

// linux/if_tun.h, Linux 6.2; older headers lack the names.
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

ifreq request_for(const std::string& name) {
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

UniqueFd open_tap(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    fail(EINVAL, "\"" + name + "\" is not a device name: device names have 1 to 15 characters");
  }
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) fail(errno, "cannot open /dev/net/tun to create the internal port " + name);
  ifreq request = request_for(name);
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    const int error = errno;
    if (error == EBUSY)
      fail(error, "cannot create the internal port " + name + ": a device with this name already exists");
    fail(error, "cannot create the internal port " + name);
  }
  return fd;
}

/// Tells the host's stack what it may leave to the port: unfinished checksums and GSO packets.
void set_offloads(int fd, const std::string& name) {
  const unsigned base = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (::ioctl(fd, TUNSETOFFLOAD, base | kTunUso4 | kTunUso6) == 0) return;
  if (::ioctl(fd, TUNSETOFFLOAD, base) != 0)
    fail(errno, "cannot set the offloads of the internal port " + name);
}

void set_mac(const std::string& name, const MacAddr& mac) {
  const UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = request_for(name);
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, mac.octets.data(), mac.octets.size());
  if (::ioctl(control.get(), SIOCSIFHWADDR, &request) != 0) {
    fail(errno, "cannot set the address of the internal port " + name + " to " + mac.to_string());
  }
}

void set_mtu(const std::string& name, std::uint32_t mtu) {
  const UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = request_for(name);
  request.ifr_mtu = static_cast<int>(mtu);
  if (::ioctl(control.get(), SIOCSIFMTU, &request) != 0) {
    fail(errno, "cannot set the MTU of the internal port " + name + " to " + std::to_string(mtu));
  }
}

class TapPort final : public Port {
 public:
  explicit TapPort(const TapOptions& options)
      : tap_(open_tap(options.name)),
        poll_(::epoll_create1(EPOLL_CLOEXEC)),
        arena_(std::make_unique_for_overwrite<std::uint8_t[]>(kArenaBytes)) {
    set_offloads(tap_.get(), options.name);
    if (options.mac) set_mac(options.name, *options.mac);
    if (options.mtu) set_mtu(options.name, *options.mtu);
    epoll_event event{};
    event.events = EPOLLIN;
    if (!poll_ || ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, tap_.get(), &event) != 0) {
      fail(errno, "cannot poll the internal port " + options.name);
    }
  }

  /// An epoll instance that watches the tap. Once the device is deleted, its file signals EPOLLERR forever
  /// and is removed from the instance.
  int receive_fd() const override { return poll_.get(); }

  std::size_t receive(std::span<RawFrame> into) override {
    std::size_t used = 0;
    std::size_t count = 0;
    while (count < into.size() && kArenaBytes - used >= kMaxFrameLength) {
      const std::size_t length = receive_one(std::span(arena_.get(), kArenaBytes).subspan(used), into[count]);
      if (length == 0) break;
      used += length;
      ++count;
    }
    return count;
  }

  void release() override {}

  void send(SenderId, std::span<OutgoingFrame> frames) override {
    for (OutgoingFrame& frame : frames) frame.outcome = send_one(frame);
  }

  /// The device itself counts frames that did not fit in its queue (tx_dropped).
  std::uint64_t receive_overruns() override { return 0; }

 private:
  /// Length of the frame, 0 if none waits.
  std::size_t receive_one(std::span<std::uint8_t> room, RawFrame& frame) {
    VnetHeader vnet;
    iovec parts[2] = {{&vnet, sizeof vnet}, {room.data(), room.size()}};
    ssize_t received = -1;
    do {
      received = ::readv(tap_.get(), parts, 2);
    } while (received < 0 && errno == EINTR);
    // The device is deleted (EBADFD) or being deleted (EIO). Any other error, such as a frame that the header
    // cannot express, is temporary.
    if (received < 0 && (errno == EBADFD || errno == EIO)) forget_device();
    if (received <= static_cast<ssize_t>(sizeof vnet)) return 0;
    const std::size_t length = static_cast<std::size_t>(received) - sizeof vnet;
    frame = RawFrame{};
    frame.bytes = room.first(length);
    frame.truncated = length == room.size();  // longer than any device may send, by an unknown amount
    frame.offload = offload_from_vnet_header(vnet);
    return length;
  }

  DropReason send_one(const OutgoingFrame& frame) const {
    VnetHeader vnet = vnet_header_from_offload(frame.offload, frame.length());
    const iovec parts[3] = {{&vnet, sizeof vnet},
                            {const_cast<std::uint8_t*>(frame.header.data()), frame.header.size()},
                            {const_cast<std::uint8_t*>(frame.payload.data()), frame.payload.size()}};
    ssize_t sent = -1;
    do {
      sent = ::writev(tap_.get(), parts, 3);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) return DropReason::none;
    switch (errno) {
      case EIO:
        return DropReason::link_down;
      case EBADFD:
        return DropReason::port_waiting;
      case EAGAIN:
      case ENOBUFS:
      case ENOMEM:
        return DropReason::no_buffers;
      case EMSGSIZE:
        return DropReason::too_big;
      default:
        return DropReason::send_error;
    }
  }

  /// Stops watching a device that was deleted.
  void forget_device() { ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, tap_.get(), nullptr); }

  const UniqueFd tap_;
  const UniqueFd poll_;
  const std::unique_ptr<std::uint8_t[]> arena_;  // the frames of one batch
};

}  // namespace

std::unique_ptr<Port> open_tap_port(const TapOptions& options) {
  return std::make_unique<TapPort>(options);
}

}  // namespace vswitch
