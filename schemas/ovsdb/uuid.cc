// SPDX-License-Identifier: Apache-2.0
#include "schemas/ovsdb/uuid.h"

#include <array>
#include <random>

namespace vswitch::ovsdb {

namespace {

constexpr bool is_dash(std::size_t at) {
  return at == 8 || at == 13 || at == 18 || at == 23;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::mt19937_64 seeded_generator() {
  std::random_device device;
  std::array<std::uint32_t, 8> words;
  for (std::uint32_t& word : words) word = device();
  std::seed_seq seed(words.begin(), words.end());
  return std::mt19937_64(seed);
}

}  // namespace

std::string Uuid::to_string() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text(36, '-');
  unsigned nibble = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (is_dash(at)) continue;
    const std::uint64_t half = nibble < 16 ? high : low;
    text[at] = digits[half >> (60 - 4 * (nibble % 16)) & 0xf];
    ++nibble;
  }
  return text;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Uuid uuid;
  unsigned nibble = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (is_dash(at)) {
      if (text[at] != '-') return std::nullopt;
      continue;
    }
    const int value = hex_value(text[at]);
    if (value < 0) return std::nullopt;
    std::uint64_t& half = nibble < 16 ? uuid.high : uuid.low;
    half = half << 4 | static_cast<std::uint64_t>(value);
    ++nibble;
  }
  return uuid;
}

Uuid Uuid::random() {
  thread_local std::mt19937_64 generator = seeded_generator();
  Uuid uuid{generator(), generator()};
  uuid.high = (uuid.high & ~0xf000ULL) | 0x4000ULL;                       // version 4
  uuid.low = (uuid.low & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;  // variant of RFC 4122
  return uuid;
}

}  // namespace vswitch::ovsdb
