// SPDX-License-Identifier: Apache-2.0
#include "datapath/tunnel/tunnel_endpoint.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "datapath/base/socket_buffer.h"
#include "datapath/port/port.h"
#include "datapath/tunnel/raw_socket.h"

namespace vswitch::tunnel {

namespace {

constexpr int kSendBytes = 4 << 20;  // what may wait in the host's devices
constexpr std::size_t kMaxPacketLength = 65535;

void set_ipv4_options(const UniqueFd& fd, const TunnelEndpointSettings& settings) {
  set_socket_option(fd, IPPROTO_IP, IP_TTL, int{settings.ttl}, "IP_TTL");
  set_socket_option(fd, IPPROTO_IP, IP_TOS, settings.dscp << 2, "IP_TOS");
  set_socket_option(fd, IPPROTO_IP, IP_MTU_DISCOVER,
                    settings.dont_fragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT, "IP_MTU_DISCOVER");
}

void set_ipv6_options(const UniqueFd& fd, const TunnelEndpointSettings& settings) {
  set_socket_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, int{settings.ttl}, "IPV6_UNICAST_HOPS");
  set_socket_option(fd, IPPROTO_IPV6, IPV6_TCLASS, settings.dscp << 2, "IPV6_TCLASS");
  set_socket_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
                    settings.dont_fragment ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT, "IPV6_MTU_DISCOVER");
  // Receivers drop UDP over IPv6 without a checksum (RFC 8200, section 8.1): the kernel writes it.
  if (is_udp(settings.encapsulation.encap))
    set_socket_option(fd, IPPROTO_IPV6, IPV6_CHECKSUM, int{kUdpChecksumAt}, "IPV6_CHECKSUM");
}

UniqueFd open_sender(const TunnelEndpointSettings& settings) {
  UniqueFd fd = open_raw_socket(settings);
  block_receive(fd);  // a raw socket also receives all packets of its protocol
  set_send_buffer(fd.get(), kSendBytes);
  settings.remote.v6 ? set_ipv6_options(fd, settings) : set_ipv4_options(fd, settings);
  return fd;
}

/// The kernel processes "packet too big" (RFC 8201) for a raw IPv6 socket only if the socket requests errors,
/// and a pending error fails the next send. A second socket that never sends therefore requests them. Its
/// errors are not read; its buffer holds only a few.
UniqueFd open_path_mtu_socket(const TunnelEndpointSettings& settings) {
  if (!settings.remote.v6) return {};
  UniqueFd fd = open_raw_socket(settings);
  block_receive(fd);
  set_socket_option(fd, SOL_SOCKET, SO_RCVBUF, 1, "SO_RCVBUF");
  set_socket_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1, "IPV6_RECVERR");
  return fd;
}

/// Control messages with the TTL and TOS of one packet (ip(7), ipv6(7)).
class OuterHeader {
 public:
  void attach(msghdr& message, const OutgoingFrame& packet, bool v6) {
    message.msg_control = buffer_.data();
    message.msg_controllen = buffer_.size();
    cmsghdr* next = CMSG_FIRSTHDR(&message);
    put(*next, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_HOPLIMIT : IP_TTL, packet.ttl);
    next = CMSG_NXTHDR(&message, next);
    put(*next, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, packet.tos);
  }

 private:
  static void put(cmsghdr& message, int level, int type, int value) {
    message.cmsg_level = level;
    message.cmsg_type = type;
    message.cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(CMSG_DATA(&message), &value, sizeof value);
  }

  alignas(cmsghdr) std::array<std::uint8_t, 2 * CMSG_SPACE(sizeof(int))> buffer_{};
};

/// Bytes of frame that fit in an IP packet of `packet` bytes.
std::size_t room(const TunnelEndpointSettings& settings, std::size_t packet) {
  const std::size_t headers = (settings.remote.v6 ? Ipv6View::kLength : Ipv4View::kLength) +
                              encapsulation_length(settings.encapsulation);
  return packet > headers ? packet - headers : 0;
}

}  // namespace

TunnelEndpoint::TunnelEndpoint(const TunnelEndpointSettings& settings)
    : settings_(settings),
      socket_(open_sender(settings)),
      path_mtu_socket_(open_path_mtu_socket(settings)),
      longest_frame_(room(settings, kMaxPacketLength)) {}

void TunnelEndpoint::set_path(DropReason trouble, std::uint32_t mtu) {
  const std::size_t packet = mtu == 0 ? kMaxPacketLength : std::min<std::size_t>(mtu, kMaxPacketLength);
  longest_frame_.store(room(settings_, packet), std::memory_order_relaxed);
  trouble_.store(trouble, std::memory_order_relaxed);
}

void TunnelEndpoint::send(std::span<OutgoingFrame> packets) {
  if (const DropReason reason = trouble(); reason != DropReason::none) {
    for (OutgoingFrame& packet : packets) packet.outcome = reason;
    return;
  }
  sockaddr_storage address;
  const socklen_t address_length = settings_.remote.to_sockaddr(address);
  std::array<std::array<iovec, 2>, kBatchSize> parts;
  std::array<mmsghdr, kBatchSize> messages{};
  std::array<OuterHeader, kBatchSize> outer;
  while (!packets.empty()) {
    const std::size_t count = std::min(packets.size(), kBatchSize);
    for (std::size_t i = 0; i < count; ++i) {
      // sendmsg(2) reads through iovec only.
      parts[i][0] = {const_cast<std::uint8_t*>(packets[i].header.data()), packets[i].header.size()};
      parts[i][1] = {const_cast<std::uint8_t*>(packets[i].payload.data()), packets[i].payload.size()};
      messages[i].msg_hdr.msg_name = &address;
      messages[i].msg_hdr.msg_namelen = address_length;
      messages[i].msg_hdr.msg_iov = parts[i].data();
      messages[i].msg_hdr.msg_iovlen = parts[i].size();
      if (settings_.inherits()) outer[i].attach(messages[i].msg_hdr, packets[i], settings_.remote.v6);
    }
    const int sent = ::sendmmsg(socket_.get(), messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    const std::size_t done = sent > 0 ? static_cast<std::size_t>(sent) : refused(errno, packets);
    if (sent > 0) {
      for (OutgoingFrame& packet : packets.first(done)) packet.outcome = DropReason::none;
    }
    packets = packets.subspan(done);
  }
}

/// Handles the refusal of the first packet. Sets outcomes and returns for how many packets: all of them if
/// the others would fail the same way, 0 to try again.
std::size_t TunnelEndpoint::refused(int error, std::span<OutgoingFrame> packets) {
  const auto all = [packets](DropReason reason) {
    for (OutgoingFrame& packet : packets) packet.outcome = reason;
    return packets.size();
  };
  const auto first = [packets](DropReason reason) {
    packets[0].outcome = reason;
    return std::size_t{1};
  };
  switch (error) {
    case EINTR:
      return 0;
    case EMSGSIZE:
      outgrown_.store(true, std::memory_order_relaxed);
      return first(DropReason::too_big);
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
      return all(DropReason::no_route);
    case ENETDOWN:
    case ENODEV:
    case ENXIO:
      return all(DropReason::link_down);
    case EAGAIN:
    case ENOBUFS:
      return all(DropReason::no_buffers);
    default:
      return first(DropReason::send_error);
  }
}

}  // namespace vswitch::tunnel
