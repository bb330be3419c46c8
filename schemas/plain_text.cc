// SPDX-License-Identifier: Apache-2.0
#include "schemas/plain_text.h"

#include <algorithm>
#include <cstdint>

namespace vswitch {
namespace {

struct Character {
  std::uint32_t code;
  std::size_t length;  ///< in bytes
};

constexpr std::uint32_t kNoUtf8 = 0;  // as unwelcome as a NUL

std::size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;  // 0xc0 and 0xc1 would be longer than needed
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (first >= 0xf0 && first <= 0xf4) return 4;
  return 0;
}

/// False for surrogates, for what lies beyond Unicode, and for what has a shorter form.
bool is_valid(std::uint32_t code, std::size_t length) {
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  return code >= kSmallest[length] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

/// The character at the beginning of a text that is not empty.
Character first_character(std::string_view text) {
  const auto byte = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = length_of(byte(0));
  if (length == 1) return {byte(0), 1};
  if (length == 0 || length > text.size()) return {kNoUtf8, 1};
  std::uint32_t code = byte(0) & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {kNoUtf8, 1};
    code = code << 6 | (byte(i) & 0x3f);
  }
  if (!is_valid(code, length)) return {kNoUtf8, 1};
  return {code, length};
}

bool is_plain(std::uint32_t code) {
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return false;
  return (code < 0x2028 || code > 0x202e) && (code < 0x2066 || code > 0x2069);
}

}  // namespace

std::string plain_text(std::string_view text, char instead) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }))
    return std::string(text);
  std::string plain;
  plain.reserve(text.size());
  while (!text.empty()) {
    const Character next = first_character(text);
    if (is_plain(next.code)) {
      plain += text.substr(0, next.length);
    } else {
      plain += instead;
    }
    text.remove_prefix(next.length);
  }
  return plain;
}

}  // namespace vswitch
