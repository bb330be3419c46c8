// SPDX-License-Identifier: Apache-2.0
#include "datapath/base/types.h"

#include <charconv>
#include <cstdio>

namespace vswitch {

std::string MacAddr::to_string() const {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", octets[0], octets[1], octets[2],
                octets[3], octets[4], octets[5]);
  return text;
}

std::optional<MacAddr> MacAddr::parse(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddr mac;
  for (std::size_t i = 0; i < 6; ++i) {
    const char* first = text.data() + 3 * i;
    auto [end, error] = std::from_chars(first, first + 2, mac.octets[i], 16);
    if (error != std::errc{} || end != first + 2 || (i < 5 && *end != ':')) return std::nullopt;
  }
  return mac;
}

}  // namespace vswitch
