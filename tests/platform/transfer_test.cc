// SPDX-License-Identifier: Apache-2.0
// Real TCP and UDP between hosts with default offloads, through two ports and a forwarding loop.
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <iostream>
#include <optional>
#include <thread>
#include <utility>

#include "datapath/port/af_packet_port.h"
#include "datapath/port/tap_port.h"
#include "tests/platform/forwarder.h"
#include "tests/platform/lab.h"

namespace vswitch::platform {
namespace {

constexpr std::size_t kTransfer = 100 * 1024 * 1024;
constexpr std::uint16_t kTcpPort = 5001;

std::uint8_t pattern(std::size_t at) {
  return static_cast<std::uint8_t>(at * 31 + (at >> 11));
}

sockaddr_in address(const char* ip, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  ::inet_pton(AF_INET, ip, &result.sin_addr);
  return result;
}

class TransferTest : public PlatformTest {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    make_veth(switch_, "pa", host_a_, "ha");
    make_veth(switch_, "pb", host_b_, "hb");
    run(host_a_, "ip addr add 10.0.0.1/24 dev ha");
    run(host_b_, "ip addr add 10.0.0.2/24 dev hb");
  }

  std::unique_ptr<Port> open(const std::string& name) {
    AfPacketOptions options;
    options.name = name;
    options.ifindex = ifindex_of(switch_, name);
    // The forwarder's thread is in no namespace where a ring could grow.
    options.first_slots = options.slots;
    options.first_slot_size = options.slot_size;
    const Inside inside(switch_);
    return open_af_packet_port(options);
  }

  /// Sends kTransfer bytes from a to 10.0.0.2 in space b and compares every byte. Returns Gbit/s.
  static double transfer(const Namespace& a, const Namespace& b) {
    UniqueFd listener;
    UniqueFd sender;
    {
      const Inside inside(b);
      listener = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_in any = address("0.0.0.0", kTcpPort);
      EXPECT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
      EXPECT_EQ(::listen(listener.get(), 1), 0);
    }
    {
      const Inside inside(a);
      sender = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    }
    const auto start = std::chrono::steady_clock::now();
    std::thread sending([&] {
      const sockaddr_in to = address("10.0.0.2", kTcpPort);
      if (::connect(sender.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return;
      Bytes chunk(256 * 1024);
      for (std::size_t done = 0; done < kTransfer; done += chunk.size()) {
        for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] = pattern(done + i);
        for (std::size_t sent = 0; sent < chunk.size();) {
          const ssize_t n = ::send(sender.get(), chunk.data() + sent, chunk.size() - sent, MSG_NOSIGNAL);
          if (n <= 0) return;
          sent += static_cast<std::size_t>(n);
        }
      }
      ::shutdown(sender.get(), SHUT_WR);
    });
    const UniqueFd receiver(::accept(listener.get(), nullptr, nullptr));
    const timeval patience{10, 0};
    ::setsockopt(receiver.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    Bytes buffer(256 * 1024);
    std::size_t received = 0;
    bool same = true;
    while (true) {
      const ssize_t n = ::recv(receiver.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) break;
      for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
        same = same && buffer[i] == pattern(received + i);
      received += static_cast<std::size_t>(n);
    }
    ::shutdown(receiver.get(), SHUT_RDWR);
    sending.join();
    EXPECT_TRUE(same);
    EXPECT_EQ(received, kTransfer);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    return static_cast<double>(received) * 8 / took.count() / 1e9;
  }

  void report(const char* what, double speed, const Forwarder& forwarder) {
    std::cout << what << ": " << speed << " Gbit/s, " << forwarder.frames() << " frames, "
              << forwarder.gso_packets() << " of them GSO packets, " << forwarder.lost() << " lost\n";
  }

  Namespace switch_;
  Namespace host_a_;
  Namespace host_b_;
};

struct Path {
  const char* name;
  bool tagged;  ///< host a - pa [tag pushed] pc = pd [tag taken off] pb - host b; otherwise a - pa, pb - b
  int mtu;
  bool gso_packets;  ///< false: the hosts, or the tagged link, do without segmentation offloads
};

class TcpTransferTest : public TransferTest, public ::testing::WithParamInterface<Path> {};

TEST_P(TcpTransferTest, EveryByteArrives) {
  const Path& path = GetParam();
  run(switch_, "ip link add pc type veth peer name pd; ip link set pc up; ip link set pd up");
  for (const auto& [space, device] :
       {std::pair(&switch_, "pa"), std::pair(&switch_, "pb"), std::pair(&host_a_, "ha"),
        std::pair(&host_b_, "hb"), std::pair(&switch_, "pc"), std::pair(&switch_, "pd")}) {
    run(*space, "ip link set mtu " + std::to_string(path.mtu) + " dev " + device);
    if (!path.gso_packets && (path.tagged ? device[1] >= 'c' : device[0] == 'h'))
      run(*space, std::string("ethtool -K ") + device + " tso off gso off");
  }
  const auto a = open("pa");
  const auto b = open("pb");
  const auto c = open("pc");
  const auto d = open("pd");
  const VlanTag tag{kTpid8021Q, 77};
  std::optional<Forwarder> left, right;
  if (path.tagged) {
    left.emplace(*a, *c, tag);
    right.emplace(*b, *d, tag);
  } else {
    right.emplace(*a, *b);
  }
  report(path.name, transfer(host_a_, host_b_), *right);
  EXPECT_EQ(right->gso_packets() > 0, path.gso_packets);
}

INSTANTIATE_TEST_SUITE_P(Paths, TcpTransferTest,
                         ::testing::Values(Path{"veth to veth", false, 1500, true},
                                           Path{"veth to veth, 9000-byte frames", false, 9000, false},
                                           Path{"tagged link", true, 1500, true},
                                           Path{"tagged link that cannot cut up", true, 1500, false}));

TEST_F(TransferTest, TcpFromTheHostItself) {
  const auto b = open("pb");
  std::unique_ptr<Port> local;
  {
    const Inside inside(switch_);
    TapOptions options;
    options.name = "br0";
    local = open_tap_port(options);
    run("ip addr add 10.0.0.1/24 dev br0; ip link set br0 up");
  }
  const Forwarder forwarder(*local, *b);
  report("tap to veth", transfer(switch_, host_b_), forwarder);
  EXPECT_GT(forwarder.gso_packets(), 0U);
}

TEST_F(TransferTest, TcpToTheHostItself) {
  const auto a = open("pa");
  std::unique_ptr<Port> local;
  {
    const Inside inside(switch_);
    TapOptions options;
    options.name = "br0";
    local = open_tap_port(options);
    run("ip addr add 10.0.0.2/24 dev br0; ip link set br0 up");
  }
  const Forwarder forwarder(*a, *local);
  report("veth to tap", transfer(host_a_, switch_), forwarder);
  EXPECT_GT(forwarder.gso_packets(), 0U);
}

TEST_F(TransferTest, UdpWithSegmentationLeftToTheDevice) {
  const auto a = open("pa");
  const auto b = open("pb");
  const Forwarder forwarder(*a, *b);
  UniqueFd receiver;
  UniqueFd sender;
  {
    const Inside inside(host_b_);
    receiver = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in any = address("0.0.0.0", 5002);
    ASSERT_EQ(::bind(receiver.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    const timeval patience{2, 0};
    ::setsockopt(receiver.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  {
    const Inside inside(host_a_);
    sender = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  }
  const int segment = 1000;
  ASSERT_EQ(::setsockopt(sender.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
  Bytes data(20 * 1000 + 500);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = pattern(i);
  const sockaddr_in to = address("10.0.0.2", 5002);
  ASSERT_EQ(
      ::sendto(sender.get(), data.data(), data.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
      static_cast<ssize_t>(data.size()));
  Bytes received;
  while (received.size() < data.size()) {
    Bytes datagram(2000);
    const ssize_t n = ::recv(receiver.get(), datagram.data(), datagram.size(), 0);
    ASSERT_GT(n, 0) << "after " << received.size() << " bytes";
    ASSERT_LE(n, segment);
    received.insert(received.end(), datagram.begin(), datagram.begin() + n);
  }
  EXPECT_EQ(received, data);
  EXPECT_EQ(forwarder.gso_packets(), 1U);
}

}  // namespace
}  // namespace vswitch::platform
