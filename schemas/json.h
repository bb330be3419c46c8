// SPDX-License-Identifier: Apache-2.0
// The one JSON type of the project.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>

namespace vswitch {

using Json = nlohmann::json;

/// What the parts of a tree take in memory, about, with what the allocator adds. Text is 5 to 30 times smaller.
struct JsonMemory {
  static constexpr std::size_t value = 32;      ///< in an array, which grows by doubling
  static constexpr std::size_t container = 64;  ///< an array or object, without its contents
  static constexpr std::size_t member = 96;     ///< of an object, without the characters of its name
  static constexpr std::size_t string = 48;     ///< without its characters
};

/// What a tree takes in memory, about.
std::size_t memory_of(const Json& json);

}  // namespace vswitch
