// SPDX-License-Identifier: Apache-2.0
// Sending by AF_XDP over a real veth pair: what leaves, what is told of what does not, and when it is left to
// somebody else.
#include "datapath/port/xdp_sender.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>

#include "datapath/engine/threads.h"
#include "datapath/port/af_packet_port.h"
#include "tests/platform/lab.h"

namespace vswitch::platform {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 10s;       // for what has to happen
constexpr auto kLittlePatience = 1s;  // for what must not

/// Frames with their bytes.
struct Batch {
  explicit Batch(const std::vector<std::size_t>& lengths) {
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      bytes.push_back(test_frame(lengths[i], static_cast<std::uint8_t>(i + 1)));
    }
    for (const Bytes& frame : bytes) {
      OutgoingFrame& out = frames.emplace_back();
      out.header = std::span(frame).first(12);
      out.payload = std::span(frame).subspan(12);
      out.outcome = DropReason::malformed;  // never told by a device
    }
  }
  std::vector<DropReason> outcomes() const {
    std::vector<DropReason> all;
    for (const OutgoingFrame& frame : frames) all.push_back(frame.outcome);
    return all;
  }

  std::vector<Bytes> bytes;
  std::vector<OutgoingFrame> frames;
};

/// AF_XDP is there, and Linux is 6.17 or later.
bool kernel_can() {
  if (!UniqueFd(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0))) return false;
  utsname name{};
  uname(&name);
  int major = 0;
  int minor = 0;
  std::sscanf(name.release, "%d.%d", &major, &minor);
  return major > 6 || (major == 6 && minor >= 17);
}

class XdpSenderTest : public PlatformTest {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    if (!kernel_can()) GTEST_SKIP() << "needs AF_XDP and Linux 6.17";
    make_veth(switch_, "p0", host_, "h0");
    socket_ = std::make_unique<RawSocket>(host_, "h0");
    const Inside inside(switch_);
    ioctl_ = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  }

  std::unique_ptr<XdpSender> make(const std::string& name = "p0") {
    return std::make_unique<XdpSender>(ifindex_of(switch_, name));
  }
  std::size_t send(XdpSender& sender, Batch& batch) {
    const Inside inside(switch_);
    return sender.send(batch.frames, ioctl_.get());
  }
  /// Keeps it busy until it sends by AF_XDP, or for as long as `patience`. What it sent is thrown away.
  bool begins(const std::function<void(std::span<OutgoingFrame>)>& send_all,
              const std::function<std::size_t()>& memory, std::chrono::milliseconds patience) {
    const Inside inside(switch_);  // the socket is opened in the namespace of who sends
    const auto end = std::chrono::steady_clock::now() + patience;
    Batch small(std::vector<std::size_t>(XdpSender::kMinBatch, 14));
    while (memory() == 0 && std::chrono::steady_clock::now() < end) {
      for (int i = 0; i < 100; ++i) send_all(small.frames);
      std::this_thread::sleep_for(2ms);  // 100 batches: when the first attempt fails there will be others
    }
    while (socket_->receive(20ms)) continue;
    return memory() != 0;
  }
  bool begins(XdpSender& sender, std::chrono::milliseconds patience = kPatience) {
    return begins([&](std::span<OutgoingFrame> frames) { sender.send(frames, ioctl_.get()); },
                  [&] { return sender.memory(); }, patience);
  }
  void expect_received(const std::vector<Bytes>& frames) {
    for (const Bytes& frame : frames) {
      const std::optional<Seen> seen = socket_->receive();
      ASSERT_TRUE(seen);
      EXPECT_EQ(seen->on_wire(), frame);
      EXPECT_EQ(seen->vnet.flags & kVnetNeedsChecksum, 0);
      EXPECT_EQ(seen->vnet.gso_type, 0);
    }
    EXPECT_FALSE(socket_->receive(20ms));
  }

  Namespace switch_;
  Namespace host_;
  std::unique_ptr<RawSocket> socket_;
  UniqueFd ioctl_;
};

TEST_F(XdpSenderTest, ABusySenderTakesOverAndFramesArriveInOrderAsTheyAre) {
  const auto sender = make();
  ASSERT_TRUE(begins(*sender));
  for (int round = 0; round < 5; ++round) {  // slots are used again
    Batch batch({14, 15, 60, 82, 83, 1000, 1514, 64, 64, 1513, 14, 200});
    batch.bytes.push_back(with_tag(test_frame(90), {kTpid8021Q, 0x6005}));
    OutgoingFrame tagged;
    tagged.header = std::span(batch.bytes.back()).first(16);
    tagged.payload = std::span(batch.bytes.back()).subspan(16);
    batch.frames.push_back(tagged);
    EXPECT_EQ(send(*sender, batch), batch.frames.size());
    EXPECT_EQ(batch.outcomes(), std::vector(batch.frames.size(), DropReason::none));
    expect_received(batch.bytes);
  }
}

TEST_F(XdpSenderTest, AFullBatchGoesAndALargerOneIsBegun) {
  const auto sender = make();
  ASSERT_TRUE(begins(*sender));
  Batch full(std::vector<std::size_t>(kBatchSize, 100));
  EXPECT_EQ(send(*sender, full), kBatchSize);
  expect_received(full.bytes);
  Batch larger(std::vector<std::size_t>(kBatchSize + 5, 100));
  EXPECT_EQ(send(*sender, larger), kBatchSize);
  EXPECT_EQ(larger.frames[kBatchSize].outcome, DropReason::malformed);
  larger.bytes.resize(kBatchSize);
  expect_received(larger.bytes);
}

TEST_F(XdpSenderTest, FewUnfinishedAndTooLongFramesAreLeftToOthers) {
  run(switch_, "ip link set p0 mtu 1600");
  run(host_, "ip link set h0 mtu 3000");
  const auto sender = make();
  ASSERT_TRUE(begins(*sender));
  Batch few(std::vector<std::size_t>(XdpSender::kMinBatch - 1, 100));
  EXPECT_EQ(send(*sender, few), 0U);
  Batch unfinished(std::vector<std::size_t>(20, 100));
  unfinished.frames[19].offload.needs_checksum = true;
  EXPECT_EQ(send(*sender, unfinished), 0U);
  Batch beyond_the_mtu(std::vector<std::size_t>(20, 100));
  beyond_the_mtu.frames[7].payload = beyond_the_mtu.bytes.emplace_back(1600 + 14 - 12 + 1);
  EXPECT_EQ(send(*sender, beyond_the_mtu), 0U);
  run(switch_, "ip link set p0 mtu 2500");
  EXPECT_EQ(send(*sender, beyond_the_mtu), 20U);
  beyond_the_mtu.frames[7].payload = beyond_the_mtu.bytes.emplace_back(2048 - 12 + 1);  // a slot is shorter
  EXPECT_EQ(send(*sender, beyond_the_mtu), 0U);
  beyond_the_mtu.frames[7].payload = beyond_the_mtu.frames[7].payload.first(2048 - 12);
  EXPECT_EQ(send(*sender, beyond_the_mtu), 20U);
}

// The other end drops frames longer than its own MTU, so which ones are lost is known.
TEST_F(XdpSenderTest, EachFrameThatTheDeviceDropsIsTold) {
  run(host_, "ip link set h0 mtu 500");
  const auto sender = make();
  ASSERT_TRUE(begins(*sender));
  constexpr std::size_t kLost = 1000;
  std::vector<std::vector<std::size_t>> patterns = {
      std::vector<std::size_t>(10, kLost),
      {kLost, 100, 100, 100, 100, 100, 100, 100, 100},
      {100, 100, 100, 100, 100, 100, 100, 100, kLost},
      {kLost, kLost, 100, kLost, 100, 100, kLost, kLost, kLost},
      std::vector<std::size_t>(64, 100),
  };
  patterns.back()[31] = patterns.back()[32] = patterns.back()[63] = kLost;  // the kernel takes 32 at a time
  for (int round = 0; round < 3; ++round) {
    for (const std::vector<std::size_t>& lengths : patterns) {
      Batch batch(lengths);
      EXPECT_EQ(send(*sender, batch), lengths.size());
      std::vector<Bytes> arrive;
      for (std::size_t i = 0; i < lengths.size(); ++i) {
        EXPECT_EQ(batch.frames[i].outcome, lengths[i] == kLost ? DropReason::no_buffers : DropReason::none)
            << i;
        if (lengths[i] != kLost) arrive.push_back(batch.bytes[i]);
      }
      expect_received(arrive);
    }
  }
  EXPECT_NE(sender->memory(), 0U) << "a dropped frame is no reason to stop";
}

TEST_F(XdpSenderTest, ADeviceThatIsDownOrGoneIsLeftToOthersAndNothingIsSentTwice) {
  for (const char* const what : {"ip link set p0 down", "ip link del p0"}) {
    const auto sender = make();
    ASSERT_TRUE(begins(*sender));
    run(switch_, what);
    Batch batch(std::vector<std::size_t>(20, 100));
    EXPECT_EQ(send(*sender, batch), 0U);
    EXPECT_EQ(sender->memory(), 0U);
    if (std::string_view(what).ends_with("down")) {
      run(switch_, "ip link set p0 up");
      expect_received({});
    }
  }
}

TEST_F(XdpSenderTest, WithoutCarrierFramesAreRefusedAsLinkDown) {
  const auto sender = make();
  ASSERT_TRUE(begins(*sender));
  run(host_, "ip link set h0 down");
  run(switch_,
      "for i in $(seq 60); do ip -o link show p0 | grep -q 'state UP' || exit 0; sleep 0.05; done; exit 1");
  Batch batch(std::vector<std::size_t>(20, 100));
  EXPECT_EQ(send(*sender, batch), 20U);
  EXPECT_EQ(batch.outcomes(), std::vector(20, DropReason::link_down));
  EXPECT_EQ(sender->memory(), 0U);
}

TEST_F(XdpSenderTest, ItIsNotHadOnOtherKindsOfDevicesNorWhereThereAreSeveralQueues) {
  run(switch_, "ip link add other type bridge && ip link set other up");
  run(switch_, "ip link add queues numtxqueues 2 type veth peer other_end && ip link set queues up");
  for (const char* const name : {"other", "queues"}) {
    const auto other = make(name);
    EXPECT_FALSE(begins(*other, kLittlePatience)) << name;
  }
}

TEST_F(XdpSenderTest, WhoWasThereFirstKeepsTheDevice) {
  const auto first = make();
  ASSERT_TRUE(begins(*first));
  const auto second = make();
  EXPECT_FALSE(begins(*second, kLittlePatience));
  Batch batch(std::vector<std::size_t>(20, 100));
  EXPECT_EQ(send(*first, batch), 20U);
  expect_received(batch.bytes);
}

/// The same by way of the port, which sends by sendmmsg(2) what is left.
class PortWithXdpTest : public XdpSenderTest {
 protected:
  std::unique_ptr<Port> open(std::size_t senders, AfPacketOptions options = {}) {
    options.name = "p0";
    options.ifindex = ifindex_of(switch_, "p0");
    options.senders = senders;
    const Inside inside(switch_);
    auto port = open_af_packet_port(options);
    return port;
  }
  bool begins(Port& port, SenderId sender = SenderId{0}, std::chrono::milliseconds patience = kPatience) {
    return XdpSenderTest::begins([&](std::span<OutgoingFrame> frames) { port.send(sender, frames); },
                                 [&] { return port.send_memory(); }, patience);
  }
};

TEST_F(PortWithXdpTest, FramesLeaveInOrderWhicheverWayTheyGo) {
  const auto port = open(1);
  ASSERT_TRUE(begins(*port));
  std::vector<Bytes> arrive;
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t count : {64, 3, 70, 8}) {
      Batch batch(std::vector<std::size_t>(count, 60 + count));
      port->send(SenderId{0}, batch.frames);
      EXPECT_EQ(batch.outcomes(), std::vector(count, DropReason::none));
      arrive.insert(arrive.end(), batch.bytes.begin(), batch.bytes.end());
    }
  }
  expect_received(arrive);
  EXPECT_NE(port->send_memory(), 0U);
}

TEST_F(PortWithXdpTest, ReasonsAreThoseOfTheOtherWay) {
  const auto port = open(1);
  ASSERT_TRUE(begins(*port));
  Batch batch(std::vector<std::size_t>(20, 100));
  batch.frames[5].payload = batch.bytes.emplace_back(1503);  // one byte beyond the MTU of 1500
  port->send(SenderId{0}, batch.frames);
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_EQ(batch.frames[i].outcome, i == 5 ? DropReason::too_big : DropReason::none) << i;
  while (socket_->receive(20ms)) continue;

  run(switch_, "ip link set p0 down");
  Batch down(std::vector<std::size_t>(20, 100));
  port->send(SenderId{0}, down.frames);
  EXPECT_EQ(down.outcomes(), std::vector(20, DropReason::link_down));
  EXPECT_EQ(port->send_memory(), 0U);
  run(switch_, "ip link set p0 up");
  Batch up(std::vector<std::size_t>(20, 100));
  port->send(SenderId{0}, up.frames);
  EXPECT_EQ(up.outcomes(), std::vector(20, DropReason::none));
  expect_received(up.bytes);

  run(switch_, "ip link del p0");
  Batch gone(std::vector<std::size_t>(20, 100));
  port->send(SenderId{0}, gone.frames);
  EXPECT_EQ(gone.outcomes(), std::vector(20, DropReason::port_waiting));
}

TEST_F(PortWithXdpTest, ProductionUsesItUnlessToldOtherwiseAndCopiesOnlyWhenAskedTo) {
  for (const bool transmit : {true, false}) {
    for (const bool copies : {true, false}) {
      for (const SenderId sender : {SenderId{0}, SenderId{1}}) {
        AfPacketOptions options;
        options.mirror_senders = 1;
        options.xdp_transmit = transmit;
        options.xdp_copies = copies;
        const auto port = open(2, options);
        const bool shall = sender == SenderId{0} ? transmit : copies;
        EXPECT_EQ(begins(*port, sender, shall ? kPatience : kLittlePatience), shall);
      }
    }
  }
}

TEST_F(PortWithXdpTest, ManyThreadsSendAtOnceAndEachKeepsItsOrder) {
  constexpr std::size_t kSenders = 3;
  constexpr std::size_t kRounds = 40;
  const auto port = open(kSenders);
  ASSERT_TRUE(begins(*port));
  std::atomic<std::size_t> accepted{0};
  std::vector<std::thread> threads;
  for (std::size_t s = 0; s < kSenders; ++s) {
    threads.emplace_back([&, s] {
      // On one processor, or frames sent on the one before may still wait there.
      const auto processors = allowed_processors();
      cpu_set_t here;
      CPU_ZERO(&here);
      CPU_SET(processors[s % processors.size()], &here);
      pthread_setaffinity_np(pthread_self(), sizeof here, &here);
      for (std::size_t round = 0; round < kRounds; ++round) {
        std::vector<Bytes> bytes;
        std::vector<OutgoingFrame> out(48);
        for (std::size_t i = 0; i < out.size(); ++i) {
          bytes.push_back(test_frame(100 + s));
          bytes.back()[20] = static_cast<std::uint8_t>(round);
          bytes.back()[21] = static_cast<std::uint8_t>(i);
        }
        for (std::size_t i = 0; i < out.size(); ++i) out[i].header = bytes[i];
        port->send(SenderId{static_cast<std::uint32_t>(s)}, out);
        for (const OutgoingFrame& one : out) accepted += one.outcome == DropReason::none;
      }
    });
  }
  std::array<int, kSenders> last;
  last.fill(-1);
  std::size_t seen_frames = 0;
  const auto look = [&](std::chrono::milliseconds patience) {
    const std::optional<Seen> seen = socket_->receive(patience);
    if (!seen) return false;
    ++seen_frames;
    const std::size_t s = seen->bytes.size() - 100;
    const int number = seen->bytes.at(20) << 8 | seen->bytes.at(21);
    EXPECT_LT(last.at(s), number);
    last.at(s) = number;
    return true;
  };
  while (seen_frames < kSenders * kRounds * 48 && look(200ms)) continue;
  for (std::thread& thread : threads) thread.join();
  while (look(50ms)) continue;
  EXPECT_EQ(seen_frames, accepted);
  EXPECT_GT(accepted, 0U);
  EXPECT_NE(port->send_memory(), 0U);
}

}  // namespace
}  // namespace vswitch::platform
