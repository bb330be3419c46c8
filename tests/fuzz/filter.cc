// SPDX-License-Identifier: Apache-2.0
// A match, a zero byte, a frame: any match is compiled or refused with a sentence, and what was compiled
// means the same when it is said twice, whatever the frame and its tags. A frame is composed that it matches,
// or refused with a sentence.
#include <algorithm>
#include <cstdlib>

#include "datapath/flow/compose.h"
#include "datapath/flow/match.h"
#include "datapath/mirror/filter_rules.h"
#include "datapath/switching/vlan.h"

namespace {

using namespace vswitch;

void check(bool holds) {
  if (!holds) std::abort();
}

/// The tags that a trunk, an access, a native and a tunnel port give the frame.
void check_keys(const Match& filter, const Match& twice, const Frame& frame) {
  TagList wire;
  if (frame.tag) wire.push_back(*frame.tag);
  for (const VlanMode mode :
       {VlanMode::trunk, VlanMode::access, VlanMode::native_untagged, VlanMode::dot1q_tunnel}) {
    const auto tags = arrive({.mode = mode, .tag = 10}, wire);
    if (!tags) continue;
    const FlowKey key(frame, *tags);
    check(key.number(key_slot::kVlanTci) == 0 || (key.number(key_slot::kVlanTci) & kTagPresent) != 0);
    check(filter.matches(key) == twice.matches(key));
    const FilterRules rules{.filter = {filter}, .skip = {twice}};
    check(rules.selects(key) == (rules.skipping(key) != nullptr));
  }
}

void check_composed(const Match& filter) {
  const ComposedFrame composed = compose(filter);
  check(composed.bytes.empty() != composed.trouble.empty());
  if (composed.bytes.empty()) return;
  const ParseResult read = parse({.bytes = composed.bytes, .stripped_tag = {}, .offload = {}});
  check(read.drop == DropReason::none);
  check(filter.matches(FlowKey(read.frame, {.outer = read.frame.tag, .inner = {}})));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::uint8_t* const end = std::find(data, data + size, std::uint8_t{0});
  const std::string text(data, end);
  const Match::Parsed parsed = Match::parse(text);
  check(parsed.match.has_value() == parsed.trouble.empty());
  if (!parsed.match) return 0;
  check(parsed.match->text() == text);
  const Match::Parsed twice = Match::parse(text + "," + text);
  check(twice.match.has_value());
  check_composed(*parsed.match);

  RawFrame raw;
  if (end != data + size) raw.bytes = {end + 1, data + size};
  const ParseResult frame = parse(raw);
  if (frame.drop == DropReason::none) check_keys(*parsed.match, *twice.match, frame.frame);
  return 0;
}
