// SPDX-License-Identifier: Apache-2.0
// The name that was probably meant.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vswitch::ctl {

/// The one of `names` that takes the fewest insertions, deletions and replacements of a character to get from
/// `typed`. nullopt if that would be more than half of its characters.
std::optional<std::string> nearest(std::string_view typed, const std::vector<std::string>& names);

/// "; did you mean NAME?", or nothing.
std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names);

}  // namespace vswitch::ctl
