// SPDX-License-Identifier: Apache-2.0
// The rules of Linux (dev_valid_name() in net/core/dev.c), and UTF-8, which JSON requires.
#include "schemas/device_name.h"

#include <algorithm>

#include "schemas/json.h"

namespace vswitch {
namespace {

constexpr std::size_t kMaxNameLength = 15;  // IFNAMSIZ without the NUL
constexpr std::size_t kMaxQuote = 60;

/// Like isspace() of the kernel, which uses Latin-1: 0xa0 in a multibyte character counts as well.
bool is_space(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == ' ' || (byte >= '\t' && byte <= '\r') || byte == 0xa0;
}

bool is_utf8(const Json& text) {
  try {
    text.dump();
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

std::string_view rule_broken(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() > kMaxNameLength) return "it is longer than 15 bytes";
  if (name == "." || name == "..") return "'.' and '..' mean directories";
  if (name.find('/') != name.npos) return "it contains '/'";
  if (name.find(':') != name.npos) return "it contains ':'";
  if (name.find('%') != name.npos) return "it contains '%'";  // Linux replaces "%d" by a number
  if (std::any_of(name.begin(), name.end(), is_space)) return "it contains white space";
  if (!is_utf8(std::string(name))) return "it is not UTF-8";
  return {};
}

}  // namespace

std::string device_name_trouble(std::string_view name) {
  if (name == "lo") return "lo is the loopback device of the host and cannot be a port";
  const std::string_view rule = rule_broken(name);
  if (rule.empty()) return {};
  const Json quoted =
      name.size() > kMaxQuote ? std::string(name.substr(0, kMaxQuote - 3)) + "..." : std::string(name);
  return quoted.dump(-1, ' ', false, Json::error_handler_t::replace) +
         " cannot be the name of a device: " + std::string(rule);
}

}  // namespace vswitch
