// SPDX-License-Identifier: Apache-2.0
#include "switchd/history/event.h"

namespace vswitch::history {

std::string shortened(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

}  // namespace vswitch::history
