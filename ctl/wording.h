// SPDX-License-Identifier: Apache-2.0
// Sentences about params, in the words that people type.
//
// The contract and the daemon speak of members of params: `vlan_mode must be ... or null`, `allow normal_io`.
// Whoever used the tool typed options. An option is called like its member (vlan_mode, --vlan-mode), except
// for those that kOptions in wording.cc lists.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>

namespace vswitch::ctl {

/// A sentence of the contract about the member `field` of the params that `command` made.
std::string in_options(const CLI::App& command, const std::string& field, std::string_view sentence);

/// A sentence of the daemon. Words that can only be members (with '_' or '.') become options of any command.
std::string in_options(const CLI::App& program, std::string_view sentence);

}  // namespace vswitch::ctl
