// SPDX-License-Identifier: Apache-2.0
// Something that happened to the switch: a setting that changed, a state, a loss, a refusal.
//
// The members of `data` are those of the notification of the same name in control.openrpc.json (x-notifications),
// except number and time, which History adds. One event is told in four ways: as a line of the log (sentence.h),
// as a notification, in the answer of events.list, and as a line of the file that outlives the daemon.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "schemas/json.h"

namespace vswitch::history {

inline constexpr std::string_view kMirrorState = "mirror.state";
inline constexpr std::string_view kMirrorLoss = "mirror.loss";
inline constexpr std::string_view kMirrorChange = "mirror.change";
inline constexpr std::string_view kPortState = "port.state";
inline constexpr std::string_view kPortChange = "port.change";
inline constexpr std::string_view kBridgeChange = "bridge.change";
inline constexpr std::string_view kSystemChange = "system.change";
inline constexpr std::string_view kSystemRefused = "system.refused";
inline constexpr std::string_view kSystemState = "system.state";

inline constexpr std::array kTopics = {kMirrorState,  kMirrorLoss,   kMirrorChange,  kPortState,  kPortChange,
                                       kBridgeChange, kSystemChange, kSystemRefused, kSystemState};

inline constexpr std::size_t kMaxEvents = 10'000;                     ///< that are kept
inline constexpr std::size_t kMaxEventBytes = std::size_t{16} << 20;  ///< of all of them, as text

struct Event {
  std::string topic;
  Json data;
  bool kept = true;  ///< among the last events; the others are only for those who listen now
  bool logged = true;
};

/// The first `most` bytes of a text that is longer, without a part of a character, and "...".
std::string shortened(std::string text, std::size_t most);

}  // namespace vswitch::history
