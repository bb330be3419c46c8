// SPDX-License-Identifier: Apache-2.0
// Internal ports on /dev/net/tun.
//
// A tap device has no batches: one read(2) or writev(2) per frame. Its file can be written from several
// threads at once, so all senders share it. VLAN tags are part of the data in both directions.
//
// Everything goes through that file, which stays with the device whatever it is called and wherever it is.
#include "datapath/port/tap_port.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

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

UniqueFd open_driver(const std::string& name) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) fail(errno, "cannot open /dev/net/tun for the internal port " + name);
  return fd;
}

/// Returns 0 or errno. Without IFF_TUN_EXCL it creates the device or attaches to an existing one.
int attach(int fd, const std::string& name, int flags) {
  ifreq request = request_for(name);
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags);
  return ::ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : errno;
}

std::string why_not_attached(int error, const std::string& name) {
  const std::string cannot = "cannot open the internal port " + name + ": ";
  if (error == EBUSY) return cannot + "another program has the tap open";
  if (error == EINVAL) return cannot + "the device with this name is not a tap with a single queue";
  return cannot + std::strerror(error);
}

struct OpenTap {
  UniqueFd fd;
  bool is_new = false;
};

OpenTap open_tap(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    fail(EINVAL, "\"" + name + "\" is not a device name: device names have 1 to 15 characters");
  }
  UniqueFd fd = open_driver(name);
  int error = attach(fd.get(), name, IFF_TUN_EXCL);
  if (error == 0) return {std::move(fd), true};
  if (error == EBUSY) error = attach(fd.get(), name, 0);
  if (error != 0) throw std::runtime_error(why_not_attached(error, name));
  return {std::move(fd), false};
}

/// Tells the host's stack what it may leave to the port: unfinished checksums and GSO packets.
void set_offloads(int fd, const std::string& name) {
  const unsigned base = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (::ioctl(fd, TUNSETOFFLOAD, base | kTunUso4 | kTunUso6) == 0) return;
  if (::ioctl(fd, TUNSETOFFLOAD, base) != 0)
    fail(errno, "cannot set the offloads of the internal port " + name);
}

void set_mac(int fd, const std::string& name, const MacAddr& mac) {
  ifreq request{};
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, mac.octets.data(), mac.octets.size());
  if (::ioctl(fd, SIOCSIFHWADDR, &request) != 0) {
    fail(errno, "cannot set the address of the internal port " + name + " to " + mac.to_string());
  }
}

/// Whoever had the device before may have used longer headers.
void set_header_length(int fd, const std::string& name) {
  const int length = sizeof(VnetHeader);
  if (::ioctl(fd, TUNSETVNETHDRSZ, &length) != 0)
    fail(errno, "cannot set the header of frames of the internal port " + name);
}

bool is_same_file(const UniqueFd& one, const UniqueFd& other) {
  struct stat a {
  }, b{};
  return ::fstat(one.get(), &a) == 0 && ::fstat(other.get(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

class OpenTapPort final : public TapPort {
 public:
  explicit OpenTapPort(const TapOptions& options) : OpenTapPort(options, open_tap(options.name)) {}

  bool is_new() const override { return is_new_; }

  std::optional<TapPlace> place() const override {
    ifreq request{};
    if (::ioctl(tap_.get(), TUNGETIFF, &request) != 0) return std::nullopt;
    TapPlace place{.name = request.ifr_name, .netns = {}};
    UniqueFd netns(::ioctl(tap_.get(), TUNGETDEVNETNS));
    const UniqueFd home(::ioctl(tap_.get(), SIOCGSKNS));  // of the file, not of the device
    if (netns && home && !is_same_file(netns, home)) place.netns = std::move(netns);
    return place;
  }

  void set_persistent(bool on) override { ::ioctl(tap_.get(), TUNSETPERSIST, on ? 1L : 0L); }

  void set_ifindex(int ifindex) override { ifindex_.store(ifindex, std::memory_order_relaxed); }
  KernelDevice kernel_device() const override {
    const int ifindex = ifindex_.load(std::memory_order_relaxed);
    if (ifindex == 0) return {};
    return {.ifindex = ifindex,
            .is_filtered = false,
            .takes_frames = true,
            .takes_copies = false,  // they would have unfinished checksums
            .is_host = true};
  }

  void detach() override {
    set_ifindex(0);
    ::ioctl(tap_.get(), TUNSETOFFLOAD, 0L);  // the next program may not expect GSO packets
    const UniqueFd nothing(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (nothing) ::dup3(nothing.get(), tap_.get(), O_CLOEXEC);
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
  OpenTapPort(const TapOptions& options, OpenTap tap)
      : tap_(std::move(tap.fd)),
        poll_(::epoll_create1(EPOLL_CLOEXEC)),
        arena_(std::make_unique_for_overwrite<std::uint8_t[]>(kArenaBytes)),
        is_new_(tap.is_new) {
    set_header_length(tap_.get(), options.name);
    set_offloads(tap_.get(), options.name);
    if (options.mac && is_new_) set_mac(tap_.get(), options.name, *options.mac);
    epoll_event event{};
    event.events = EPOLLIN;
    if (!poll_ || ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, tap_.get(), &event) != 0) {
      fail(errno, "cannot poll the internal port " + options.name);
    }
  }

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
  const bool is_new_;
  std::atomic<int> ifindex_ = 0;
};

}  // namespace

std::unique_ptr<TapPort> open_tap_port(const TapOptions& options) {
  return std::make_unique<OpenTapPort>(options);
}

std::optional<std::string> remove_tap(const std::string& name) {
  try {
    const OpenTap tap = open_tap(name);
    if (::ioctl(tap.fd.get(), TUNSETPERSIST, 0L) == 0) return std::nullopt;
    return "cannot remove the internal port " + name + ": " + std::strerror(errno);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

}  // namespace vswitch
