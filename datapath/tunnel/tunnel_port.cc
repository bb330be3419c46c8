// SPDX-License-Identifier: Apache-2.0
// Tunnel ports on raw sockets.
//
// Packets come reassembled from the host's IP stack. A filter in the kernel passes only packets from the
// remote end, and decapsulate() selects those of this tunnel, because several tunnels to one address have a
// socket each. For VXLAN and Geneve a second, ordinary UDP socket binds the port, so that the host does not answer with
// "port unreachable".
#include "datapath/tunnel/tunnel_port.h"

#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "datapath/base/socket_buffer.h"
#include "datapath/base/unique_fd.h"
#include "datapath/frame/headers.h"
#include "datapath/frame/left_undone.h"
#include "datapath/tunnel/inherit.h"
#include "datapath/tunnel/pieces.h"
#include "datapath/tunnel/raw_socket.h"

namespace vswitch {
namespace {

constexpr int kReceiveBytes = 4 << 20;
constexpr std::size_t kMaxPacketLength = 65535;

/// Appends instructions that compare the address at `offset` in the network header with `address`. If they
/// are equal, the program continues with what follows, otherwise it skips `otherwise` instructions of that.
/// (A raw IPv6 socket's data begins behind the header.)
void compare_address(std::vector<sock_filter>& program, std::uint32_t offset, const IpAddress& address,
                     std::size_t otherwise) {
  const auto bytes = address.bytes();
  const std::size_t words = bytes.size() / 4;
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint32_t word = static_cast<std::uint32_t>(bytes[4 * i] << 24 | bytes[4 * i + 1] << 16 |
                                                          bytes[4 * i + 2] << 8 | bytes[4 * i + 3]);
    const std::uint32_t at = static_cast<std::uint32_t>(SKF_NET_OFF) + offset;
    const auto elsewhere = static_cast<std::uint8_t>(2 * (words - 1 - i) + otherwise);
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at + static_cast<std::uint32_t>(4 * i)));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word, 0, elsewhere));
  }
}

/// Receives only packets whose IP source address is `remote` and whose destination is not in `not_to`.
void receive_only_from(const UniqueFd& fd, const IpAddress& remote, std::span<const IpAddress> not_to) {
  const std::uint32_t source = remote.v6 ? 8 : 12;
  const std::uint32_t destination = remote.v6 ? 24 : 16;
  const sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  std::vector<sock_filter> program;
  for (const IpAddress& other : not_to) {
    compare_address(program, destination, other, 1);
    program.push_back(drop);
  }
  compare_address(program, source, remote, 1);
  program.push_back(BPF_STMT(BPF_RET | BPF_K, 0xffffffffU));
  program.push_back(drop);
  tunnel::set_socket_filter(fd, program);
}

UniqueFd open_receiver(const tunnel::TunnelEndpointSettings& settings, std::span<const IpAddress> not_to) {
  UniqueFd fd = tunnel::open_raw_socket(settings);
  // An IPv4 packet comes with its header.
  if (settings.remote.v6) tunnel::set_socket_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS");
  receive_only_from(fd, settings.remote, not_to);
  set_receive_buffer(fd.get(), kReceiveBytes);
  return fd;
}

/// Empty if another socket has the port: then the host does not answer either.
UniqueFd hold_udp_port(const tunnel::TunnelEndpointSettings& settings) {
  if (!tunnel::is_udp(settings.encapsulation.encap)) return {};
  UniqueFd fd(::socket(settings.remote.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return {};
  tunnel::block_receive(fd);
  tunnel::set_socket_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");  // several tunnels, one port
  if (settings.remote.v6) tunnel::set_socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
  sockaddr_storage any{};
  any.ss_family = static_cast<sa_family_t>(settings.remote.family());
  // The port is at the same offset in both families.
  reinterpret_cast<sockaddr_in&>(any).sin_port = htons(settings.encapsulation.dst_port);
  const socklen_t length = settings.remote.v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), length) != 0) return {};
  return fd;
}

/// What follows the IP header. A raw IPv4 socket also delivers that header.
std::span<const std::uint8_t> behind_ip(std::span<const std::uint8_t> packet, bool v6) {
  if (v6) return packet;
  const std::size_t header = packet.empty() ? 0 : std::size_t{4} * (packet[0] & 0x0f);
  return packet.size() < header ? std::span<const std::uint8_t>() : packet.subspan(header);
}

/// DSCP and ECN of a received packet.
std::uint8_t tos_of(std::span<const std::uint8_t> packet, bool v6, msghdr& message) {
  if (!v6) {
    const auto header = Ipv4View::of(packet);
    return header ? header->tos() : 0;
  }
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != IPPROTO_IPV6 || one->cmsg_type != IPV6_TCLASS) continue;
    int traffic_class = 0;
    std::memcpy(&traffic_class, CMSG_DATA(one), sizeof traffic_class);
    return static_cast<std::uint8_t>(traffic_class);
  }
  return 0;
}

class TunnelPort final : public Port {
 public:
  TunnelPort(std::shared_ptr<tunnel::TunnelEndpoint> endpoint, std::size_t senders,
             std::span<const IpAddress> not_to)
      : endpoint_(std::move(endpoint)),
        receiver_(open_receiver(endpoint_->settings(), not_to)),
        udp_port_(hold_udp_port(endpoint_->settings())),
        // Uses memory only as far as packets have filled it.
        arena_(new std::uint8_t[kBatchSize * kMaxPacketLength]),
        senders_(senders) {}

  int receive_fd() const override { return receiver_.get(); }

  std::size_t receive(std::span<RawFrame> into) override {
    const std::size_t wanted = std::min(into.size(), kBatchSize);
    std::array<iovec, kBatchSize> parts;
    std::array<mmsghdr, kBatchSize> messages{};
    struct alignas(cmsghdr) Control {
      std::array<std::uint8_t, CMSG_SPACE(sizeof(int))> bytes;
    };
    std::array<Control, kBatchSize> control;
    for (std::size_t i = 0; i < wanted; ++i) {
      parts[i] = {arena_.get() + i * kMaxPacketLength, kMaxPacketLength};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = control[i].bytes.data();
      messages[i].msg_hdr.msg_controllen = control[i].bytes.size();
    }
    const int got =
        ::recvmmsg(receiver_.get(), messages.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
    std::size_t count = 0;
    for (std::size_t i = 0; got > 0 && i < static_cast<std::size_t>(got); ++i) {
      const std::span<const std::uint8_t> packet(arena_.get() + i * kMaxPacketLength, messages[i].msg_len);
      const tunnel::TunnelEndpointSettings& settings = endpoint_->settings();
      const auto frame = tunnel::decapsulate(settings.encapsulation, behind_ip(packet, settings.remote.v6));
      if (!frame) continue;
      const std::span<std::uint8_t> writable(arena_.get() + (frame->data() - arena_.get()), frame->size());
      const std::uint8_t tos = tos_of(packet, settings.remote.v6, messages[i].msg_hdr);
      into[count++] = {.bytes = *frame,
                       .stripped_tag = {},
                       .offload = left_undone(*frame, endpoint_->longest_frame()),
                       .congested = settings.inherit_ecn && !tunnel::take_congestion_mark(tos, writable)};
    }
    return count;
  }

  void release() override {}

  void send(SenderId sender, std::span<OutgoingFrame> frames) override {
    auto& [pieces, counts] = senders_[index(sender)];
    for (OutgoingFrame& frame : frames) {
      const std::size_t before = pieces.size();
      frame.outcome = pieces.add(frame, {.segment_gso = true,
                                         .endpoint = endpoint_.get(),
                                         .mtu_policy = tunnel::mtu_policy_of_port(endpoint_->settings())});
      counts.push_back(pieces.size() - before);
    }
    endpoint_->send(pieces.all());
    std::span<const OutgoingFrame> rest = pieces.all();
    for (std::size_t i = 0; i < frames.size(); ++i) {
      for (const OutgoingFrame& piece : rest.first(counts[i])) {
        if (piece.outcome != DropReason::none) frames[i].outcome = piece.outcome;
      }
      rest = rest.subspan(counts[i]);
    }
    pieces.clear();
    counts.clear();
  }

  std::uint64_t receive_overruns() override {
    std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
    socklen_t length = sizeof memory;
    ::getsockopt(receiver_.get(), SOL_SOCKET, SO_MEMINFO, memory.data(), &length);
    return memory[SK_MEMINFO_DROPS];
  }

 private:
  struct Sender {
    tunnel::Pieces pieces;
    std::vector<std::size_t> counts;  ///< of pieces, frame by frame
  };

  const std::shared_ptr<tunnel::TunnelEndpoint> endpoint_;
  const UniqueFd receiver_;
  const UniqueFd udp_port_;
  const std::unique_ptr<std::uint8_t[]> arena_;
  std::vector<Sender> senders_;
};

}  // namespace

std::unique_ptr<Port> open_tunnel_port(std::shared_ptr<tunnel::TunnelEndpoint> endpoint, std::size_t senders,
                                       std::span<const IpAddress> not_to) {
  return std::make_unique<TunnelPort>(std::move(endpoint), senders, not_to);
}

}  // namespace vswitch
