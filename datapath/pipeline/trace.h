// SPDX-License-Identifier: Apache-2.0
// The steps of Decider::decide() to a verdict: explain shows them, a worker records none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/base/drop_reason.h"
#include "datapath/base/types.h"
#include "datapath/flow/match.h"
#include "datapath/pipeline/verdict.h"

namespace vswitch {

/// The steps in words, and each test of each session.
struct Trace {
  enum class Result : std::uint8_t {
    copied,
    vlan_not_selected,
    filtered_out,  ///< none of the session's filters matches
    skipped,       ///< one of its skip rules matches
    already_copied,
    not_for_output_vlan
  };
  struct SessionTest {
    SessionIndex session;
    PortNo port;     ///< the source port that made the session a candidate
    bool delivered;  ///< tested because of a frame to the port; otherwise from it
    Result result;
    WalkNo walk = kFrameItself;
    const Match* skip = nullptr;  ///< the rule that skipped it; lives as long as the snapshot
  };
  std::vector<std::string> steps;
  std::vector<SessionTest> tests;
};

/// The result in words, as the part of a sentence before ": from <port>".
std::string_view sentence(Trace::Result result);

// A part of a step in the words of a trace.
std::string in_words(std::string_view text);
std::string in_words(VlanId vlan);
std::string in_words(const MacAddr& mac);
std::string in_words(DropReason reason);

}  // namespace vswitch
