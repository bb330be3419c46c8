// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "datapath/base/types.h"

namespace vswitch::bridge {

/// What the flight recorder of a session holds.
struct Recording {
  std::uint64_t frames = 0, bytes = 0;   ///< held; bytes of frames, as far as they are kept
  std::uint64_t evicted = 0;             ///< frames that made room for later ones, or became too old
  std::uint64_t capacity = 0;            ///< bytes of memory
  TimeNs age = 0;                        ///< of a frame, at most; 0: any
  std::optional<TimeNs> oldest, newest;  ///< when they were received, ns since 1970
};

}  // namespace vswitch::bridge
