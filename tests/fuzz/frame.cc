// SPDX-License-Identifier: Apache-2.0
// Any bytes as a frame, with any offload header, into a switch with every kind of port: the verdict keeps its
// promises.
#include <cstdlib>
#include <set>

#include "datapath/base/thread_annotations.h"
#include "datapath/frame/checksum.h"
#include "datapath/frame/segment.h"
#include "datapath/pipeline/pipeline.h"
#include "tests/support/switch_lab.h"

namespace {

using namespace vswitch;

/// Seven ports of different VLAN modes, three sessions that chain, a patch to a second bridge.
const Snapshot& snapshot() {
  static test::SwitchLab* lab = [] {
    auto* made = new test::SwitchLab;
    const VlanMode modes[] = {
        VlanMode::trunk,        VlanMode::access,       VlanMode::native_tagged, VlanMode::native_untagged,
        VlanMode::dot1q_tunnel, VlanMode::dot1q_tunnel, VlanMode::trunk};
    for (int i = 0; i < 7; ++i) {
      PortSpec& port = made->port("p" + std::to_string(i));
      port.vlan.mode = modes[i];
      port.vlan.tag = static_cast<VlanId>(i * 10);
      port.vlan.priority_tags = static_cast<PriorityTags>(i % 3);
      port.is_protected = i % 2 == 0;
    }
    made->port("q", "br1");
    for (const auto& [name, bridge, peer] :
         {std::tuple{"to1", "br0", "to0"}, std::tuple{"to0", "br1", "to1"}}) {
      made->bridge(bridge).ports.emplace_back();
      made->bridge(bridge).ports.back().name = name;
      made->bridge(bridge).ports.back().is_patch = true;
      made->bridge(bridge).ports.back().patch_peer = peer;
    }
    made->session("one").all_ports = true;
    made->session("one").destinations = {"p5", "p6"};
    made->session("two").sources = {{"p5", Direction::to}, {"p1", Direction::both}};
    made->session("two").destinations = {"p6"};
    made->session("two").normal_io = true;
    made->session("three").sources = {{"p6", Direction::to}, {"to1", Direction::both}};
    made->session("three").vlans = {0, 10, 20};
    made->session("three").destinations = {"p5"};
    // Copies over the patch, into a VLAN too, and back again.
    made->session("four").sources = {{"p0", Direction::from}, {"to1", Direction::both}};
    made->session("four").destinations = {"to1"};
    made->session("four").normal_io = true;
    made->session("four").snaplen = 20;
    made->session("five").sources = {{"p3", Direction::both}};
    made->session("five").tags.output_vlan = 60;
    made->session("back", "br1").sources = {{"to0", Direction::both}};
    made->session("back", "br1").destinations = {"to0", "q"};
    made->session("back", "br1").normal_io = true;
    made->bridge().forward_bpdu = true;
    made->apply();
    return made;
  }();
  roles::control.assert_held();
  return lab->datapath->current();
}

void check(bool holds) {
  if (!holds) std::abort();
}

/// Cuts it, whatever it is: the segments are the payload, in order.
void cut(std::span<const std::uint8_t> payload, const Offload& offload) {
  const Segmenter segmenter(payload, offload);
  std::size_t at = segmenter.header_length();
  for (std::size_t i = 0; i < segmenter.count(); ++i) {
    std::array<std::uint8_t, Segmenter::kMaxHeaders> headers;
    check(segmenter.header_length() <= headers.size());
    segmenter.write_headers(i, std::span(headers).first(segmenter.header_length()));
    const auto data = segmenter.data(i);
    check(data.data() == payload.data() + at);
    check(segmenter.header_length() + data.size() <= segmenter.longest());
    at += data.size();
  }
  check(!segmenter.valid() || at == payload.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 12) return 0;
  RawFrame raw;
  const PortNo in{data[0] % 10U};
  raw.offload = {.needs_checksum = (data[1] & 1) != 0,
                 .gso_type = static_cast<std::uint8_t>(data[1] & 2 ? (data[1] >> 4) + 1 : 0),
                 .gso_size = data[2],
                 .header_length = data[3],
                 .checksum_start = static_cast<std::uint16_t>(data[4] << 8 | data[5]),
                 .checksum_offset = static_cast<std::uint16_t>(data[6] << 8 | data[7])};
  if ((data[1] & 4) != 0)
    raw.stripped_tag = VlanTag{(data[1] & 8) != 0 ? kTpid8021ad : kTpid8021Q,
                               static_cast<std::uint16_t>(data[8] << 8 | data[9])};
  raw.bytes = {data + 12, size - 12};
  const ParseResult parsed = parse(raw);
  if (parsed.drop != DropReason::none) return 0;

  static Decider decider;
  Trace trace;
  const Verdict& verdict = decider.decide(snapshot(), in, parsed.frame, kSecondNs, &trace);
  check(verdict.learns.size() <= 2048);
  if (verdict.drop == DropReason::none) check(!verdict.sends.empty());
  for (const Send& send : verdict.sends) check(snapshot().port(send.port) != nullptr && send.tags.count <= 2);
  std::set<PortNo> destinations;
  std::set<std::pair<SessionIndex, std::uint32_t>> accounted;
  for (const Copy& copy : verdict.copies) {
    check(copy.walk <= verdict.walks.size());
    if (copy.walk == kFrameItself) {  // behind a patch there may be several
      check(accounted.insert({copy.session, copy.destination}).second);
      if (copy.drop == DropReason::none) check(destinations.insert(copy.port).second);
    }
    std::array<std::uint8_t, kMaxHeaderLength> header{};
    const std::size_t length = write_header(parsed.frame.dst, parsed.frame.src, copy.tags, header);
    const OutgoingFrame out = outgoing({header.data(), length}, parsed.frame.payload, parsed.frame.offload);
    if (out.offload.needs_checksum)
      check(std::size_t{out.offload.checksum_start} + out.offload.checksum_offset + 2 <= out.length());
  }
  std::vector<std::uint8_t> payload(parsed.frame.payload.begin(), parsed.frame.payload.end());
  Offload offload = parsed.frame.offload;
  complete_checksum(payload, offload);
  cut(parsed.frame.payload, parsed.frame.offload);
  return 0;
}
