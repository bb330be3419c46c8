// SPDX-License-Identifier: Apache-2.0
#include "schemas/json.h"

namespace vswitch {

std::size_t memory_of(const Json& json) {
  std::size_t bytes = 0;
  if (json.is_string()) {
    bytes = JsonMemory::string + json.get_ref<const std::string&>().size();
  } else if (json.is_array()) {
    bytes = JsonMemory::container;
    for (const Json& element : json) bytes += JsonMemory::value + memory_of(element);
  } else if (json.is_object()) {
    bytes = JsonMemory::container;
    for (const auto& [name, value] : json.get_ref<const Json::object_t&>())
      bytes += JsonMemory::member + name.size() + memory_of(value);
  }
  return bytes;
}

}  // namespace vswitch
