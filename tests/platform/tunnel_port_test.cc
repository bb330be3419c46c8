// SPDX-License-Identifier: Apache-2.0
// Tunnel ports and their endpoints on the kernel's IP stack: two ends in one namespace.
#include "datapath/tunnel/tunnel_port.h"

#include <array>
#include <numeric>

#include "datapath/tunnel/pieces.h"
#include "tests/platform/lab.h"
#include "tests/support/gso_packet.h"

namespace vswitch::platform {
namespace {

class TunnelPortTest : public PlatformTest, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (testing::Test::IsSkipped()) return;
    run(space_,
        "sysctl -qw net.ipv6.conf.lo.disable_ipv6=0 && ip addr add 2001:db8::1/128 dev lo nodad && "
        "ip addr add 2001:db8::2/128 dev lo nodad");
    // The kernel makes the local routes a moment later, and loses what is sent before.
    run(space_,
        "for i in $(seq 500); do [ $(ip -6 route show table local | grep -c 2001:db8::) = 2 ] && exit; "
        "sleep 0.01; done; exit 1");
  }

  bool v6() const { return GetParam(); }
  IpAddress address(int end) const {
    return *IpAddress::parse((v6() ? "2001:db8::" : "127.0.0.") + std::to_string(end));
  }

  struct End {
    std::shared_ptr<tunnel::TunnelEndpoint> endpoint;
    std::unique_ptr<Port> port;
  };
  End open(int end, const tunnel::Encapsulation& how, std::uint32_t mtu = 65535,
           bool dont_fragment = true) const {
    const Inside inside(space_);
    tunnel::TunnelEndpointSettings settings{.remote = address(3 - end),
                                            .local = address(end),
                                            .encapsulation = how,
                                            .dont_fragment = dont_fragment};
    End made{.endpoint = std::make_shared<tunnel::TunnelEndpoint>(settings), .port = nullptr};
    made.endpoint->set_path(DropReason::none, mtu);
    made.port = open_tunnel_port(made.endpoint, 1);
    return made;
  }

  Namespace space_;
};

INSTANTIATE_TEST_SUITE_P(Ip, TunnelPortTest, testing::Bool(),
                         [](const auto& family) { return family.param ? "V6" : "V4"; });

TEST_P(TunnelPortTest, CarriesFramesBothWays) {
  for (const tunnel::Encapsulation& how :
       {tunnel::Encapsulation{.encap = tunnel::Encap::gre},
        tunnel::Encapsulation{.encap = tunnel::Encap::gre, .key = 7, .checksum = true},
        tunnel::Encapsulation{.encap = tunnel::Encap::erspan1},
        tunnel::Encapsulation{.encap = tunnel::Encap::erspan2, .session_id = 3},
        tunnel::Encapsulation{.encap = tunnel::Encap::erspan3, .session_id = 3, .subheader = true},
        tunnel::Encapsulation{.encap = tunnel::Encap::vxlan, .key = 99},
        tunnel::Encapsulation{.encap = tunnel::Encap::geneve, .key = 99, .dst_port = tunnel::kGenevePort}}) {
    SCOPED_TRACE(name(how.encap));
    End one = open(1, how);
    End two = open(2, how);
    const Bytes frame = test_frame(1500, 9);
    ASSERT_EQ(send(*one.port, frame), DropReason::none);
    const std::vector<Got> got = receive(*two.port, 1);
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].bytes, frame);
    EXPECT_TRUE(receive(*one.port, 1).empty()) << "nothing comes back";
    ASSERT_EQ(send(*two.port, test_frame(60, 4)), DropReason::none);
    EXPECT_EQ(receive(*one.port, 1).size(), 1U);
  }
}

TEST_P(TunnelPortTest, TunnelsToOneAddressKeepApart) {
  End one = open(1, {.encap = tunnel::Encap::gre, .key = 1});
  End first = open(2, {.encap = tunnel::Encap::gre, .key = 1});
  End second = open(2, {.encap = tunnel::Encap::gre, .key = 2});
  End session = open(2, {.encap = tunnel::Encap::erspan2});
  ASSERT_EQ(send(*one.port, test_frame(100)), DropReason::none);
  EXPECT_EQ(receive(*first.port, 1).size(), 1U);
  EXPECT_TRUE(receive(*second.port, 1).empty());
  EXPECT_TRUE(receive(*session.port, 1).empty());
}

TEST_P(TunnelPortTest, PacketsOfOthersDoNotArrive) {
  End mine = open(1, {.encap = tunnel::Encap::gre});
  tunnel::TunnelEndpointSettings settings{.remote = address(1), .local = address(1), .encapsulation = {}};
  const Inside inside(space_);
  const auto stranger = std::make_shared<tunnel::TunnelEndpoint>(settings);
  stranger->set_path(DropReason::none, 0);
  const auto port = open_tunnel_port(stranger, 1);
  ASSERT_EQ(send(*port, test_frame(100)), DropReason::none);
  EXPECT_TRUE(receive(*mine.port, 1).empty());
}

TEST_P(TunnelPortTest, GsoPacketsAreCutAndFinished) {
  End one = open(1, {.encap = tunnel::Encap::gre});
  End two = open(2, {.encap = tunnel::Encap::gre});
  const test::GsoPacket super{.data = 10000, .segment = 1400};
  Bytes frame = test_frame(14);
  frame.resize(12);
  const Bytes payload = super.payload();
  frame.insert(frame.end(), payload.begin(), payload.end());
  Offload offload = super.offload();
  offload.checksum_start = static_cast<std::uint16_t>(offload.checksum_start + 12);
  ASSERT_EQ(send(*one.port, frame, offload), DropReason::none);
  const std::vector<Got> got = receive(*two.port, 8);
  ASSERT_EQ(got.size(), 8U);
  for (const Got& segment : got)
    EXPECT_TRUE(test::packet_is_valid({segment.bytes.begin() + 14, segment.bytes.end()}));
}

TEST_P(TunnelPortTest, UnfinishedChecksumsAreFinishedInACopy) {
  End one = open(1, {.encap = tunnel::Encap::gre});
  End two = open(2, {.encap = tunnel::Encap::gre});
  const test::GsoPacket whole{.data = 600, .segment = 1400};
  Bytes frame = test_frame(14);
  frame.resize(12);
  const Bytes payload = whole.payload();
  frame.insert(frame.end(), payload.begin(), payload.end());
  Offload offload = whole.offload();
  offload.gso_type = 0;
  offload.gso_size = 0;
  offload.checksum_start = static_cast<std::uint16_t>(offload.checksum_start + 12);
  const Bytes before = frame;
  ASSERT_EQ(send(*one.port, frame, offload), DropReason::none);
  EXPECT_EQ(frame, before);
  const std::vector<Got> got = receive(*two.port, 1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_TRUE(test::packet_is_valid({got[0].bytes.begin() + 14, got[0].bytes.end()}));
}

TEST_P(TunnelPortTest, WhatIsTooLongForTheWayIsRefusedOrFragmented) {
  run(space_, "ip link set lo mtu 1500");
  End one = open(1, {.encap = tunnel::Encap::gre}, 1500);
  End two = open(2, {.encap = tunnel::Encap::gre}, 1500);
  EXPECT_EQ(send(*one.port, test_frame(1500)), DropReason::too_big);
  EXPECT_EQ(send(*one.port, test_frame(1400)), DropReason::none);
  EXPECT_EQ(receive(*two.port, 1).size(), 1U);
  End fragments = open(1, {.encap = tunnel::Encap::gre}, 1500, false);
  const Bytes frame = test_frame(4000);
  EXPECT_EQ(send(*fragments.port, frame), DropReason::none);
  const std::vector<Got> got = receive(*two.port, 1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].bytes, frame);
}

TEST_P(TunnelPortTest, CopiesAreCutToTheWayAndMarked) {
  run(space_, "ip link set lo mtu 1500");
  End one = open(1, {.encap = tunnel::Encap::erspan2, .session_id = 5}, 1500);
  End two = open(2, {.encap = tunnel::Encap::erspan2, .session_id = 5}, 1500);
  const Bytes frame = test_frame(1514);
  tunnel::Pieces pieces;
  const OutgoingFrame whole = outgoing(std::span(frame).first(12), std::span(frame).subspan(12), {});
  ASSERT_EQ(pieces.add(whole, {.endpoint = one.endpoint.get(), .mtu_policy = MtuPolicy::drop}),
            DropReason::too_big);
  ASSERT_EQ(pieces.add(whole, {.endpoint = one.endpoint.get()}), DropReason::none);
  const std::size_t packet = 1500 - (v6() ? 40 : 20);
  ASSERT_EQ(pieces.all()[0].length(), packet);
  EXPECT_EQ(pieces.all()[0].header[7], 1) << "the copy that was dropped has left a gap in the sequence";
  EXPECT_EQ(pieces.all()[0].header[10] & 0x04, 0x04) << "T";
  one.endpoint->send(pieces.all());
  EXPECT_EQ(pieces.all()[0].outcome, DropReason::none);
  const std::vector<Got> got = receive(*two.port, 1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].bytes, Bytes(frame.begin(), frame.begin() + static_cast<long>(packet - 16)));
}

TEST_P(TunnelPortTest, NothingIsSentWithoutAWay) {
  End one = open(1, {.encap = tunnel::Encap::gre});
  End two = open(2, {.encap = tunnel::Encap::gre});
  one.endpoint->set_path(DropReason::no_neighbour, 1500);
  EXPECT_EQ(send(*one.port, test_frame(100)), DropReason::no_neighbour);
  EXPECT_TRUE(receive(*two.port, 1).empty());
}

TEST_P(TunnelPortTest, OverrunsAreCounted) {
  End one = open(1, {.encap = tunnel::Encap::gre});
  End two = open(2, {.encap = tunnel::Encap::gre});
  const Bytes frame = test_frame(60000);
  constexpr int kFrames = 400;
  int sent = 0;
  for (int i = 0; i < kFrames; ++i) sent += send(*one.port, frame) == DropReason::none ? 1 : 0;
  const std::size_t received = receive(*two.port, kFrames).size();
  EXPECT_LT(received, static_cast<std::size_t>(sent)) << "more than the socket holds";
  EXPECT_EQ(two.port->receive_overruns(), static_cast<std::uint64_t>(sent) - received);
}

}  // namespace
}  // namespace vswitch::platform
