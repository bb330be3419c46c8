// SPDX-License-Identifier: Apache-2.0
// Arguments that several commands share, as they become members of params.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/json.h"

namespace vswitch::ctl {

/// Params under construction: options write into them while they are parsed, so options not given are absent.
using Params = std::shared_ptr<Json>;
Params make_params();

/// The member at a path such as "destination.vlan". It and the objects around it are made if missing.
Json& member(Json& params, std::string_view path);

/// Each adds an option whose value becomes the member at the path `key`; a required positional has no dashes
/// in `name`.
CLI::Option* text(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                  const std::string& help);
/// The same, with "none" for null.
CLI::Option* text_or_none(CLI::App& app, const Params& params, const std::string& name,
                          const std::string& key, const std::string& help);
/// A decimal number, or "none" for null if `nullable`.
CLI::Option* number(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                    const std::string& help, bool nullable = false);
/// `--x` sets true, `--no-x` false.
CLI::Option* on_off(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                    const std::string& help);
/// A flag that sets the member to a fixed value.
CLI::Option* flag(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                  Json value, const std::string& help);
/// Several values, one per occurrence of the option, each given to `take` together.
CLI::Option* repeated(CLI::App& app, const std::string& name,
                      std::function<void(const std::vector<std::string>&)> take, const std::string& type,
                      const std::string& help);
/// "1,2-9" as an array of numbers; "none" is the empty array. May be repeated.
CLI::Option* vlans(CLI::App& app, const Params& params, const std::string& name, const std::string& key,
                   const std::string& help);
/// A hidden option that people may try: giving it is wrong usage, with this sentence.
void not_here(CLI::App& app, const std::string& name, const std::string& sentence, bool takes_value);

/// A duration in seconds, into `value`, whose present value is the default.
CLI::Option* seconds(CLI::App& app, const std::string& name, double& value, const std::string& help);

/// A decimal number; nullopt for anything else.
std::optional<std::int64_t> parse_number(std::string_view text);

/// "1,2-9" -> 1,2,3,...,9. Throws UsageError.
Json parse_vlans(std::string_view text);

}  // namespace vswitch::ctl
