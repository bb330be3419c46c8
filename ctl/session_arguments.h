// SPDX-License-Identifier: Apache-2.0
// How people write the settings of a session: sources, rates, ends. Each throws UsageError with a sentence.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "schemas/json.h"

namespace vswitch::ctl {

/// Checks the name of a port. A list, or the word that clears other settings, would name a port that never
/// exists.
const std::string& one_port(const std::string& option, const std::string& name);

/// "t1", "t1:from", "t1:egress", "vnet*:to", "iface-id=ID", "mac=52:54:00:12:34:56", "all" or "all:rx", into
/// params["sources"]. A colon cannot be part of a device name.
void add_source(Json& params, const std::string& spec);

/// "30s", "10m", "2h" or "1d" in seconds; nullopt for anything else.
std::optional<std::int64_t> parse_span(const std::string& text);

/// "100MB", "64k" or bytes, in powers of ten; nullopt for anything else.
std::optional<std::int64_t> parse_size(const std::string& text);

/// "64MB", "5min" or "64MB,5min".
void add_record(Json& destination, const std::string& text);

/// "1000" packets, or "10mbit", "10M", "10Mbps" per second, or none.
void add_rate(Json& rate, const std::string& text);

/// "10m", "10min", "1000packets", "1gb" or none.
void add_end(Json& expires, const std::string& text);

}  // namespace vswitch::ctl
