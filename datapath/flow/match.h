// SPDX-License-Identifier: Apache-2.0
// Selects frames by what is in their headers: matches in the flow syntax of Open vSwitch
// (ovs-ofctl(8), ovs-fields(7)), such as "tcp,tp_dst=80" or "ip,nw_src=10.0.0.0/8,nw_tos=184".
//
// A match is compiled once into a value and a mask as wide as the FlowKey; testing it is one pass over twelve
// words, the same for every match. What `ovs-ofctl parse-flow` takes is taken, in any order, with these
// exceptions, all of them refusals of what would silently mean something else:
//
// - A field that the frame can have only in the company of others needs them, as ovs-fields(7) lists them
//   under "Prerequisites": ovs-ofctl drops `tp_dst=80` without `tcp`, and every frame matches. tp_src and
//   tp_dst are the ports of any protocol, or the type and code of ICMP, as in OpenFlow 1.0.
// - A number that is too large for its field: ovs-ofctl cuts off what does not fit.
// - A match that contradicts itself: in ovs-ofctl the last one counts. Several matches make several rules.
// - A match without fields, a field without a value, and vlan_vid without the bit that says there is a tag.
// - Fields that are no part of the frame (in_port, ct_state, tun_id, reg0, ...), and those of MPLS and NSH.
//
// A mask of tp_src or tp_dst counts with ICMP too, where ovs-ofctl takes it and then looks at every bit.
//
// One thing Open vSwitch does not have: ports may be a range, `tp_dst=8000-8100`, ends included.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/flow/flow_key.h"

namespace vswitch {

/// One match. Immutable. A default one matches every frame.
class Match {
 public:
  struct Parsed;
  /// A port from `low` to `high`, ends included.
  struct Range {
    KeySlot slot;
    std::uint32_t low, high;
  };
  /// The match, or a sentence that names the part that is wrong and what to do.
  static Parsed parse(std::string_view text);
  /// Whether the name is one of a field or a protocol, be it one that only Open vSwitch supports.
  static bool knows(std::string_view name);

  bool matches(const FlowKey& key) const;
  /// What is compared, and the bits of it that count; ports in a range are not among them.
  const FlowKey& value() const { return value_; }
  const FlowKey& mask() const { return mask_; }
  std::span<const Range> ranges() const { return ranges_; }
  /// As it was written.
  const std::string& text() const { return text_; }

 private:
  friend class MatchParser;

  FlowKey value_;
  FlowKey mask_;
  std::vector<Range> ranges_;
  std::string text_;
};

struct Match::Parsed {
  std::optional<Match> match;
  std::string trouble;  ///< empty if there is a match
};

}  // namespace vswitch
