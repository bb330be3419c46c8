// SPDX-License-Identifier: Apache-2.0
// Selects frames by their headers: matches in the flow syntax of Open vSwitch (ovs-ofctl(8), ovs-fields(7)),
// such as "tcp,tp_dst=80" or "ip,nw_src=10.0.0.0/8,nw_tos=184".
//
// A match is compiled once into a value and a mask as wide as the FlowKey; testing it is one pass over twelve
// words, the same for every match. Everything that `ovs-ofctl parse-flow` accepts is accepted, in any order,
// with these exceptions, which are refused because they would silently mean something else:
//
// - A field without its prerequisites, as listed in ovs-fields(7) under "Prerequisites": ovs-ofctl drops
//   `tp_dst=80` without `tcp`, and every frame matches. tp_src and tp_dst are the ports of any protocol, or
//   the type and code of ICMP, as in OpenFlow 1.0.
// - A number that is too large for its field: ovs-ofctl drops the bits that do not fit.
// - A match that contradicts itself: in ovs-ofctl the last value wins. Alternatives need separate matches.
// - A match without fields, a field without a value, and vlan_vid without the bit for "there is a tag".
// - Fields that are not part of the frame (in_port, ct_state, tun_id, reg0, ...), and those of MPLS and NSH.
//
// A mask of tp_src or tp_dst applies to ICMP too; ovs-ofctl accepts it there but compares every bit.
//
// Unlike in Open vSwitch, ports may be an inclusive range: `tp_dst=8000-8100`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/flow/flow_key.h"

namespace vswitch {

/// One match. Immutable. A default-constructed match matches every frame.
class Match {
 public:
  struct Parsed;
  /// A port from `low` to `high`, inclusive.
  struct Range {
    KeySlot slot;
    std::uint32_t low, high;
    bool operator==(const Range&) const = default;
  };
  /// Parses a match. The result is the match, or a sentence that names the faulty part and the remedy.
  static Parsed parse(std::string_view text);
  /// Whether `name` is a field or a protocol, including those that only Open vSwitch supports.
  static bool knows(std::string_view name);

  bool matches(const FlowKey& key) const;
  /// The value to compare with, and the mask of the bits to compare. Port ranges are not included.
  const FlowKey& value() const { return value_; }
  const FlowKey& mask() const { return mask_; }
  std::span<const Range> ranges() const { return ranges_; }
  /// The match as it was written.
  const std::string& text() const { return text_; }
  /// Whether this match certainly matches every frame that `other` matches. Port ranges count only if they are
  /// the same.
  bool covers(const Match& other) const;
  /// The VLAN that every frame that matches has (0: no tag, or a priority tag); nullopt if there is no single one.
  std::optional<std::uint16_t> exact_vlan() const;
  /// Matches that are written the same are the same.
  bool operator==(const Match& other) const { return text_ == other.text_; }

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
