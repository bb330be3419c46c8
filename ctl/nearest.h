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
/// A command in words that other tools use, as ours would be called: "delete-mirror" -> "del-mirror",
/// "list-bridges" -> "list-br", "create-session" -> "add-mirror", "SHOW" -> "show". It need not be one.
std::string in_our_words(std::string_view typed);

/// What an option of other tools is called here: one of `options`, or nullopt. "--vlan" -> "--tag", if there is one.
std::optional<std::string> option_in_our_words(std::string_view typed,
                                               const std::vector<std::string>& options);

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names);

}  // namespace vswitch::ctl
