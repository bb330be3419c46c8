// SPDX-License-Identifier: Apache-2.0
// The internal port on the real tun driver.
#include "datapath/port/tap_port.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "switchd/netlink/netlink_socket.h"
#include "tests/platform/lab.h"

namespace vswitch::platform {
namespace {

using namespace std::chrono_literals;

/// Runs the eBPF program on whatever the host's stack sends on the device.
void attach_egress_program(const Namespace& space, const std::string& device,
                           std::span<const bpf_insn> program) {
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attributes.insn_cnt = static_cast<std::uint32_t>(program.size());
  attributes.insns = reinterpret_cast<std::uint64_t>(program.data());
  attributes.license = reinterpret_cast<std::uint64_t>("Apache-2.0");
  const UniqueFd fd(static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes)));
  ASSERT_TRUE(fd) << std::strerror(errno);
  run(space, "tc qdisc add dev " + device + " clsact");
  const int ifindex = ifindex_of(space, device);
  const Inside inside(space);
  tcmsg header{};
  header.tcm_ifindex = ifindex;
  header.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);
  header.tcm_info = TC_H_MAKE(1U << 16, htons(ETH_P_ALL));
  const netlink::NetlinkMessage message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, header);
  nla_put_string(message.get(), TCA_KIND, "bpf");
  nlattr* options = nla_nest_start(message.get(), TCA_OPTIONS);
  nla_put_u32(message.get(), TCA_BPF_FD, static_cast<std::uint32_t>(fd.get()));
  nla_put_u32(message.get(), TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
  nla_nest_end(message.get(), options);
  const auto refusal = netlink::NetlinkSocket().request(message);
  ASSERT_FALSE(refusal) << refusal->text;
}

class TapPortTest : public PlatformTest {
 protected:
  std::unique_ptr<TapPort> open(TapOptions options = {}) {
    if (options.name.empty()) options.name = "int0";
    const Inside inside(host_);
    auto port = open_tap_port(options);
    run("ip link set " + options.name + " up");
    return port;
  }

  Namespace host_;
};

TEST_F(TapPortTest, WhatTheHostSendsIsReceivedWhole) {
  const auto port = open();
  const RawSocket socket(host_, "int0");
  for (const std::size_t size : {14UL, 60UL, 1514UL}) {
    ASSERT_EQ(socket.send(test_frame(size)), 0);
    const std::vector<Got> got = receive(*port, 1);
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].bytes, test_frame(size));
    EXPECT_EQ(got[0].offload, Offload{});
    EXPECT_FALSE(got[0].truncated);
  }
}

TEST_F(TapPortTest, ABatchOfGsoPacketsAndShortFramesStaysInOrder) {
  const auto port = open();
  const RawSocket socket(host_, "int0");
  std::vector<Bytes> sent;
  for (int i = 0; i < 100; ++i) {
    const bool gso = i % 4 == 0;
    sent.push_back(gso ? tcp_frame(60000) : test_frame(100, static_cast<std::uint8_t>(i)));
    ASSERT_EQ(socket.send(sent.back(), gso ? tcp_vnet(1448) : VnetHeader{}), 0);
  }
  const std::vector<Got> got = receive(*port, sent.size());
  ASSERT_EQ(got.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) ASSERT_EQ(got[i].bytes, sent[i]) << i;
  EXPECT_EQ(got[0].offload, offload_from_vnet_header(tcp_vnet(1448)));
}

TEST_F(TapPortTest, UdpSegmentationIsLeftToThePort) {
  const auto port = open();
  EXPECT_NE(run(host_, "ethtool -k int0").find("tx-udp-segmentation: on"), std::string::npos);
  EXPECT_NE(run(host_, "ethtool -k int0").find("tx-tcp-ecn-segmentation: on"), std::string::npos);
}

TEST_F(TapPortTest, ATagInTheDataStaysThereAndTheChecksumCountsIt) {
  const auto port = open();
  const RawSocket socket(host_, "int0");
  const Bytes frame = with_tag(tcp_frame(400), {kTpid8021Q, 0x600c});
  VnetHeader vnet = tcp_vnet(0);
  vnet.checksum_start = static_cast<std::uint16_t>(vnet.checksum_start + kTagLength);
  ASSERT_EQ(socket.send(frame, vnet), 0);
  const std::vector<Got> got = receive(*port, 1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].bytes, frame);
  EXPECT_FALSE(got[0].tag);
  EXPECT_EQ(got[0].offload, offload_from_vnet_header(vnet));
}

// A VLAN device hands the frame over with the tag beside the data, and so does bpf_skb_vlan_push(), which
// needs no kernel module.
TEST_F(TapPortTest, ATagTheHostKeepsBesideTheDataIsPutIn) {
  const auto port = open();
  const bpf_insn program[] = {
      {BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, htons(kTpid8021Q)},
      {BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0x600c},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_vlan_push},
      {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, TC_ACT_OK},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  attach_egress_program(host_, "int0", program);
  const RawSocket socket(host_, "int0");
  const Bytes frame = tcp_frame(400);
  ASSERT_EQ(socket.send(frame, tcp_vnet(0)), 0);
  const std::vector<Got> got = receive(*port, 1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].bytes, with_tag(frame, {kTpid8021Q, 0x600c}));
  EXPECT_FALSE(got[0].tag);
  EXPECT_EQ(got[0].offload.checksum_start, 38);
}

TEST_F(TapPortTest, WhatIsSentArrivesAtTheHost) {
  const auto port = open();
  const RawSocket socket(host_, "int0");
  const Bytes frame = test_frame(200);
  for (const Bytes& one : {test_frame(14), frame, with_tag(frame, {kTpid8021Q, 0xe00c}),
                           with_tag(with_tag(frame, {kTpid8021Q, 4}), {kTpid8021ad, 3})}) {
    ASSERT_EQ(send(*port, one), DropReason::none);
    const std::optional<Seen> seen = socket.receive();
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->on_wire(), one);
  }
}

TEST_F(TapPortTest, ATaggedGsoPacketArrivesWhole) {
  const auto port = open();
  const RawSocket socket(host_, "int0");
  const Bytes frame = tcp_frame(50000);
  Offload offload = offload_from_vnet_header(tcp_vnet(1448));
  offload.checksum_start = static_cast<std::uint16_t>(offload.checksum_start + kTagLength);
  ASSERT_EQ(send(*port, with_tag(frame, {kTpid8021Q, 12}), offload, 16), DropReason::none);
  const std::optional<Seen> seen = socket.receive();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->bytes, frame);
  EXPECT_EQ(seen->tag, (VlanTag{kTpid8021Q, 12}));
  EXPECT_EQ(seen->vnet.gso_type, kGsoTcp4);
  EXPECT_EQ(seen->vnet.checksum_start, 34);
}

TEST_F(TapPortTest, TheDeviceGoesWithThePortUnlessItIsPersistent) {
  TapOptions options;
  options.name = "int0";
  options.mac = MacAddr{{0x02, 1, 2, 3, 4, 5}};
  const auto exists = [this] { return run(host_, "ip -o link | grep -c int0 || true") != "0\n"; };
  {
    const auto port = open(options);
    EXPECT_TRUE(port->is_new());
    EXPECT_NE(run(host_, "ip link show int0").find("02:01:02:03:04:05"), std::string::npos);
  }
  EXPECT_FALSE(exists());
  open(options)->set_persistent(true);
  EXPECT_TRUE(exists());
  {
    const Inside inside(host_);
    EXPECT_EQ(remove_tap("int0"), std::nullopt);
  }
  EXPECT_FALSE(exists());
}

TEST_F(TapPortTest, APersistentDeviceIsTakenOverWithWhatTheHostGaveIt) {
  open()->set_persistent(true);
  run(host_, "ip addr add 192.0.2.1/24 dev int0; ip link set int0 address 02:00:00:00:00:09");
  const RawSocket socket(host_, "int0");
  EXPECT_EQ(socket.send(test_frame(60)), 0);  // nobody takes it, and it does not wait either
  TapOptions options;
  options.name = "int0";
  options.mac = MacAddr{{0x02, 1, 2, 3, 4, 5}};
  const auto port = open(options);
  EXPECT_FALSE(port->is_new());
  EXPECT_EQ(poll_port(*port, 10ms), 0);
  const std::string shown = run(host_, "ip addr show int0");
  EXPECT_NE(shown.find("192.0.2.1/24"), std::string::npos) << shown;
  EXPECT_NE(shown.find("02:00:00:00:00:09"), std::string::npos) << shown;
  ASSERT_EQ(socket.send(tcp_frame(3000), tcp_vnet(1448)), 0);
  const std::vector<Got> got = receive(*port, 1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].bytes, tcp_frame(3000));
}

TEST_F(TapPortTest, ItWorksOnWhereverItIsMovedAndWhateverItIsCalled) {
  const auto port = open();
  EXPECT_EQ(port->place()->name, "int0");
  EXPECT_FALSE(port->place()->netns);
  const Namespace container;
  run(host_, "ip link set int0 netns " + container.path());
  run(container, "ip link set int0 name eth0 up");
  ASSERT_TRUE(port->place());
  EXPECT_EQ(port->place()->name, "eth0");
  EXPECT_TRUE(port->place()->netns);
  const RawSocket socket(container, "eth0");
  ASSERT_EQ(socket.send(test_frame(100)), 0);
  EXPECT_EQ(receive(*port, 1).size(), 1U);
  ASSERT_EQ(send(*port, test_frame(200)), DropReason::none);
  EXPECT_TRUE(socket.receive());
  run(container, "ip link set eth0 netns " + host_.path());
  EXPECT_FALSE(port->place()->netns);
  run(host_, "ip link del eth0");
  EXPECT_FALSE(port->place());
}

TEST_F(TapPortTest, WhatIsDetachedLooksLikeADeviceThatIsGone) {
  run(host_, "ip tuntap add int0 mode tap");
  const auto port = open();
  port->detach();
  std::array<RawFrame, 4> frames;
  EXPECT_EQ(port->receive(frames), 0U);
  EXPECT_EQ(poll_port(*port, 20ms), 0);
  EXPECT_EQ(send(*port, test_frame(70)), DropReason::port_waiting);
  EXPECT_NE(run(host_, "ethtool -k int0").find("tcp-segmentation-offload: off"), std::string::npos);
  EXPECT_FALSE(open()->is_new()) << "it is there, and free";
}

TEST_F(TapPortTest, OpeningSaysWhatIsWrong) {
  const auto sentence = [&](const std::string& name) -> std::string {
    TapOptions options;
    options.name = name;
    try {
      open(options);
      return "";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  };
  const std::string cannot = "cannot open the internal port x0: ";
  make_veth(host_, "x0", host_, "other");
  EXPECT_EQ(sentence("x0"), cannot + "the device with this name is not a tap with a single queue");
  run(host_, "ip link del x0");
  TapOptions options;
  options.name = "x0";
  const auto port = open(options);
  EXPECT_EQ(sentence("x0"), cannot + "another program has the tap open");
  EXPECT_NE(sentence("waytoolongforalink").find("1 to 15 characters"), std::string::npos);
  options.name = "int1";
  options.mac = MacAddr{{0x01, 0, 0, 0, 0, 1}};
  EXPECT_THROW(open(options), std::runtime_error);
  EXPECT_EQ(run(host_, "ip -o link | grep -c int1 || true"), "0\n");
}

TEST_F(TapPortTest, DownMeansRefusedAndUpWorksAgain) {
  const auto port = open();
  run(host_, "ip link set int0 down");
  EXPECT_EQ(send(*port, test_frame(70)), DropReason::link_down);
  EXPECT_EQ(poll_port(*port, 10ms), 0);
  run(host_, "ip link set int0 up");
  EXPECT_EQ(send(*port, test_frame(70)), DropReason::none);
}

TEST_F(TapPortTest, ADeletedDeviceMakesThePortQuiet) {
  const auto port = open();
  run(host_, "ip link del int0");
  std::array<RawFrame, 4> frames;
  EXPECT_EQ(port->receive(frames), 0U);
  EXPECT_EQ(poll_port(*port, 20ms), 0);
  EXPECT_EQ(send(*port, test_frame(70)), DropReason::port_waiting);
}

TEST_F(TapPortTest, ManyThreadsSendAtOnce) {
  constexpr std::size_t kSenders = 3;
  TapOptions options;
  options.name = "int0";
  options.senders = kSenders;
  const auto port = open(options);
  const RawSocket socket(host_, "int0");
  std::vector<std::thread> threads;
  for (std::size_t s = 0; s < kSenders; ++s) {
    threads.emplace_back([&, s] {
      const Bytes frame = test_frame(100 + s, static_cast<std::uint8_t>(s));
      std::vector<OutgoingFrame> out(32);
      for (OutgoingFrame& one : out) one.payload = frame;
      for (int round = 0; round < 50; ++round) {
        port->send(SenderId{static_cast<std::uint32_t>(s)}, out);
        for (const OutgoingFrame& one : out) EXPECT_EQ(one.outcome, DropReason::none);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::size_t count = 0;
  while (const std::optional<Seen> seen = socket.receive(50ms)) {
    ASSERT_EQ(seen->bytes,
              test_frame(seen->bytes.size(), static_cast<std::uint8_t>(seen->bytes.size() - 100)));
    ++count;
  }
  EXPECT_EQ(count, kSenders * 32 * 50);
}

}  // namespace
}  // namespace vswitch::platform
