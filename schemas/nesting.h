// SPDX-License-Identifier: Apache-2.0
// How deep JSON may be nested. Printing and destroying a tree use the stack, so every text from outside is
// measured before it is parsed: what comes from a socket (jsonrpc/stream_decoder.h), from the database file,
// and from files that users name.
#pragma once

#include <cstddef>
#include <string_view>

namespace vswitch {

/// Arrays and objects inside each other; the limit of Open vSwitch.
inline constexpr std::size_t kMaxNesting = 1000;

/// True if more than `limit` brackets are open at some place of a JSON text. One pass, no memory; of a text
/// that is not JSON, the answer may be either.
bool nests_deeper_than(std::size_t limit, std::string_view text);

}  // namespace vswitch
