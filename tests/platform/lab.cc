// SPDX-License-Identifier: Apache-2.0
// Namespaces, veth pairs, raw sockets and frames of the platform tests.
#include "tests/platform/lab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace vswitch::platform {
namespace {

constexpr std::size_t kEthernet = 14;
constexpr std::size_t kIpv4 = 20;
constexpr std::size_t kTcp = 20;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::uint16_t get16(const Bytes& bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}
void put16(Bytes& bytes, std::size_t at, std::size_t value) {
  bytes.at(at) = static_cast<std::uint8_t>(value >> 8);
  bytes.at(at + 1) = static_cast<std::uint8_t>(value);
}

/// RFC 1071 sum of bytes[from, to), folded, not complemented.
std::uint32_t sum(const Bytes& bytes, std::size_t from, std::size_t to, std::uint32_t start = 0) {
  std::uint64_t total = start;
  for (std::size_t i = from; i < to; i += 2) total += bytes[i] << 8 | (i + 1 < to ? bytes[i + 1] : 0);
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint32_t>(total);
}

std::uint32_t pseudo_header_sum(const Bytes& frame) {
  const std::size_t tcp_length = frame.size() - kEthernet - kIpv4;
  return sum(frame, kEthernet + 12, kEthernet + 20, static_cast<std::uint32_t>(IPPROTO_TCP + tcp_length));
}

/// The kernel drops what is sent before it has noticed the carrier.
void wait_for_carrier(const Namespace& space, const std::string& name) {
  run(space, "for try in $(seq 5000); do ip -o link show " + name +
                 " | grep -q 'qdisc noop ' || exit 0; sleep 0.001; done; exit 1");
}

}  // namespace

Namespace::Namespace() {
  std::exception_ptr error;
  std::thread([&] {
    try {
      if (::unshare(CLONE_NEWNET) != 0) fail("unshare");
      fd_ = UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      if (!fd_) fail("/proc/thread-self/ns/net");
      for (const char* which : {"default", "all"}) {
        std::ofstream("/proc/sys/net/ipv6/conf/" + std::string(which) + "/disable_ipv6") << 1;
      }
      run("ip link set lo up");
    } catch (...) {
      error = std::current_exception();
    }
  }).join();
  if (error) std::rethrow_exception(error);
}

std::string Namespace::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_.get());
}

Inside::Inside(const Namespace& space) : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
  if (::setns(space.fd(), CLONE_NEWNET) != 0) fail("setns");
}

Inside::~Inside() {
  if (::setns(before_.get(), CLONE_NEWNET) != 0) std::abort();
}

std::string run(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
  if (pipe == nullptr) fail("popen");
  std::string output;
  std::array<char, 4096> buffer;
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe))
    output.append(buffer.data(), n);
  if (::pclose(pipe) != 0) throw std::runtime_error(command + ": " + output);
  return output;
}

std::string run(const Namespace& space, const std::string& command) {
  const Inside inside(space);
  return run(command);
}

void make_veth(const Namespace& space, const std::string& name, const Namespace& peer_space,
               const std::string& peer) {
  run(space, "ip link add " + name + " type veth peer name " + peer + " netns " + peer_space.path());
  run(space, "ip link set " + name + " up");
  run(peer_space, "ip link set " + peer + " up");
  wait_for_carrier(space, name);
  wait_for_carrier(peer_space, peer);
}

int ifindex_of(const Namespace& space, const std::string& name) {
  const Inside inside(space);
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) fail(name);
  return static_cast<int>(index);
}

Bytes Seen::on_wire() const {
  return tag ? with_tag(bytes, *tag) : bytes;
}

RawSocket::RawSocket(const Namespace& space, const std::string& device, bool see_outgoing) {
  const Inside inside(space);
  fd_ = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  const int on = 1;
  const int large = 64 * 1024 * 1024;
  if (::setsockopt(fd_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ||
      ::setsockopt(fd_.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) != 0 ||
      ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large) != 0) {
    fail("raw socket on " + device);
  }
  if (!see_outgoing) ::setsockopt(fd_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(device.c_str()));
  if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail(device);
}

int RawSocket::send(const Bytes& frame, const VnetHeader& vnet) const {
  iovec parts[2] = {{const_cast<VnetHeader*>(&vnet), sizeof vnet},
                    {const_cast<std::uint8_t*>(frame.data()), frame.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  return ::sendmsg(fd_.get(), &message, 0) < 0 ? errno : 0;
}

std::optional<Seen> RawSocket::receive(std::chrono::milliseconds patience) const {
  pollfd waiting{fd_.get(), POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return std::nullopt;
  Seen seen;
  // The length first: a buffer for the longest GSO packet would be cleared for each frame.
  const ssize_t whole = ::recv(fd_.get(), &seen.vnet, sizeof seen.vnet, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  if (whole < static_cast<ssize_t>(sizeof seen.vnet)) return std::nullopt;
  seen.bytes.resize(static_cast<std::size_t>(whole) - sizeof seen.vnet);
  iovec parts[2] = {{&seen.vnet, sizeof seen.vnet}, {seen.bytes.data(), seen.bytes.size()}};
  alignas(cmsghdr) std::array<char, 256> control;
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
  if (length < static_cast<ssize_t>(sizeof seen.vnet)) return std::nullopt;
  seen.bytes.resize(static_cast<std::size_t>(length) - sizeof seen.vnet);
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_PACKET || item->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata auxiliary;
    std::memcpy(&auxiliary, CMSG_DATA(item), sizeof auxiliary);
    if ((auxiliary.tp_status & TP_STATUS_VLAN_VALID) != 0) {
      seen.tag = VlanTag{auxiliary.tp_vlan_tpid, auxiliary.tp_vlan_tci};
    }
  }
  return seen;
}

Bytes test_frame(std::size_t length, std::uint8_t seed) {
  Bytes frame{0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x02, 0xaa, 0xbb, 0xcc, 0xdd, seed, 0x88, 0xb5};
  while (frame.size() < length) frame.push_back(static_cast<std::uint8_t>(frame.size() * 7 + seed));
  return frame;
}

Bytes with_tag(const Bytes& frame, VlanTag tag) {
  Bytes tagged = frame;
  const std::uint8_t bytes[4] = {static_cast<std::uint8_t>(tag.tpid >> 8),
                                 static_cast<std::uint8_t>(tag.tpid), static_cast<std::uint8_t>(tag.tci >> 8),
                                 static_cast<std::uint8_t>(tag.tci)};
  tagged.insert(tagged.begin() + kAddressesLength, bytes, bytes + sizeof bytes);
  return tagged;
}

Bytes tcp_frame(std::size_t payload) {
  Bytes frame(kEthernet + kIpv4 + kTcp + payload, 0);
  const Bytes start = test_frame(kEthernet);
  std::copy(start.begin(), start.end(), frame.begin());
  put16(frame, 12, ETH_P_IP);
  frame[14] = 0x45;
  put16(frame, 16, kIpv4 + kTcp + payload);
  frame[22] = 64;
  frame[23] = IPPROTO_TCP;
  const std::uint8_t addresses[8] = {192, 0, 2, 1, 192, 0, 2, 2};
  std::copy(addresses, addresses + 8, frame.begin() + 26);
  put16(frame, 24, ~sum(frame, kEthernet, kEthernet + kIpv4) & 0xffff);
  put16(frame, 34, 4242);
  put16(frame, 36, 5001);
  put16(frame, 40, 1000);  // low half of the sequence number
  frame[46] = 0x50;
  frame[47] = 0x10;  // ACK
  put16(frame, 48, 8192);
  for (std::size_t i = 0; i < payload; ++i) frame[54 + i] = static_cast<std::uint8_t>(i * 13 + (i >> 8));
  put16(frame, 50, pseudo_header_sum(frame));  // the rest is left to the device
  return frame;
}

VnetHeader tcp_vnet(std::uint16_t gso_size) {
  VnetHeader vnet;
  vnet.flags = kVnetNeedsChecksum;
  vnet.checksum_start = kEthernet + kIpv4;
  vnet.checksum_offset = 16;
  vnet.header_length = kEthernet + kIpv4 + kTcp;
  vnet.gso_size = gso_size;
  vnet.gso_type = gso_size == 0 ? 0 : kGsoTcp4;
  return vnet;
}

bool tcp_is_valid(const Bytes& frame) {
  return frame.size() >= kEthernet + kIpv4 + kTcp && get16(frame, 12) == ETH_P_IP &&
         get16(frame, 16) == frame.size() - kEthernet && sum(frame, kEthernet, kEthernet + kIpv4) == 0xffff &&
         sum(frame, kEthernet + kIpv4, frame.size(), pseudo_header_sum(frame)) == 0xffff;
}

Bytes tcp_payload(const Bytes& frame) {
  return {frame.begin() + kEthernet + kIpv4 + kTcp, frame.end()};
}

std::vector<Got> receive(Port& port, std::size_t count) {
  std::vector<Got> all;
  std::array<RawFrame, kBatchSize> batch;
  while (all.size() < count) {
    const std::size_t n = port.receive(batch);
    for (std::size_t i = 0; i < n; ++i) {
      const RawFrame& raw = batch[i];
      all.push_back({{raw.bytes.begin(), raw.bytes.end()}, raw.stripped_tag, raw.offload, raw.truncated});
    }
    if (n != 0) {
      port.release();
    } else if (poll_port(port, std::chrono::milliseconds(500)) == 0) {
      break;
    }
  }
  return all;
}

DropReason send(Port& port, const Bytes& frame, const Offload& offload, std::size_t header) {
  OutgoingFrame out;
  out.header = std::span(frame).first(header);
  out.payload = std::span(frame).subspan(header);
  out.offload = offload;
  out.outcome = DropReason::malformed;
  port.send(SenderId{0}, {&out, 1});
  return out.outcome;
}

short poll_port(const Port& port, std::chrono::milliseconds patience) {
  pollfd waiting{port.receive_fd(), POLLIN, 0};
  ::poll(&waiting, 1, static_cast<int>(patience.count()));
  return waiting.revents;
}

void PlatformTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces and packet sockets";
}

}  // namespace vswitch::platform
