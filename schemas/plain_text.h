// SPDX-License-Identifier: Apache-2.0
// Text from outside (a client, the name of a device) that is shown on a terminal or written to a log.
#pragma once

#include <string>
#include <string_view>

namespace vswitch {

/// The text with `instead` for each character that could steer a terminal or disguise a line: controls
/// (U+0000 to U+001F, U+007F to U+009F, which include CSI), line separators and overrides of the direction of
/// writing (U+2028 to U+202E, U+2066 to U+2069), and bytes that are not UTF-8, which a terminal may read as
/// Latin-1 controls.
std::string plain_text(std::string_view text, char instead);

}  // namespace vswitch
