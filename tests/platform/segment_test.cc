// SPDX-License-Identifier: Apache-2.0
// The kernel cuts the same GSO packets: a packet socket hands them to a device without segmentation and
// checksum offloads, and what comes out at the other end has to be what Segmenter makes, byte for byte.
#include "datapath/frame/segment.h"

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <thread>

#include "tests/platform/lab.h"
#include "tests/support/gso_packet.h"

namespace vswitch::platform {
namespace {

using test::GsoPacket;

/// What Segmenter makes of a frame as it is on the wire.
std::vector<Bytes> cut(const Bytes& frame, const VnetHeader& vnet) {
  RawFrame raw;
  raw.bytes = frame;
  raw.offload = offload_from_vnet_header(vnet);
  const ParseResult parsed = parse(raw);
  if (parsed.drop != DropReason::none) return {};
  TagList tags;
  if (parsed.frame.tag) tags.push_back(*parsed.frame.tag);
  std::array<std::uint8_t, kMaxHeaderLength> start;
  const std::size_t length = write_header(parsed.frame.dst, parsed.frame.src, tags, start);

  const Segmenter segmenter(parsed.frame.payload, parsed.frame.offload);
  std::vector<Bytes> all;
  for (std::size_t i = 0; i < segmenter.count(); ++i) {
    Bytes segment(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(length));
    segment.resize(length + segmenter.header_length());
    segmenter.write_headers(i, std::span(segment).subspan(length));
    segment.insert(segment.end(), segmenter.data(i).begin(), segmenter.data(i).end());
    all.push_back(std::move(segment));
  }
  return all;
}

/// The first place where the two differ, for people.
std::string difference(const Bytes& ours, const Bytes& kernel) {
  if (ours.size() != kernel.size())
    return std::to_string(ours.size()) + " bytes, the kernel's has " + std::to_string(kernel.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (ours[i] != kernel[i])
      return "byte " + std::to_string(i) + " is " + std::to_string(ours[i]) + ", the kernel's " +
             std::to_string(kernel[i]);
  }
  return "";
}

class SegmentTest : public PlatformTest {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    make_veth(left_, "cutter", right_, "probe");
    run(left_, "ethtool -K cutter tso off gso off tx-checksumming off tx-udp-segmentation off");
    in_.emplace(left_, "cutter");
    out_.emplace(right_, "probe");
  }

  /// Sends the frame through the kernel and compares. Returns the number of segments.
  std::size_t compare(const Bytes& frame, const VnetHeader& vnet) {
    const auto ours = cut(frame, vnet);
    EXPECT_FALSE(ours.empty()) << "refused";
    EXPECT_EQ(in_->send(frame, vnet), 0);
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const auto seen = out_->receive();
      if (!seen) {
        ADD_FAILURE() << "the kernel made " << i << " segments, we " << ours.size();
        return i;
      }
      EXPECT_EQ(seen->vnet.gso_type, 0);
      EXPECT_EQ(seen->vnet.flags & kVnetNeedsChecksum, 0);
      EXPECT_EQ(difference(ours[i], seen->on_wire()), "") << "segment " << i << " of " << ours.size();
    }
    EXPECT_FALSE(out_->receive(std::chrono::milliseconds(0)).has_value()) << "the kernel made more segments";
    return ours.size();
  }

  /// With one outer tag, or none, before the payload.
  std::size_t compare(const GsoPacket& made, std::optional<VlanTag> outer = std::nullopt) {
    Bytes frame = test_frame(kAddressesLength + 2);
    frame.resize(kAddressesLength);
    const Bytes payload = made.payload();
    frame.insert(frame.end(), payload.begin(), payload.end());
    if (outer) frame = with_tag(frame, *outer);
    const OutgoingFrame out = outgoing(std::span(frame).first(kAddressesLength + (outer ? kTagLength : 0)),
                                       payload, made.offload());
    return compare(frame, vnet_header_from_offload(out.offload, frame.size()));
  }

  Namespace left_;
  Namespace right_;
  std::optional<RawSocket> in_;
  std::optional<RawSocket> out_;
};

TEST_F(SegmentTest, TheKernelMakesTheSameOfEveryShape) {
  std::size_t segments = 0;
  for (const bool ipv6 : {false, true}) {
    for (const bool udp : {false, true}) {
      for (const std::size_t options : {0, 8, 16}) {
        for (const std::size_t inner_tags : {0, 1}) {
          for (const bool outer_tag : {false, true}) {
            for (const std::size_t data : {2801, 5600, 30001}) {
              GsoPacket frame;
              frame.ipv6 = ipv6, frame.udp = udp, frame.options = options, frame.data = data;
              frame.identification = 0xfffe;
              frame.tcp_flags = 0x19;
              if (inner_tags != 0) frame.tags = {{kTpid8021Q, 0x2014}};
              SCOPED_TRACE(::testing::Message() << (ipv6 ? "IPv6 " : "IPv4 ") << (udp ? "UDP " : "TCP ")
                                                << data << " bytes, options " << options << ", inner tags "
                                                << inner_tags << ", outer tag " << outer_tag);
              segments +=
                  compare(frame, outer_tag ? std::optional(VlanTag{kTpid8021Q, 0x6064}) : std::nullopt);
              if (HasFailure()) return;
            }
          }
        }
      }
    }
  }
  std::cout << segments << " segments compared\n";
}

TEST_F(SegmentTest, TheKernelMakesTheSameOfEveryTcpFlag) {
  for (unsigned flags = 0; flags < 256; ++flags) {
    SCOPED_TRACE(flags);
    GsoPacket frame;
    frame.tcp_flags = static_cast<std::uint8_t>(flags);
    frame.ecn = (flags & 0x80) != 0;
    frame.ipv6 = flags % 2 == 0;
    frame.segment = static_cast<std::uint16_t>(1001 + flags);
    compare(frame);
  }
}

TEST_F(SegmentTest, TheKernelMakesTheSameOfAFinishedChecksum) {
  for (const bool ipv6 : {false, true}) {
    GsoPacket frame;
    frame.ipv6 = ipv6;
    frame.finished_checksum = true;
    compare(frame);
  }
}

/// Checksums of 0 among them: 65,536 different identifications of one segment would be too slow, so the data
/// varies in many short segments.
TEST_F(SegmentTest, TheKernelMakesTheSameOfManyChecksums) {
  for (unsigned i = 0; i < 300; ++i) {
    for (const bool udp : {false, true}) {
      GsoPacket frame;
      frame.udp = udp;
      frame.ipv6 = i % 2 == 0;
      frame.segment = static_cast<std::uint16_t>(udp ? 64 + i % 7 : 8 + i % 7);
      frame.data = udp ? 4000 : 1500;
      frame.sequence = i * 0x01234567;
      compare(frame);
      if (HasFailure()) return;
    }
  }
}

/// GSO packets of the kernel's own TCP and UDP sockets, taken from a veth with default offloads.
TEST_F(SegmentTest, TheKernelMakesTheSameOfWhatItsSocketsSend) {
  Namespace client;
  Namespace server;
  make_veth(client, "c", server, "s");
  run(client, "ip addr add 10.0.0.1/24 dev c");
  run(server, "ip addr add 10.0.0.2/24 dev s");
  const RawSocket tap(server, "s");
  std::thread serving([&server] {
    const Inside inside(server);
    run("timeout 20 python3 -c \"import socket as s; l = s.create_server(('', 5001)); c, _ = l.accept()\n"
        "while c.recv(1 << 20): pass\"");
  });
  run(client,
      "timeout 20 python3 -c \"import socket as s, time\n"
      "u = s.socket(s.AF_INET, s.SOCK_DGRAM); u.setsockopt(17, 103, 1000)\n"
      "for i in range(20): u.sendto(bytes(range(256)) * 50, ('10.0.0.2', 5002))\n"
      "for attempt in range(100):\n"
      "  try: c = s.create_connection(('10.0.0.2', 5001)); break\n"
      "  except OSError: time.sleep(0.05)\n"
      "c.sendall(bytes(range(251)) * 8000)\"");
  serving.join();
  std::size_t tcp = 0;
  std::size_t udp = 0;
  while (const auto seen = tap.receive(std::chrono::milliseconds(50))) {
    if (seen->vnet.gso_type == 0) continue;
    ++((seen->vnet.gso_type & ~kGsoEcn) == kGsoUdpL4 ? udp : tcp);
    compare(seen->bytes, seen->vnet);
    if (HasFailure()) return;
  }
  EXPECT_GT(tcp, 10U);
  EXPECT_EQ(udp, 20U);
}

}  // namespace
}  // namespace vswitch::platform
