// SPDX-License-Identifier: Apache-2.0
// A match, a zero byte, a frame: any match is compiled or refused with a sentence, and what was compiled
// means the same when it is said twice, whatever the frame and its tags.
#include "datapath/mirror/filter.h"

#include <algorithm>
#include <cstdlib>

namespace {

using namespace vswitch;

void check(bool holds) {
  if (!holds) std::abort();
}

/// The tags that a trunk, an access, a native and a tunnel port give the frame.
void check_keys(const Filter& filter, const Filter& twice, const Frame& frame) {
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::uint8_t* const end = std::find(data, data + size, std::uint8_t{0});
  const std::string text(data, end);
  const Filter::Parsed parsed = Filter::parse(text);
  check(parsed.filter.has_value() == parsed.trouble.empty());
  if (!parsed.filter) return 0;
  check(parsed.filter->text() == text);
  const Filter::Parsed twice = Filter::parse(text + "," + text);
  check(twice.filter.has_value());

  RawFrame raw;
  if (end != data + size) raw.bytes = {end + 1, data + size};
  const ParseResult frame = parse(raw);
  if (frame.drop == DropReason::none) check_keys(*parsed.filter, *twice.filter, frame.frame);
  return 0;
}
