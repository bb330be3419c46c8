// SPDX-License-Identifier: Apache-2.0
#include "schemas/nesting.h"

namespace vswitch {

bool nests_deeper_than(std::size_t limit, std::string_view text) {
  std::size_t open = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char byte = text[i];
    if (in_string) {
      if (byte == '\\') ++i;
      if (byte == '"') in_string = false;
    } else if (byte == '"') {
      in_string = true;
    } else if (byte == '[' || byte == '{') {
      if (++open > limit) return true;
    } else if ((byte == ']' || byte == '}') && open > 0) {
      --open;
    }
  }
  return false;
}

}  // namespace vswitch
