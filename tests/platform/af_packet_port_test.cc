// SPDX-License-Identifier: Apache-2.0
// The AF_PACKET port over a real veth pair, and with it each kernel behaviour it relies on.
#include "datapath/port/af_packet_port.h"

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "datapath/port/tap_port.h"
#include "tests/platform/lab.h"

namespace vswitch::platform {
namespace {

using namespace std::chrono_literals;

/// The switch's namespace with the port's device p0, and a host's namespace with the other end, h0.
class AfPacketPortTest : public PlatformTest {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    make_veth(switch_, "p0", host_, "h0");
    socket_ = std::make_unique<RawSocket>(host_, "h0");
  }

  /// With the whole ring from the beginning, lest a test gets a new one in its middle.
  std::unique_ptr<Port> open(const std::string& name = "p0", std::size_t senders = 1) {
    AfPacketOptions options;
    options.first_slots = options.slots;
    options.first_slot_size = options.slot_size;
    return open(options, name, senders);
  }
  std::unique_ptr<Port> open(AfPacketOptions options, const std::string& name = "p0",
                             std::size_t senders = 1) {
    options.name = name;
    options.ifindex = ifindex_of(switch_, name);
    options.senders = senders;
    const Inside inside(switch_);
    return open_af_packet_port(options);
  }

  /// Sends from the host and expects the port to receive exactly that, tag stripped.
  void expect_received(Port& port, const Bytes& inner, std::optional<VlanTag> tag) {
    ASSERT_EQ(socket_->send(tag ? with_tag(inner, *tag) : inner), 0);
    const std::vector<Got> got = receive(port, 1);
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].bytes, inner);
    EXPECT_EQ(got[0].tag, tag);
    EXPECT_EQ(got[0].offload, Offload{});
    EXPECT_FALSE(got[0].truncated);
  }

  void expect_sent(Port& port, const Bytes& frame) {
    ASSERT_EQ(send(port, frame), DropReason::none);
    const std::optional<Seen> seen = socket_->receive();
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->on_wire(), frame);
  }

  /// Bytes of rings in this process.
  static std::size_t mapped_sockets() {
    std::ifstream maps("/proc/self/maps");
    std::size_t sum = 0;
    for (std::string line; std::getline(maps, line);) {
      if (line.find("socket:[") == line.npos) continue;
      sum += std::stoull(line.substr(line.find('-') + 1), nullptr, 16) - std::stoull(line, nullptr, 16);
    }
    return sum;
  }

  Namespace switch_;
  Namespace host_;
  std::unique_ptr<RawSocket> socket_;
};

Offload tcp_offload(std::uint16_t gso_size, std::uint16_t shift = 0) {
  Offload offload = offload_from_vnet_header(tcp_vnet(gso_size));
  offload.checksum_start = static_cast<std::uint16_t>(offload.checksum_start + shift);
  return offload;
}

TEST_F(AfPacketPortTest, FramesOfEverySizeArriveWhole) {
  const auto port = open();
  for (const std::size_t size : {14UL, 15UL, 60UL, 1000UL, 1514UL})
    expect_received(*port, test_frame(size), std::nullopt);
}

TEST_F(AfPacketPortTest, TheOuterTagIsStrippedAndReported) {
  const auto port = open();
  const Bytes frame = test_frame(100, 3);
  expect_received(*port, frame, VlanTag{kTpid8021Q, 0xb064});
  expect_received(*port, frame, VlanTag{kTpid8021ad, 0x0123});
  expect_received(*port, frame, VlanTag{kTpid8021Q, 0});  // priority tag with priority 0
  expect_received(*port, with_tag(frame, {kTpid8021Q, 7}), VlanTag{kTpid8021ad, 0x2009});
}

TEST_F(AfPacketPortTest, UnfinishedChecksumIsReportedAndItsStartDoesNotCountTheStrippedTag) {
  const auto port = open();
  const Bytes frame = tcp_frame(300);
  ASSERT_EQ(socket_->send(frame, tcp_vnet(0)), 0);
  VnetHeader shifted = tcp_vnet(0);
  shifted.checksum_start = static_cast<std::uint16_t>(shifted.checksum_start + kTagLength);
  ASSERT_EQ(socket_->send(with_tag(frame, {kTpid8021Q, 42}), shifted), 0);
  const std::vector<Got> got = receive(*port, 2);
  ASSERT_EQ(got.size(), 2U);
  for (const Got& one : got) {
    EXPECT_EQ(one.bytes, frame);
    EXPECT_EQ(one.offload, tcp_offload(0));
  }
  EXPECT_EQ(got[1].tag, (VlanTag{kTpid8021Q, 42}));
}

TEST_F(AfPacketPortTest, GsoPacketsArriveWholeWithTheirOffload) {
  const auto port = open();
  const Bytes frame = tcp_frame(65000);
  for (const std::uint8_t ecn : {std::uint8_t{0}, kGsoEcn}) {
    VnetHeader vnet = tcp_vnet(1448);
    vnet.gso_type = static_cast<std::uint8_t>(vnet.gso_type | ecn);
    vnet.checksum_start = static_cast<std::uint16_t>(vnet.checksum_start + kTagLength);
    ASSERT_EQ(socket_->send(with_tag(frame, {kTpid8021Q, 9}), vnet), 0);
    const std::vector<Got> got = receive(*port, 1);
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].bytes, frame);
    EXPECT_EQ(got[0].tag, (VlanTag{kTpid8021Q, 9}));
    EXPECT_FALSE(got[0].truncated);
    EXPECT_EQ(got[0].offload.gso_type, kGsoTcp4 | ecn);
    EXPECT_EQ(got[0].offload.gso_size, 1448);
    EXPECT_EQ(got[0].offload.checksum_start, 34);
    EXPECT_EQ(got[0].offload.checksum_offset, 16);
    EXPECT_TRUE(got[0].offload.needs_checksum);
  }
}

TEST_F(AfPacketPortTest, ShortAndLongFramesStayInOrder) {
  run(switch_, "ip link set p0 mtu 9000");
  run(host_, "ip link set h0 mtu 9000");
  const auto port = open();
  std::vector<Bytes> sent;
  for (int round = 0; round < 40; ++round) {
    for (const std::size_t size : {60UL, 9014UL, 1971UL, 1972UL, 1973UL, 200UL}) {
      sent.push_back(test_frame(size, static_cast<std::uint8_t>(sent.size())));
      ASSERT_EQ(socket_->send(sent.back()), 0);
    }
    if (round % 10 == 0) {  // a GSO packet between them
      sent.push_back(tcp_frame(64000));
      ASSERT_EQ(socket_->send(sent.back(), tcp_vnet(1448)), 0);
    }
  }
  const std::vector<Got> got = receive(*port, sent.size());
  ASSERT_EQ(got.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    ASSERT_FALSE(got[i].truncated) << i;
    ASSERT_EQ(got[i].bytes, sent[i]) << i;
  }
}

TEST_F(AfPacketPortTest, WhatTheRingCannotHoldIsCounted) {
  const auto port = open();
  for (int i = 0; i < 1500; ++i) ASSERT_EQ(socket_->send(test_frame(60)), 0);
  EXPECT_EQ(port->receive_overruns(), 1500U - 1024U);
  EXPECT_EQ(receive(*port, 2000).size(), 1024U);
  EXPECT_EQ(port->receive_overruns(), 1500U - 1024U);
  expect_received(*port, test_frame(61), std::nullopt);
}

TEST_F(AfPacketPortTest, LongFramesBeyondTheQueueAreMarkedTruncatedAndTheRestStaysInOrder) {
  const auto port = open();
  const Bytes frame = tcp_frame(64000);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(socket_->send(frame, tcp_vnet(1448)), 0);
  ASSERT_EQ(socket_->send(test_frame(77)), 0);
  const std::vector<Got> got = receive(*port, 101);
  ASSERT_EQ(got.size(), 101U);
  std::size_t whole = 0;
  for (std::size_t i = 0; i < 100; ++i) {
    if (got[i].truncated) continue;
    ++whole;
    ASSERT_EQ(got[i].bytes, frame);
  }
  EXPECT_GE(whole, 32U);  // the queue holds about forty
  EXPECT_LE(whole, 80U);  // and is bounded
  EXPECT_EQ(got[100].bytes, test_frame(77));
  RecordProperty("gso_packets_queued", static_cast<int>(whole));
}

TEST_F(AfPacketPortTest, FramesOfThisMachineAreNotReceived) {
  const auto port = open();
  const RawSocket other(switch_, "p0");
  ASSERT_EQ(send(*port, test_frame(80)), DropReason::none);
  ASSERT_EQ(other.send(test_frame(81)), 0);
  EXPECT_TRUE(socket_->receive());
  EXPECT_TRUE(socket_->receive());
  EXPECT_TRUE(receive(*port, 1).empty());
}

TEST_F(AfPacketPortTest, ATapOnTheDeviceDoesNotSeeWhatIsSentPastTheQueueingDiscipline) {
  const auto port = open();
  const RawSocket capture(switch_, "p0", true);
  ASSERT_EQ(send(*port, test_frame(80)), DropReason::none);
  EXPECT_TRUE(socket_->receive());
  EXPECT_FALSE(capture.receive(50ms));  // README.md tells users
}

TEST_F(AfPacketPortTest, ForeignUnicastArrivesWhileThePortExists) {
  const auto promiscuity = [&] { return run(switch_, "ip -d link show p0 | grep -o 'promiscuity [0-9]*'"); };
  EXPECT_EQ(promiscuity(), "promiscuity 0\n");
  {
    const auto port = open();
    EXPECT_EQ(promiscuity(), "promiscuity 1\n");
    expect_received(*port, test_frame(90), std::nullopt);  // not p0's address
  }
  EXPECT_EQ(promiscuity(), "promiscuity 0\n");
}

TEST_F(AfPacketPortTest, SendsFramesWithAnyTags) {
  const auto port = open();
  const Bytes frame = test_frame(120);
  expect_sent(*port, test_frame(14));
  expect_sent(*port, frame);
  expect_sent(*port, with_tag(frame, {kTpid8021Q, 0x6005}));
  expect_sent(*port, with_tag(with_tag(frame, {kTpid8021Q, 5}), {kTpid8021ad, 6}));
  expect_sent(*port, with_tag(test_frame(1514), {kTpid8021Q, 5}));
}

TEST_F(AfPacketPortTest, ATooLongFrameIsRefusedAloneAndTheMtuMayChange) {
  const auto port = open();
  const Bytes frames[4] = {test_frame(100, 1), test_frame(1515, 2), test_frame(100, 3),
                           with_tag(test_frame(1516, 4), {})};
  std::vector<OutgoingFrame> out(4);
  for (std::size_t i = 0; i < 4; ++i) out[i].header = frames[i];
  port->send(SenderId{0}, out);
  EXPECT_EQ(out[0].outcome, DropReason::none);
  EXPECT_EQ(out[1].outcome, DropReason::too_big);
  EXPECT_EQ(out[2].outcome, DropReason::none);
  EXPECT_EQ(out[3].outcome, DropReason::too_big);
  EXPECT_EQ(socket_->receive()->bytes, frames[0]);
  EXPECT_EQ(socket_->receive()->bytes, frames[2]);

  for (const std::size_t mtu : {9000UL, 68UL}) {
    run(switch_, "ip link set p0 mtu " + std::to_string(mtu));
    run(host_, "ip link set h0 mtu " + std::to_string(mtu));
    expect_sent(*port, test_frame(mtu + 14));
    EXPECT_EQ(send(*port, test_frame(mtu + 15)), DropReason::too_big);
    expect_received(*port, test_frame(mtu + 14), std::nullopt);
  }
}

TEST_F(AfPacketPortTest, GoingDownAndUpIsSurvivedAndTheFileStaysQuiet) {
  const auto port = open();
  for (int round = 0; round < 3; ++round) {
    run(switch_, "ip link set p0 down");
    EXPECT_EQ(send(*port, test_frame(70)), DropReason::link_down);
    std::array<RawFrame, 4> frames;
    EXPECT_NE(poll_port(*port, 0ms), 0) << "the kernel no longer reports ENETDOWN";
    for (int i = 0; i < 2; ++i) EXPECT_EQ(port->receive(frames), 0U);
    EXPECT_EQ(poll_port(*port, 20ms), 0);
    run(switch_, "ip link set p0 up");
    expect_received(*port, test_frame(71), std::nullopt);
    expect_sent(*port, test_frame(72));
  }
}

TEST_F(AfPacketPortTest, ALongFrameWaitingWhileTheDeviceGoesDownIsStillReceived) {
  const auto port = open();
  const Bytes frame = tcp_frame(20000);
  ASSERT_EQ(socket_->send(frame, tcp_vnet(1448)), 0);
  run(switch_, "ip link set p0 down");
  const std::vector<Got> got = receive(*port, 1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].bytes, frame);
  EXPECT_FALSE(got[0].truncated);
}

TEST_F(AfPacketPortTest, APortMayBeOpenedOnADeviceThatIsDown) {
  run(switch_, "ip link set p0 down");
  const auto port = open();
  run(switch_, "ip link set p0 up");
  expect_received(*port, test_frame(64), std::nullopt);
}

TEST_F(AfPacketPortTest, WithoutCarrierFramesAreRefused) {
  const auto port = open();
  run(host_, "ip link set h0 down");
  EXPECT_NE(send(*port, test_frame(70)), DropReason::none);
  run(switch_,
      "for i in $(seq 60); do ip -o link show p0 | grep -q 'state UP' || exit 0; sleep 0.05; done; exit 1");
  EXPECT_EQ(send(*port, test_frame(70)), DropReason::link_down);
  EXPECT_EQ(send(*port, tcp_frame(7000), tcp_offload(1448)), DropReason::link_down);
  run(host_, "ip link set h0 up");
  EXPECT_EQ(send(*port, test_frame(70)), DropReason::none);
}

TEST_F(AfPacketPortTest, ADeletedDeviceMakesThePortQuiet) {
  const auto port = open();
  run(switch_, "ip link del p0");
  std::array<RawFrame, 4> frames;
  for (int i = 0; i < 2; ++i) EXPECT_EQ(port->receive(frames), 0U);
  EXPECT_EQ(poll_port(*port, 20ms), 0);
  EXPECT_EQ(send(*port, test_frame(70)), DropReason::port_waiting);
  port->receive_overruns();
}

// The ring is small until a large batch comes; then a larger one takes over while frames come.
TEST_F(AfPacketPortTest, ABusyPortGetsALargerRingAndLosesNothing) {
  const auto port = open(AfPacketOptions{});
  EXPECT_EQ(mapped_sockets(), AfPacketOptions{}.first_slots * AfPacketOptions{}.first_slot_size);
  const Inside inside(switch_);  // the new ring's socket is made where the frames are received
  constexpr std::uint32_t kFrames = 60'000;
  std::thread sender([this] {
    for (std::uint32_t number = 0; number < kFrames; ++number) {
      Bytes frame = test_frame(64);
      std::memcpy(frame.data() + 20, &number, sizeof number);
      socket_->send(frame);
      if (number == 200) std::this_thread::sleep_for(20ms);  // for a large batch
      if (number % 16 == 0) std::this_thread::sleep_for(50us);
    }
  });
  std::this_thread::sleep_for(10ms);
  std::int64_t last = -1;
  std::size_t received = 0, missing = 0, out_of_order = 0;
  std::array<RawFrame, kBatchSize> frames;
  const auto take_all = [&] {
    while (const std::size_t count = port->receive(frames)) {
      for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t number = 0;
        std::memcpy(&number, frames[i].bytes.data() + 20, sizeof number);
        if (number <= last) ++out_of_order;
        missing += number - static_cast<std::size_t>(last + 1);
        last = number;
      }
      received += count;
      port->release();
    }
  };
  while (last + 1 < kFrames && poll_port(*port, 1s) > 0) take_all();
  sender.join();
  take_all();
  EXPECT_EQ(out_of_order, 0U);
  EXPECT_EQ(missing + received, static_cast<std::size_t>(last) + 1);
  EXPECT_EQ(missing, port->receive_overruns());
  const std::size_t large = AfPacketOptions{}.slots * AfPacketOptions{}.slot_size;
  for (int tries = 0; mapped_sockets() != large && tries < 100; ++tries) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(mapped_sockets(), large) << "the old one is closed beside";
}

TEST_F(AfPacketPortTest, RenamingTheDeviceDoesNotMatter) {
  const auto port = open();
  run(switch_, "ip link set p0 name p1");
  expect_received(*port, test_frame(71), std::nullopt);
  expect_sent(*port, test_frame(72));
}

TEST_F(AfPacketPortTest, OpeningSaysWhatIsWrong) {
  AfPacketOptions options;
  options.name = "nosuch";
  options.ifindex = 4711;
  const Inside inside(switch_);
  try {
    open_af_packet_port(options);
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_EQ(std::string(error.what()), "cannot attach to device nosuch: No such device");
  }
  options.name = "lo";
  options.ifindex = static_cast<int>(::if_nametoindex("lo"));
  EXPECT_THROW(open_af_packet_port(options), std::system_error);
}

// A device that cuts GSO packets up itself gets them whole; one that cannot has the kernel cut them up.
class GsoPacketTest : public AfPacketPortTest,
                      public ::testing::WithParamInterface<int> {};  // parameter: number of tags

TEST_P(GsoPacketTest, LeavesWholeWhereTheDeviceCanCutItUp) {
  const auto port = open();
  Bytes frame = tcp_frame(60000);
  for (int i = 0; i < GetParam(); ++i)
    frame = with_tag(frame, {kTpid8021Q, static_cast<std::uint16_t>(10 + i)});
  const auto shift = static_cast<std::uint16_t>(GetParam() * kTagLength);
  ASSERT_EQ(send(*port, frame, tcp_offload(1448, shift), 12 + shift), DropReason::none);
  Bytes payload;
  while (const std::optional<Seen> seen = socket_->receive(100ms)) {
    Bytes inner = seen->on_wire();
    inner.erase(inner.begin() + 12, inner.begin() + 12 + shift);
    const Bytes part = tcp_payload(inner);
    payload.insert(payload.end(), part.begin(), part.end());
  }
  EXPECT_EQ(payload, tcp_payload(tcp_frame(60000)));
}

TEST_P(GsoPacketTest, IsCutUpByTheKernelWhereTheDeviceCannot) {
  run(switch_, "ethtool -K p0 tso off gso off tx-checksumming off");
  const auto port = open();
  Bytes frame = tcp_frame(60000);
  for (int i = 0; i < GetParam(); ++i)
    frame = with_tag(frame, {kTpid8021Q, static_cast<std::uint16_t>(10 + i)});
  const auto shift = static_cast<std::uint16_t>(GetParam() * kTagLength);
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(send(*port, frame, tcp_offload(1448, shift), 12 + shift), DropReason::none);
    Bytes payload;
    std::size_t segments = 0;
    while (const std::optional<Seen> seen = socket_->receive(100ms)) {
      Bytes inner = seen->on_wire();
      ASSERT_TRUE(std::equal(frame.begin() + 12, frame.begin() + 12 + shift, inner.begin() + 12))
          << "tags differ";
      inner.erase(inner.begin() + 12, inner.begin() + 12 + shift);
      EXPECT_EQ(seen->vnet.gso_type, 0);
      EXPECT_EQ(seen->vnet.flags & kVnetNeedsChecksum, 0);
      EXPECT_TRUE(tcp_is_valid(inner)) << "segment " << segments;
      const Bytes part = tcp_payload(inner);
      payload.insert(payload.end(), part.begin(), part.end());
      ++segments;
    }
    EXPECT_EQ(segments, (60000U + 1447U) / 1448U);
    EXPECT_EQ(payload, tcp_payload(tcp_frame(60000)));
    expect_sent(*port, test_frame(99));  // ordinary frames keep going
  }
}

INSTANTIATE_TEST_SUITE_P(Tags, GsoPacketTest, ::testing::Values(0, 1, 2));

TEST_F(AfPacketPortTest, ManyThreadsSendAtOnce) {
  constexpr std::size_t kSenders = 3;
  constexpr std::size_t kRounds = 200;
  const auto port = open("p0", kSenders);
  std::atomic<std::size_t> accepted{0};
  std::vector<std::thread> threads;
  for (std::size_t s = 0; s < kSenders; ++s) {
    threads.emplace_back([&, s] {
      const Bytes frame = test_frame(100 + s, static_cast<std::uint8_t>(s));
      std::vector<OutgoingFrame> out(48);
      for (OutgoingFrame& one : out) {
        one.header = std::span(frame).first(12);
        one.payload = std::span(frame).subspan(12);
      }
      for (std::size_t round = 0; round < kRounds; ++round) {
        port->send(SenderId{static_cast<std::uint32_t>(s)}, out);
        for (const OutgoingFrame& one : out) accepted += one.outcome == DropReason::none;
      }
    });
  }
  std::array<RawFrame, kBatchSize> frames;
  for (int i = 0; i < 100; ++i) {
    if (port->receive(frames) != 0) port->release();
    port->receive_overruns();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(accepted, 0U);
  std::size_t seen_frames = 0;
  while (const std::optional<Seen> seen = socket_->receive(50ms)) {
    ASSERT_EQ(seen->bytes,
              test_frame(seen->bytes.size(), static_cast<std::uint8_t>(seen->bytes.size() - 100)));
    ++seen_frames;
  }
  EXPECT_EQ(seen_frames, accepted);
}

// UFO from a tap device is a kind of segmentation that PACKET_VNET_HDR cannot express: the kernel's ring is
// stuck afterwards.
TEST_F(AfPacketPortTest, ARingStuckOnAnInexpressibleFrameIsReplaced) {
  const Inside inside(switch_);
  TapOptions tap_options;
  tap_options.name = "vm0";
  const auto virtual_machine = open_tap_port(tap_options);
  run("ip link set vm0 up");
  const auto port = open("vm0");
  Bytes frame = tcp_frame(4000);
  frame[23] = IPPROTO_UDP;
  Offload offload = tcp_offload(1000);
  offload.checksum_offset = 6;
  offload.gso_type = kGsoUdp;
  ASSERT_EQ(send(*virtual_machine, frame, offload), DropReason::none);
  std::array<RawFrame, 4> frames;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(send(*virtual_machine, test_frame(70)), DropReason::none);
    if (port->receive(frames) != 0) port->release();
    port->receive_overruns();
  }
  ASSERT_EQ(send(*virtual_machine, test_frame(71)), DropReason::none);
  const std::vector<Got> got = receive(*port, 10);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got.back().bytes, test_frame(71));
}

}  // namespace
}  // namespace vswitch::platform
