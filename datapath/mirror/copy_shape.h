// SPDX-License-Identifier: Apache-2.0
// How long copies may be, and what happens to longer ones.
#pragma once

#include <cstdint>
#include <limits>

namespace vswitch {

inline constexpr std::uint32_t kWholeFrame = std::numeric_limits<std::uint32_t>::max();

/// What happens to a copy that exceeds the MTU of the path to its endpoint.
enum class MtuPolicy : std::uint8_t { truncate, fragment, drop };

/// What happens to GSO packets of local senders: by_destination segments them for endpoints and for ports that
/// carry only copies, and keeps them for ports that carry their own traffic too.
enum class GsoPackets : std::uint8_t { by_destination, keep, segment };

}  // namespace vswitch
