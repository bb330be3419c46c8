// SPDX-License-Identifier: Apache-2.0
// Arguments that several commands share, as they become members of params.
#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <string_view>

#include "schemas/json.h"

namespace vswitch::ctl {

/// Params under construction: options write into them while they are parsed, so options not given are absent.
using Params = std::shared_ptr<Json>;
Params make_params();

/// Each adds an option whose value becomes params[key]; a required positional has no dashes in `name`.
CLI::Option* text(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                  const std::string& help);
/// A decimal number, or "none" for null if `nullable`.
CLI::Option* number(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                    const std::string& help, bool nullable = false);
/// `--x` sets true, `--no-x` false.
CLI::Option* on_off(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                    const std::string& help);
/// A flag that sets params[key] to a fixed value.
CLI::Option* flag(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                  Json value, const std::string& help);
/// "1,2-9" as an array of numbers; "none" is the empty array. May be repeated.
CLI::Option* vlans(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                   const std::string& help);
/// A hidden option that people may try: giving it is wrong usage, with this sentence.
void not_here(CLI::App& app, const std::string& name, const std::string& sentence, bool takes_value);

/// "1,2-9" -> 1,2,3,...,9. Throws UsageError.
Json parse_vlans(std::string_view text);

}  // namespace vswitch::ctl
